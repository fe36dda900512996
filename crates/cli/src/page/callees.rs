//! Which contracts wait for which: a matrix of the accounts that transactions call at the top
//! level.

use super::locations::Wait;
use crate::explain::{Graph, Recording};
use alloy_primitives::Address;
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

/// Maximum number of contracts with a row and a column.
const MOST: usize = 20;

/// Waits between transactions, by the contracts that they call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Callees {
    /// Names of rows and columns: an address, `new contract`, or `others`.
    pub names: Vec<String>,
    /// Cells with at least one wait.
    pub cells: Vec<Cell>,
}

/// Transactions that call one contract and wait for transactions that call another one, or the
/// same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Index of the name called by the waiting transactions.
    pub waits: usize,
    /// Index of the name called by the transactions they wait for.
    pub waits_for: usize,
    /// Number of pairs of transactions.
    pub pairs: usize,
    /// Number of transactions that wait.
    pub transactions: usize,
    /// Cost of the transactions that wait.
    pub cost: u64,
}

/// The account that a transaction calls, or the row of accounts without their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Name {
    Contract(Address),
    New,
    Others,
}

impl Name {
    fn of(recording: &Recording, transaction: usize) -> Self {
        recording.transactions[transaction].callee.map_or(Self::New, Self::Contract)
    }

    fn text(self) -> String {
        match self {
            Self::Contract(address) => address.to_string(),
            Self::New => "new contract".to_owned(),
            Self::Others => "others".to_owned(),
        }
    }
}

/// Builds the matrix of `waits`; contracts with the most pairs come first.
#[must_use]
pub fn callees(recording: &Recording, graph: &Graph, waits: &[Wait]) -> Callees {
    let mut pairs: BTreeMap<Name, usize> = BTreeMap::new();
    for wait in waits {
        for transaction in [wait.reader, wait.writer] {
            *pairs.entry(Name::of(recording, transaction)).or_default() += 1;
        }
    }
    let mut names: Vec<(Name, usize)> = pairs.into_iter().collect();
    names.sort_by_key(|(name, pairs)| (Reverse(*pairs), *name));
    let mut names: Vec<Name> = names.into_iter().map(|(name, _)| name).collect();
    if names.len() > MOST {
        names.truncate(MOST - 1);
        names.push(Name::Others);
    }
    let numbers: HashMap<Name, usize> =
        names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
    let number = |transaction| {
        let name = Name::of(recording, transaction);
        numbers.get(&name).copied().unwrap_or(names.len() - 1)
    };
    let mut cells: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for wait in waits {
        cells.entry((number(wait.reader), number(wait.writer))).or_default().push(wait.reader);
    }
    let cells = cells.into_iter().map(|((waits, waits_for), mut readers)| {
        let pairs = readers.len();
        readers.sort_unstable();
        readers.dedup();
        let cost = readers.iter().map(|&reader| graph.costs()[reader]).sum();
        Cell { waits, waits_for, pairs, transactions: readers.len(), cost }
    });
    Callees { cells: cells.collect(), names: names.into_iter().map(Name::text).collect() }
}
