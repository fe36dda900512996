//! The locations at which transactions wait, and the waits between transactions.

use crate::explain::{Graph, Kind, Location, Meaning, Recording, Step, decode};
use alloy_primitives::Address;
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Maximum number of locations that are decoded.
const MOST: usize = 1_000;

/// A location at which a transaction reads an earlier write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocationRow {
    /// The location, in the command line's notation.
    pub location: String,
    /// The account of the location.
    pub account: Address,
    /// Kind of the location.
    pub kind: Kind,
    /// Description of the location.
    pub words: String,
    /// Number of transactions that read an earlier write there.
    pub waiting: usize,
    /// Number of transactions whose writes are read there.
    pub writers: usize,
    /// Number of transactions of the conflict chain that wait here.
    pub on_chain: usize,
    /// Cost of the transactions that wait here on the conflict chain.
    pub chain_cost: u64,
}

/// A transaction reads writes of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The earlier transaction.
    pub writer: usize,
    /// The transaction that waits.
    pub reader: usize,
    /// Locations, as indices of rows. Those without a row are left out.
    pub locations: Vec<usize>,
}

#[derive(Default)]
struct Found {
    readers: BTreeSet<usize>,
    writers: BTreeSet<usize>,
    on_chain: usize,
    chain_cost: u64,
}

/// Returns the first thousand locations ordered by cost, the number of the others, and all waits.
#[must_use]
pub fn locations(
    recording: &Recording,
    graph: &Graph,
    path: &[Step],
) -> (Vec<LocationRow>, usize, Vec<Wait>) {
    let mut found: BTreeMap<Location, Found> = BTreeMap::new();
    for (reader, needs) in graph.needs().iter().enumerate() {
        for need in needs {
            let found = found.entry(need.location).or_default();
            found.readers.insert(reader);
            found.writers.insert(need.writer);
        }
    }
    for step in path {
        for location in &step.waited_for {
            let found = found.entry(*location).or_default();
            found.on_chain += 1;
            found.chain_cost += graph.costs()[step.transaction];
        }
    }
    let mut found: Vec<(Location, Found)> = found.into_iter().collect();
    found.sort_by_key(|(location, it)| (Reverse((it.chain_cost, it.readers.len())), *location));
    let others = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    let numbers: HashMap<Location, usize> =
        found.iter().enumerate().map(|(index, (location, _))| (*location, index)).collect();
    let rows = found.iter().map(|(location, it)| {
        let Meaning { kind, words } = decode(recording, location);
        LocationRow {
            location: location.to_string(),
            account: location.account(),
            kind,
            words,
            waiting: it.readers.len(),
            writers: it.writers.len(),
            on_chain: it.on_chain,
            chain_cost: it.chain_cost,
        }
    });
    (rows.collect(), others, waits(graph, &numbers))
}

fn waits(graph: &Graph, numbers: &HashMap<Location, usize>) -> Vec<Wait> {
    let mut waits = Vec::new();
    for (reader, needs) in graph.needs().iter().enumerate() {
        let mut of_reader: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for need in needs {
            let locations = of_reader.entry(need.writer).or_default();
            locations.extend(numbers.get(&need.location));
        }
        waits.extend(of_reader.into_iter().map(|(writer, locations)| Wait {
            writer,
            reader,
            locations: locations.into_iter().collect(),
        }));
    }
    waits
}
