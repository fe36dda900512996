//! A finding: two functions and the variable at which they conflict.

use crate::{
    explain::{Kind, SourceLine},
    serialize,
};
use alloy_primitives::{Address, hex};
use serde::Serialize;
use std::fmt;

/// Conflicts at variables of one kind of a contract.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The contract that has the variables.
    #[serde(serialize_with = "serialize::display")]
    pub contract: Address,
    /// Name of the contract; null if unknown.
    pub name: Option<String>,
    /// Kind of the variables.
    pub kind: Kind,
    /// The conflicts, the most frequent first.
    pub conflicts: Vec<Conflict>,
    /// How the conflicts might be removed.
    pub advice: &'static str,
}

/// Two functions that conflict at a variable.
#[derive(Clone, Debug, Serialize)]
pub struct Conflict {
    /// The variable, for any key: `heroes[*].wins`, or a slot without a layout.
    pub variable: String,
    /// The two functions, in order; the same one twice if it conflicts with itself.
    pub functions: [Function; 2],
    /// Number of pairs of transactions that conflict.
    pub pairs: u64,
    /// Number of locations (different keys) at which they conflict.
    pub locations: usize,
    /// Number of blocks in which they conflict.
    pub blocks: usize,
    /// One of these pairs.
    pub example: Example,
    /// Lines that store the variable, then lines that load it.
    pub lines: Vec<SourceLine>,
}

/// A function of a contract.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Function {
    /// First four bytes of the input; null for a plain payment.
    pub selector: Option<String>,
    /// Signature, from an ABI or a standard.
    pub signature: Option<String>,
}

impl Function {
    /// Creates a function with a selector and, if known, a signature.
    #[must_use]
    pub fn new(selector: Option<[u8; 4]>, signature: Option<&str>) -> Self {
        Self {
            selector: selector.map(hex::encode_prefixed),
            signature: signature.map(str::to_owned),
        }
    }

    /// Returns the name in SARIF, whose fingerprints depend on it.
    pub(super) fn id(&self) -> &str {
        self.signature.as_deref().or(self.selector.as_deref()).unwrap_or("no function")
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.signature, &self.selector) {
            (Some(signature), _) => f.write_str(signature),
            (None, Some(selector)) => f.write_str(selector),
            (None, None) => f.write_str("(no function)"),
        }
    }
}

/// Two transactions that conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Name of the block file.
    pub file: String,
    /// Path of the block file.
    #[serde(skip)]
    pub path: String,
    /// Indices of the transactions, in order.
    pub transactions: [usize; 2],
    /// The location, in the command line's notation.
    pub location: String,
    /// Description of the location.
    pub words: String,
}
