//! The conflict index: the writes that private batches have committed in a segment of a block. It
//! decides the commit rule for private batches (`docs/PROTOCOL.md`).

use super::access::AccessLog;
use super::exact::ExactIndex;
use super::location::Location;
use crate::ids::{BatchId, TxIndex};
use core::hash::BuildHasher;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Hashes of the locations that private batches have written in this segment.
#[derive(Clone, Debug)]
pub struct ConflictIndex<L: Location> {
    hasher: RandomState,
    written: HashTable<u64>,
    exact: ExactIndex<L>,
}

impl<L: Location> Default for ConflictIndex<L> {
    fn default() -> Self {
        Self {
            hasher: RandomState::default(),
            written: HashTable::new(),
            exact: ExactIndex::default(),
        }
    }
}

impl<L: Location> ConflictIndex<L> {
    /// Creates an empty access log for comparison with this index.
    #[must_use]
    pub fn log(&self) -> AccessLog<L> {
        AccessLog::new(self.hasher.clone())
    }

    /// Commits the group of `log` that starts with `first`.
    pub fn commit_group(&mut self, batch: BatchId, log: &AccessLog<L>, first: TxIndex) {
        self.exact.commit_group(batch, log.exact(), first);
        let writes = log.writes_of(first);
        self.written.reserve(writes.len(), |hash| *hash);
        for &hash in writes {
            self.written.entry(hash, |at| *at == hash, |at| *at).or_insert(hash);
        }
    }

    /// Returns the lowest transaction of the batch with the access log `log` that must not commit:
    /// another batch has written a location that this transaction or an earlier one of the batch
    /// has accessed. The batch must be the next to commit, and none of it has committed.
    #[must_use]
    pub fn first_conflict(&self, log: &AccessLog<L>) -> Option<TxIndex> {
        if log.is_of_writes()
            || self.written.is_empty()
            || mutant!(OutsidersIgnored | PartUnchecked)
        {
            return None;
        }
        let reads_only = mutant!(WritesUncompared);
        log.first_where(reads_only, |hash| self.written.find(hash, |at| *at == hash).is_some())
    }

    /// Compares exactly whether the group that starts with `first` may commit now. Always true in
    /// builds without debug assertions.
    #[must_use]
    pub fn allows(&self, log: &AccessLog<L>, batch: BatchId, first: TxIndex) -> bool {
        debug_assert!(self.hasher.hash_one(7) == log.hasher().hash_one(7), "different hashers");
        log.is_of_writes() || self.exact.allows(batch, log.exact(), first)
    }

