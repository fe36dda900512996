//! The conflict index: what was committed in a stretch of a block, and by whom. It gives the verdict of the
//! commit rule for private batches (`docs/PROTOCOL.md`).

use super::access::{AccessLog, Watch};
use super::exact::ExactIndex;
use super::location::Location;
use super::mutants::{StoreMutant, is_store_mutant};
use crate::ids::{BatchId, TxIndex};
use core::hash::BuildHasher;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// The last two writers of a location, of different batches.
#[derive(Clone, Copy, Debug)]
struct Writers {
    hash: u64,
    /// The last one.
    last: TxIndex,
    /// Its batch, if it is one's.
    batch: Option<BatchId>,
    /// The last one that is none of that batch.
    other: Option<TxIndex>,
}

/// Committed writes by location hash.
#[derive(Clone, Debug)]
pub struct ConflictIndex<L: Location> {
    hasher: RandomState,
    written: HashTable<Writers>,
    exact: ExactIndex<L>,
    mutant: StoreMutant,
}

impl<L: Location> Default for ConflictIndex<L> {
    fn default() -> Self {
        Self {
            hasher: RandomState::default(),
            written: HashTable::new(),
            exact: ExactIndex::default(),
            mutant: StoreMutant::default(),
        }
    }
}

impl<L: Location> ConflictIndex<L> {
    /// The same with a seeded bug.
    #[must_use]
    pub const fn with_mutant(mut self, mutant: StoreMutant) -> Self {
        self.mutant = mutant;
        self
    }

    /// An empty access log, to be compared with this index.
    #[must_use]
    pub fn log(&self) -> AccessLog<L> {
        AccessLog::new(self.hasher.clone())
    }

    /// Commits the group of `log` that begins with `first`; those who wait are told.
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
        if !is_store_mutant!(self.mutant, WatchBlind) {
            others.for_each(|watch| watch.note(writes));
        }
    }

    /// Commits the writes of `tx`, which is none of a private batch; those who wait are told.
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
        let mutant = self.mutant;
        self.written.reserve(writes.len(), |writers| writers.hash);
        for &hash in writes {
            let new = Writers { hash, last: tx, batch, other: None };
            let entry = self.written.entry(hash, |at| at.hash == hash, |at| at.hash);
            entry
                .and_modify(|writers| {
                    if is_store_mutant!(mutant, IndexForgets) {
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

    /// The lowest transaction of `batch`, which ran on `snapshot` and left `log`, that may not commit if nothing else is
    /// committed before it: an outsider has written, from the snapshot on, what it or one before it has accessed.
    #[must_use]
    pub fn first_conflict(
        &self,
        log: &AccessLog<L>,
        batch: BatchId,
        snapshot: TxIndex,
    ) -> Option<TxIndex> {
        if self.written.is_empty() || is_store_mutant!(self.mutant, OutsidersIgnored) {
            return None;
        }
        let reads_only = is_store_mutant!(self.mutant, WritesUncompared);
        log.first_where(reads_only, |hash| {
            let writers = self.written.find(hash, |at| at.hash == hash);
            writers.is_some_and(|at| {
                let other = at.other.filter(|_| !is_store_mutant!(self.mutant, LastWriterOnly));
                let outsider = if at.batch == Some(batch) { other } else { Some(at.last) };
                outsider.is_some_and(|tx| tx >= snapshot)
            })
        })
    }

    /// The same for one group, by exact comparison: whether the one that begins with `first` may commit now. Builds
    /// without debug assertions say yes.
    #[must_use]
    pub fn allows(
        &self,
        log: &AccessLog<L>,
        batch: BatchId,
        first: TxIndex,
        snapshot: TxIndex,
    ) -> bool {
        debug_assert!(self.hasher.hash_one(7) == log.hasher().hash_one(7), "one hasher for both");
        self.exact.allows(batch, log.exact(), first, snapshot)
    }

    /// Whether `location`, or one with the same hash, was written.
    #[must_use]
    pub fn has(&self, location: &L) -> bool {
        let hash = self.hasher.hash_one(location);
        self.written.find(hash, |at| at.hash == hash).is_some()
    }
}
