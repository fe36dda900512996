//! A finding: two functions and the variable at which they conflict.

use crate::{
    explain::{Kind, names::Line},
    serialize,
};
use alloy_primitives::{Address, hex};
use serde::Serialize;
use std::fmt;

/// Two functions of a contract that conflict at a variable.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The contract that has the variable.
    #[serde(serialize_with = "serialize::display")]
    pub contract: Address,
    /// Name of the contract; null if unknown.
    pub name: Option<String>,
    /// The variable, for any key: `heroes[*].wins`, or a slot without a layout.
    pub variable: String,
    /// Kind of the location.
    pub kind: Kind,
    /// The two functions, in order; the same one twice if it conflicts with itself.
    pub functions: [Function; 2],
    /// Number of pairs of transactions that conflict.
    pub pairs: u64,
    /// Number of locations (different keys) at which they conflict.
    pub places: usize,
    /// Number of blocks in which they conflict.
    pub blocks: usize,
    /// One of these pairs.
    pub example: Example,
    /// Lines that store the variable, then lines that load it.
    pub lines: Vec<Place>,
    /// How the conflict might be removed.
    pub advice: &'static str,
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

/// A line of source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Path of the file.
    pub file: String,
    /// Line number, from 1.
    pub line: usize,
    /// Column, from 1, in UTF-16 code units.
    pub column: usize,
    /// Whether the line stores.
    pub stores: bool,
}

impl Place {
    pub(super) fn new(line: &Line, stores: bool) -> Self {
        let file = line.file.to_string_lossy();
        let file = file.strip_prefix("./").unwrap_or(&file).replace('\\', "/");
        Self { file, line: line.line, column: line.column, stores }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let does = if self.stores { "stores" } else { "loads" };
        write!(f, "{}:{}:{} {does}", self.file, self.line, self.column)
    }
}

/// Returns how conflicts at a location of this kind might be removed.
#[must_use]
pub(super) const fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => {
            "Keep one counter per caller, and add them up when the total is read; or derive \
             numbers from the caller's own counter."
        }
        Kind::TotalSupply => {
            "Fix the supply in advance, or keep one counter per caller and add them up when the total is read."
        }
        Kind::TokenBalance => {
            "Transactions change the balance of one holder. If the holder is yours, receive into \
             several accounts and collect later; the balance of a pool or of another user cannot be split."
        }
        Kind::NativeBalance => {
            "Transactions change the ether of one account. If it is yours, let callers pay into \
             several accounts and collect later; the wrapped-ether contract cannot be split."
        }
        Kind::Pool | Kind::Vault => {
            "Each trade depends on the one before it. More pools, or orders that are settled in \
             batches, conflict less often."
        }
        Kind::Allowance => "Give each spender a separate allowance, or an unlimited one.",
        Kind::NonceChain => {
            "Create contracts from several factories, or with CREATE2 from several accounts."
        }
        Kind::Code => {
            "Do not create, delegate or destroy accounts that other transactions call in the same block."
        }
        Kind::SameSender => "Send from several accounts.",
        Kind::TokenOwner | Kind::MappingEntry | Kind::ArrayElement => {
            "Transactions with the same key conflict here. Make the key depend on the caller, where possible."
        }
        Kind::Slot => {
            "All callers write one variable. Keep one per caller, drop it, or emit an event instead."
        }
    }
}
