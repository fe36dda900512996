//! The read set of an incarnation.

use super::location::Location;
use super::place::LocationHash;
use super::resolve::Resolved;
use hashbrown::HashTable;

/// Maximum number of reads for which a linear search is faster than an index.
const MAX_UNINDEXED: usize = 16;

/// A recorded read, with all that validation needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord<L: Location> {
    /// The location.
    pub location: L,
    /// The value and its origin.
    pub seen: Resolved<L>,
}

/// All reads of an incarnation, one per location (I5).
#[derive(Clone, Debug)]
pub struct ReadSet<L: Location> {
    records: Vec<ReadRecord<L>>,
    /// Positions of the records by hash; empty while there are few.
    index: HashTable<u32>,
}

impl<L: Location> Default for ReadSet<L> {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl<L: Location> ReadSet<L> {
    /// Creates an empty set with room for `reads` reads.
    #[must_use]
    pub fn with_capacity(reads: usize) -> Self {
        let indexed = if reads > MAX_UNINDEXED { reads } else { 0 };
        Self { records: Vec::with_capacity(reads), index: HashTable::with_capacity(indexed) }
    }

    /// Returns the reads, in the order in which they were made.
    #[must_use]
    pub fn records(&self) -> &[ReadRecord<L>] {
        &self.records
    }

    /// Returns the recorded read of `location`, whose hash is `hash`.
    #[must_use]
    pub fn seen(&self, hash: LocationHash, location: &L) -> Option<&Resolved<L>> {
        let same =
            |record: &ReadRecord<L>| record.seen.hash == hash && record.location == *location;
        let record = if self.records.len() <= MAX_UNINDEXED {
            self.records.iter().find(|record| same(record))
        } else {
            let at = |at: &u32| self.records.get(*at as usize);
            self.index.find(hash.bits(), |i| at(i).is_some_and(same)).and_then(at)
        };
        record.map(|record| &record.seen)
    }

    /// Records the first read of a location.
    pub fn push(&mut self, location: L, seen: Resolved<L>) {
        self.records.push(ReadRecord { location, seen });
        if self.records.len() <= MAX_UNINDEXED {
            return;
        }
        let Self { records, index } = self;
        let hash_at =
            |at: &u32| records.get(*at as usize).map_or(0, |record| record.seen.hash.bits());
        for (at, record) in records.iter().enumerate().skip(index.len()) {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            index.insert_unique(record.seen.hash.bits(), at, hash_at);
        }
    }

    /// Removes all reads, and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.index.clear();
    }
}