    /// Returns whether `location`, or one with the same hash, was written.
    #[must_use]
    pub fn has(&self, location: &L) -> bool {
        let hash = self.hasher.hash_one(location);
        self.written.find(hash, |at| *at == hash).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Chunk;
    use core::hash::{Hash, Hasher};

    /// A location, in the scope of location 0 if its number is above 9. With `COLLIDES`, all
    /// locations have the same hash.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct TestLocation<const COLLIDES: bool>(u32);

    impl<const COLLIDES: bool> Hash for TestLocation<COLLIDES> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            (if COLLIDES { 0 } else { self.0 }).hash(state);
        }
    }

    impl<const COLLIDES: bool> Location for TestLocation<COLLIDES> {
        type Value = u32;
        type Delta = u32;

        fn scope(&self) -> Option<Self> {
            (self.0 > 9).then_some(Self(0))
        }

        fn is_scope(&self) -> bool {
            self.0 == 0
        }

        fn destroyed(&self) -> u32 {
            0
        }

        fn fold(value: &mut u32, delta: &u32) {
            *value += delta;
        }
    }

    /// Whether this build compares exactly.
    const IS_EXACT: bool = cfg!(any(debug_assertions, feature = "trace"));
    const OWN: BatchId = BatchId(0);
    const OTHER: BatchId = BatchId(1);

    const fn single(tx: u32) -> Chunk {
        Chunk { first: TxIndex(tx), end: TxIndex(tx + 1) }
    }

    /// Returns the log of a batch whose transactions have each read or written one location.
    fn log<const COLLIDES: bool>(
        index: &ConflictIndex<TestLocation<COLLIDES>>,
        accesses: &[(u32, Result<u32, u32>)],
    ) -> AccessLog<TestLocation<COLLIDES>> {
        let mut log = index.log();
        for (tx, access) in accesses {
            match access {
                Ok(read) => log.read(&TestLocation(*read), &7),
                Err(written) => log.write(&TestLocation(*written)),
            }
            log.end_group(single(*tx));
        }
        log
    }

    /// Commits writes of another batch to `locations`.
    fn write<const COLLIDES: bool>(
        index: &mut ConflictIndex<TestLocation<COLLIDES>>,
        locations: &[u32],
    ) {
        let writes = (0..).zip(locations).map(|(tx, location)| (tx, Err(*location)));
        let writes: Vec<_> = writes.collect();
        let other = log(index, &writes);
        writes.iter().for_each(|(tx, _)| index.commit_group(OTHER, &other, TxIndex(*tx)));
    }

    #[test]
    fn only_writes_of_others_count() {
        let mut index = ConflictIndex::<TestLocation<false>>::default();
        let own = log(&index, &[(3, Ok(1)), (4, Ok(2)), (5, Err(4))]);
        write(&mut index, &[3]);
        assert_eq!(index.first_conflict(&own), None);
        index.commit_group(OWN, &own, TxIndex(5));
        assert!(index.allows(&own, OWN, TxIndex(5)));
        write(&mut index, &[2]);
        assert_eq!(index.first_conflict(&own), Some(TxIndex(4)));
        assert!(index.allows(&own, OWN, TxIndex(3)));
        assert!(!IS_EXACT || !index.allows(&own, OWN, TxIndex(4)));
        assert!(index.has(&TestLocation(2)) && !index.has(&TestLocation(5)));
    }

    /// A tombstone at the scope changes the locations in the scope; a new value at one of them does
    /// not affect the others.
    #[test]
    fn a_scope_counts_with_what_lies_in_it() {
        let mut index = ConflictIndex::<TestLocation<false>>::default();
        let own = log(&index, &[(1, Ok(10))]);
        write(&mut index, &[11]);
        assert_eq!(index.first_conflict(&own), None);
        write(&mut index, &[0]);
        assert_eq!(index.first_conflict(&own), Some(TxIndex(1)));
    }

    /// Colliding locations count as one: a valid result may be aborted, an invalid one never
    /// commits.
    #[test]
    fn places_with_one_hash_forbid_more_and_never_less() {
        let mut index = ConflictIndex::<TestLocation<true>>::default();
        let own = log(&index, &[(2, Ok(5)), (3, Ok(1)), (4, Ok(2))]);
        write(&mut index, &[3]);
        // A false conflict.
        assert!(index.allows(&own, OWN, TxIndex(4)));
        assert_eq!(index.first_conflict(&own), Some(TxIndex(2)));
        // A real conflict.
        write(&mut index, &[2]);
        assert!(!IS_EXACT || !index.allows(&own, OWN, TxIndex(4)));
        assert_eq!(index.first_conflict(&own), Some(TxIndex(2)));
    }

    #[test]
    fn what_came_after_the_last_group_is_forgotten() {
        let mut index = ConflictIndex::<TestLocation<false>>::default();
        let mut own = log(&index, &[(0, Ok(1))]);
        own.read(&TestLocation(2), &7);
        own.write(&TestLocation(3));
        own.forget_rest();
        write(&mut index, &[2, 3]);
        assert_eq!(index.first_conflict(&own), None);
        assert_eq!(own.groups().collect::<Vec<_>>(), [single(0)]);
    }
}
