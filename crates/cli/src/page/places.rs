//! The places at which transactions wait, one by one, and which transaction waits for which.

use crate::explain::{Graph, Kind, Location, Meaning, Recording, Step, decode};
use alloy_primitives::Address;
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Places that are decoded, at most.
const MOST: usize = 1_000;

/// A place at which a transaction reads what an earlier one has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlaceRow {
    /// The place, as the command line takes it.
    pub location: String,
    /// The account that it belongs to.
    pub account: Address,
    /// Its kind.
    pub kind: Kind,
    /// What it is, in words.
    pub words: String,
    /// Transactions that read there what an earlier one has written.
    pub waiting: usize,
    /// Transactions that wrote what another one read there.
    pub writers: usize,
    /// Transactions of the conflict chain that wait here.
    pub on_chain: usize,
    /// Their cost.
    pub serialises: u64,
}

/// A transaction reads what an earlier one has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The earlier one.
    pub writer: usize,
    /// The one that waits.
    pub reader: usize,
    /// Where: indices of rows. Places that have no row are left out.
    pub places: Vec<usize>,
}

#[derive(Default)]
struct Found {
    readers: BTreeSet<usize>,
    writers: BTreeSet<usize>,
    on_chain: usize,
    serialises: u64,
}

/// The first thousand places in order of what they cost, the number of the others, and all waits.
#[must_use]
pub fn places(
    recording: &Recording,
    graph: &Graph,
    path: &[Step],
) -> (Vec<PlaceRow>, usize, Vec<Wait>) {
    let mut found: BTreeMap<Location, Found> = BTreeMap::new();
    for (reader, needs) in graph.needs().iter().enumerate() {
        for need in needs {
            let place = found.entry(need.location).or_default();
            place.readers.insert(reader);
            place.writers.insert(need.writer);
        }
    }
    for step in path {
        for place in &step.waited_for {
            let place = found.entry(*place).or_default();
            place.on_chain += 1;
            place.serialises += graph.costs()[step.transaction];
        }
    }
    let mut found: Vec<(Location, Found)> = found.into_iter().collect();
    found.sort_by_key(|(location, it)| (Reverse((it.serialises, it.readers.len())), *location));
    let others = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    let numbers: HashMap<Location, usize> =
        found.iter().enumerate().map(|(index, (location, _))| (*location, index)).collect();
    let rows = found.iter().map(|(location, it)| {
        let Meaning { kind, words } = decode(recording, location);
        PlaceRow {
            location: location.to_string(),
            account: location.account(),
            kind,
            words,
            waiting: it.readers.len(),
            writers: it.writers.len(),
            on_chain: it.on_chain,
            serialises: it.serialises,
        }
    });
    (rows.collect(), others, waits(graph, &numbers))
}

fn waits(graph: &Graph, numbers: &HashMap<Location, usize>) -> Vec<Wait> {
    let mut waits = Vec::new();
    for (reader, needs) in graph.needs().iter().enumerate() {
        let mut of_reader: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for need in needs {
            let places = of_reader.entry(need.writer).or_default();
            places.extend(numbers.get(&need.location));
        }
        waits.extend(of_reader.into_iter().map(|(writer, places)| Wait {
            writer,
            reader,
            places: places.into_iter().collect(),
        }));
    }
    waits
}
