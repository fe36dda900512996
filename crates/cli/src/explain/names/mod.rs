//! Names from compilers: functions, variables in storage, lines of source.
//!
//! [`read`] parses the output of `solc` and `forge`; [`Names`] assigns it to the contracts of a
//! block.

mod artifact;
mod layout;
mod source_map;

pub use artifact::{Compiled, NamesError, read};
pub use layout::{Field, Layout};
pub use source_map::{Line, SourceMap};

use super::{preimages::SlotPath, standards};
use alloy_primitives::{Address, Bytes};
use std::{collections::BTreeMap, sync::Arc};

/// Names of the contracts of a block.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Functions of all ABIs, for all contracts.
    functions: BTreeMap<[u8; 4], String>,
    contracts: BTreeMap<Address, Arc<Compiled>>,
    /// Code and its source map, by account.
    maps: BTreeMap<Address, (Arc<Compiled>, Bytes)>,
}

impl Names {
    /// Adds the functions of `compiled`, and the variables and lines of `account`.
    pub fn add(&mut self, account: Address, compiled: &Arc<Compiled>) {
        self.add_functions(compiled);
        self.contracts.entry(account).or_insert_with(|| Arc::clone(compiled));
    }

    /// Adds the functions of `compiled`.
    pub fn add_functions(&mut self, compiled: &Compiled) {
        self.functions.extend(compiled.functions.clone());
    }

    /// Adds the lines of the code of `account`.
    pub fn add_code(&mut self, account: Address, code: Bytes, compiled: &Arc<Compiled>) {
        self.maps.insert(account, (Arc::clone(compiled), code));
    }

    /// Returns the signature of the function with this selector, from an ABI or a standard.
    #[must_use]
    pub fn function(&self, selector: [u8; 4]) -> Option<&str> {
        self.functions.get(&selector).map(String::as_str).or_else(|| standards::function(selector))
    }

    /// Returns the name of a contract.
    #[must_use]
    pub fn contract(&self, account: &Address) -> Option<&str> {
        self.contracts.get(account).map(|it| it.name.as_str()).filter(|name| !name.is_empty())
    }

    /// Returns the variables in a slot of a contract, with their keys; empty without a layout.
    #[must_use]
    pub fn fields(&self, account: &Address, path: &SlotPath) -> Vec<Field> {
        let layout = self.contracts.get(account).and_then(|it| it.layout.as_ref());
        layout.map(|layout| layout.fields(path)).unwrap_or_default()
    }

    /// Returns whether the lines of a contract are known.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        !self.maps.is_empty()
    }

    /// Returns the line of source of an instruction in the code of `account`.
    #[must_use]
    pub fn line(&self, account: &Address, counter: usize) -> Option<Line> {
        let (compiled, code) = self.maps.get(account)?;
        compiled.source_map.as_ref()?.line(code, counter)
    }
}
