//! The reads of one incarnation.

use super::location::Location;
use super::resolve::Resolved;
use std::collections::HashMap;

/// Reads up to which a linear search beats an index.
const SHORT: usize = 16;

/// One recorded read: everything that validation needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord<L: Location> {
    /// What was read.
    pub location: L,
    /// What was seen.
    pub seen: Resolved<L>,
}

/// All reads of one incarnation, each location once (I5).
#[derive(Clone, Debug)]
pub struct ReadSet<L: Location> {
    records: Vec<ReadRecord<L>>,
    index: HashMap<L, usize, foldhash::fast::RandomState>,
}

impl<L: Location> Default for ReadSet<L> {
    fn default() -> Self {
        Self { records: Vec::new(), index: HashMap::default() }
    }
}

impl<L: Location> ReadSet<L> {
    /// The reads, in the order in which they happened.
    #[must_use]
    pub fn records(&self) -> &[ReadRecord<L>] {
        &self.records
    }

    /// The value that this incarnation has seen at `location`.
    #[must_use]
    pub fn get(&self, location: &L) -> Option<&L::Value> {
        self.seen(location).map(|seen| &seen.value)
    }

    /// What this incarnation has seen at `location`, and where it came from.
    #[must_use]
    pub fn seen(&self, location: &L) -> Option<&Resolved<L>> {
        let record = if self.records.len() <= SHORT {
            self.records.iter().find(|record| record.location == *location)
        } else {
            self.index.get(location).and_then(|at| self.records.get(*at))
        };
        record.map(|record| &record.seen)
    }

    /// Records a first read.
    pub fn push(&mut self, location: L, seen: Resolved<L>) {
        self.records.push(ReadRecord { location, seen });
        if self.records.len() > SHORT {
            let unindexed = self.index.len();
            for (at, record) in self.records.iter().enumerate().skip(unindexed) {
                self.index.insert(record.location.clone(), at);
            }
        }
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.index.clear();
    }
}
