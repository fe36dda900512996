//! The conflict index: which transactions and batches committed which writes in a segment of a
//! block. It decides the commit rule for private batches (`docs/PROTOCOL.md`).

use super::access::{AccessLog, Watch};
use super::exact::ExactIndex;
use super::location::Location;
use crate::ids::{BatchId, TxIndex};
use core::hash::BuildHasher;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// The last two writers of a location, of different batches.
#[derive(Clone, Copy, Debug)]
struct Writers {
    hash: u64,
    /// The last writer.
    last: TxIndex,
    /// The batch of the last writer, if it belongs to one.
    batch: Option<BatchId>,
    /// The last writer outside that batch.
    other: Option<TxIndex>,
}

/// Committed writes by location hash.
#[derive(Clone, Debug)]
pub struct ConflictIndex<L: Location> {
    hasher: RandomState,
    written: HashTable<Writers>,
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

    /// Commits the group of `log` that starts with `first`, and updates the watches of waiting
    /// batches.
    pub fn commit_group<'w>(
        &mut self,
        batch: BatchId,
        log: &AccessLog<L>,
        first: TxIndex,
        others: impl Iterator<Item = &'w mut Watch>,
    ) {
        self.exact.commit_group(batch, log.exact(), first);
        let writes = log.writes_of(first);
        self.commit(first, Some(batch), writes);
        self.tell(others, writes);
    }

    fn tell<'w>(&self, others: impl Iterator<Item = &'w mut Watch>, writes: &[u64]) {
        if !mutant!(WatchBlind) {
            others.for_each(|watch| watch.note(writes));
        }
    }

    /// Commits the writes of `tx`, which belongs to no private batch, and updates the watches of
    /// waiting batches.
    pub fn commit_single<'w>(
        &mut self,
        tx: TxIndex,
        writes: &[L],
        others: impl Iterator<Item = &'w mut Watch>,
    ) {
        self.exact.commit(tx, None, writes);
        let hashes: Vec<u64> = writes.iter().map(|at| self.hasher.hash_one(at)).collect();
        self.commit(tx, None, &hashes);
        self.tell(others, &hashes);
    }

    fn commit(&mut self, tx: TxIndex, batch: Option<BatchId>, writes: &[u64]) {
        self.written.reserve(writes.len(), |writers| writers.hash);
        for &hash in writes {
            let new = Writers { hash, last: tx, batch, other: None };
            let entry = self.written.entry(hash, |at| at.hash == hash, |at| at.hash);
            entry
                .and_modify(|writers| {
                    if mutant!(IndexForgets) {
                        return;
                    }
                    if writers.batch != batch {
                        (writers.other, writers.batch) = (Some(writers.last), batch);
                    }
                    writers.last = tx;
                })
                .or_insert(new);
        }
    }

    /// Returns the lowest transaction of `batch` that must not commit, assuming no further commits
    /// in between: since the snapshot, a transaction outside the batch has written a location that
    /// this transaction or an earlier one of the batch has accessed. `batch` ran on `snapshot` and
    /// recorded `log`.
    #[must_use]
    pub fn first_conflict(
        &self,
        log: &AccessLog<L>,
        batch: BatchId,
        snapshot: TxIndex,
    ) -> Option<TxIndex> {
        if log.is_of_writes()
            || self.written.is_empty()
            || mutant!(OutsidersIgnored | PartUnchecked | LaneUnchecked)
        {
            return None;
        }
        let reads_only = mutant!(WritesUncompared);
        log.first_where(reads_only, |hash| {
            let writers = self.written.find(hash, |at| at.hash == hash);
            writers.is_some_and(|at| {
                let other = at.other.filter(|_| !mutant!(LastWriterOnly));
                let outsider = if at.batch == Some(batch) { other } else { Some(at.last) };
                outsider.is_some_and(|tx| tx >= snapshot)
            })
        })
    }

    /// Compares exactly whether the group that starts with `first` may commit now. Always true in
    /// builds without debug assertions.
    #[must_use]
    pub fn allows(
        &self,
        log: &AccessLog<L>,
        batch: BatchId,
        first: TxIndex,
        snapshot: TxIndex,
    ) -> bool {
        debug_assert!(self.hasher.hash_one(7) == log.hasher().hash_one(7), "one hasher for both");
        log.is_of_writes() || self.exact.allows(batch, log.exact(), first, snapshot)
    }

    /// Returns whether `location`, or one with the same hash, was written.
    #[must_use]
    pub fn has(&self, location: &L) -> bool {
        let hash = self.hasher.hash_one(location);
        self.written.find(hash, |at| at.hash == hash).is_some()
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
    struct Place<const COLLIDES: bool>(u32);

    impl<const COLLIDES: bool> Hash for Place<COLLIDES> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            (if COLLIDES { 0 } else { self.0 }).hash(state);
        }
    }

    impl<const COLLIDES: bool> Location for Place<COLLIDES> {
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
        index: &ConflictIndex<Place<COLLIDES>>,
        accesses: &[(u32, Result<u32, u32>)],
    ) -> AccessLog<Place<COLLIDES>> {
        let mut log = index.log();
        for (tx, access) in accesses {
            match access {
                Ok(read) => log.read(&Place(*read), &7),
                Err(written) => log.write(&Place(*written)),
            }
            log.end_group(single(*tx));
        }
        log
    }

    fn no_watches<'w>() -> impl Iterator<Item = &'w mut Watch> {
        core::iter::empty()
    }

    /// Transaction 2 reads a location that transactions 0 and 3 of its batch and transaction 1 of
    /// another batch write.
    fn own_write_above_an_outsiders<const COLLIDES: bool>() -> Option<TxIndex> {
        let mut index = ConflictIndex::<Place<COLLIDES>>::default();
        let own = log(&index, &[(0, Err(1)), (2, Ok(1)), (3, Err(1))]);
        let other = log(&index, &[(1, Err(1))]);
        index.commit_group(OWN, &own, TxIndex(0), no_watches());
        index.commit_group(OTHER, &other, TxIndex(1), no_watches());
        index.commit_group(OWN, &own, TxIndex(3), no_watches());
        index.first_conflict(&own, OWN, TxIndex(0))
    }

    #[test]
    fn an_outsider_counts_below_a_write_of_the_batch_itself() {
        let first = Some(TxIndex(0));
        assert_eq!(own_write_above_an_outsiders::<false>(), first);
        assert_eq!(own_write_above_an_outsiders::<true>(), first);
    }

    #[cfg(feature = "mutants")]
    #[test]
    fn last_writer_only_is_noticed() {
        let _bug = crate::mutants::seed(crate::mutants::Bug::LastWriterOnly);
        assert_eq!(own_write_above_an_outsiders::<false>(), None);
    }

    #[test]
    fn only_outsiders_since_the_snapshot_count() {
        let mut index = ConflictIndex::<Place<false>>::default();
        let own = log(&index, &[(1, Err(1)), (3, Ok(1)), (4, Ok(2))]);
        index.commit_single(TxIndex(0), &[Place(1), Place(2)], no_watches());
        index.commit_group(OWN, &own, TxIndex(1), no_watches());
        assert_eq!(index.first_conflict(&own, OWN, TxIndex(1)), None);
        assert_eq!(index.first_conflict(&own, OWN, TxIndex(0)), Some(TxIndex(1)));
        index.commit_single(TxIndex(2), &[Place(2)], no_watches());
        assert_eq!(index.first_conflict(&own, OWN, TxIndex(1)), Some(TxIndex(4)));
        assert!(index.allows(&own, OWN, TxIndex(3), TxIndex(1)));
        assert!(!IS_EXACT || !index.allows(&own, OWN, TxIndex(4), TxIndex(1)));
        assert!(index.has(&Place(2)) && !index.has(&Place(3)));
    }

    /// A tombstone at the scope changes the locations in the scope; a new value at one of them does
    /// not affect the others.
    #[test]
    fn a_scope_counts_with_what_lies_in_it() {
        let mut index = ConflictIndex::<Place<false>>::default();
        let own = log(&index, &[(1, Ok(10))]);
        index.commit_single(TxIndex(0), &[Place(11)], no_watches());
        assert_eq!(index.first_conflict(&own, OWN, TxIndex(0)), None);
        index.commit_single(TxIndex(0), &[Place(0)], no_watches());
        assert_eq!(index.first_conflict(&own, OWN, TxIndex(0)), Some(TxIndex(1)));
    }

    /// A watch sees each write of another batch; the first access of a location counts.
    #[test]
    fn a_watch_says_what_a_new_comparison_would() {
        let mut index = ConflictIndex::<Place<false>>::default();
        let own = log(&index, &[(0, Ok(1)), (2, Ok(2)), (4, Err(1)), (6, Ok(3))]);
        let mut watch = own.watch();
        assert_eq!(watch.bound(), None);
        for (tx, written, bound) in [(1, 4, None), (3, 3, Some(6)), (5, 1, Some(0))] {
            index.commit_single(TxIndex(tx), &[Place(written)], core::iter::once(&mut watch));
            assert_eq!(watch.bound(), bound.map(TxIndex));
            assert_eq!(watch.bound(), index.first_conflict(&own, OWN, TxIndex(0)));
        }
        watch.forbid(None);
        assert_eq!(watch.bound(), Some(TxIndex(0)));
    }

    /// Colliding locations count as one: a valid result may be aborted, an invalid one never
    /// commits.
    #[test]
    fn places_with_one_hash_forbid_more_and_never_less() {
        let mut index = ConflictIndex::<Place<true>>::default();
        let own = log(&index, &[(0, Ok(5)), (2, Ok(1)), (4, Ok(2))]);
        let mut watch = own.watch();
        index.commit_single(TxIndex(1), &[Place(3)], core::iter::once(&mut watch));
        // A false conflict.
        assert!(index.allows(&own, OWN, TxIndex(4), TxIndex(0)));
        assert_eq!(index.first_conflict(&own, OWN, TxIndex(0)), Some(TxIndex(0)));
        assert_eq!(watch.bound(), Some(TxIndex(0)));
        // And a real one.
        index.commit_single(TxIndex(3), &[Place(2)], core::iter::once(&mut watch));
        assert!(!IS_EXACT || !index.allows(&own, OWN, TxIndex(4), TxIndex(0)));
        assert_eq!(index.first_conflict(&own, OWN, TxIndex(0)), Some(TxIndex(0)));
    }

    #[test]
    fn what_came_after_the_last_group_is_forgotten() {
        let mut index = ConflictIndex::<Place<false>>::default();
        let mut own = log(&index, &[(0, Ok(1))]);
        own.read(&Place(2), &7);
        own.write(&Place(3));
        own.forget_rest();
        index.commit_single(TxIndex(0), &[Place(2), Place(3)], no_watches());
        assert_eq!(index.first_conflict(&own, OWN, TxIndex(0)), None);
        assert_eq!(own.groups().collect::<Vec<_>>(), [single(0)]);
        assert!(!own.has_gaps() && log(&index, &[(0, Ok(1)), (2, Ok(1))]).has_gaps());
    }
}
