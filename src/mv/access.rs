//! What a private batch has read from its snapshot and written: the left side of the commit rule.

use super::exact::ExactLog;
use super::location::Location;
use super::mutants::{StoreMutant, is_store_mutant};
use crate::ids::{Chunk, TxIndex};
use core::hash::BuildHasher;
use core::ops::Range;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// The access set of a private batch, by hash, in the order in which its transactions ran.
///
/// Transactions are committed in groups of neighbours: usually of one, of many where a batch takes
/// what neighbours leave together. Two locations with one hash count as one, which may discard a
/// result and never commits a wrong one.
///
/// A location that has a scope counts together with it: a tombstone at the scope changes the
/// location.
#[derive(Clone, Debug)]
pub struct AccessLog<L: Location> {
    hasher: RandomState,
    reads: Vec<u64>,
    writes: Vec<u64>,
    groups: Vec<GroupEnd>,
    /// The scope that was added last: neighbours share it.
    last_scope: Option<L>,
    exact: ExactLog<L>,
    /// Only what is written is kept: what is read others cannot change.
    of_writes: bool,
    mutant: StoreMutant,
}

/// How much of an access log there was at some time.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    hashes: (usize, usize),
    exact: (usize, usize),
}

/// A group of transactions, and how much of the log there was when it ended.
#[derive(Clone, Copy, Debug)]
struct GroupEnd {
    txs: Chunk,
    reads: usize,
    writes: usize,
}

impl<L: Location> AccessLog<L> {
    /// Nothing, to be compared with what shares this hasher.
    pub(super) fn new(hasher: RandomState, mutant: StoreMutant) -> Self {
        Self {
            hasher,
            reads: Vec::new(),
            writes: Vec::new(),
            groups: Vec::new(),
            last_scope: None,
            exact: ExactLog::default(),
            of_writes: false,
            mutant,
        }
    }

    /// The same of a batch that knows what it reads, and by itself sees to it that it is right:
    /// nothing that others commit forbids it to commit.
    #[must_use]
    pub fn of_writes(mut self) -> Self {
        self.of_writes = true;
        self
    }

    /// Whether nothing that others commit forbids the batch to commit.
    pub(super) const fn is_of_writes(&self) -> bool {
        self.of_writes
    }

    /// `location` was read from the snapshot, and `value` was found there.
    pub fn read(&mut self, location: &L, value: &L::Value) {
        if self.of_writes {
            return;
        }
        self.reads.push(self.hasher.hash_one(location));
        self.add_scope(location);
        self.exact.read(location, Some(value));
    }

    /// The answer at `location` came from a tombstone of this batch, which stands for a write of
    /// everything in its scope: that others write `location` meanwhile must not go unnoticed.
    pub fn read_ended(&mut self, location: &L) {
        if self.of_writes {
            return;
        }
        self.reads.push(self.hasher.hash_one(location));
        self.exact.read(location, None);
    }

    /// The transaction that runs writes `location`.
    pub fn write(&mut self, location: &L) {
        self.writes.push(self.hasher.hash_one(location));
        self.add_scope(location);
        self.exact.write(location);
    }

    fn add_scope(&mut self, location: &L) {
        let Some(scope) = location.scope().filter(|_| !self.of_writes) else { return };
        if self.last_scope.as_ref() != Some(&scope) {
            self.reads.push(self.hasher.hash_one(&scope));
            self.exact.read(&scope, None);
            self.last_scope = Some(scope);
        }
    }

    /// Makes room for as many writes as there are reads: most of what is written was read.
    pub fn expect_writes(&mut self) {
        self.writes.reserve(self.reads.len());
    }

    /// `txs`, which have run last, are a group: they commit together.
    pub fn end_group(&mut self, txs: Chunk) {
        let (reads, writes) = (self.reads.len(), self.writes.len());
        // `writes_of` searches by halves.
        debug_assert!(self.groups.last().is_none_or(|last| last.txs.first < txs.first));
        self.groups.push(GroupEnd { txs, reads, writes });
        self.exact.end_group(txs);
    }

    /// How much there is.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { hashes: (self.reads.len(), self.writes.len()), exact: self.exact.open() }
    }

    /// Forgets what was read and written since `mark`.
    pub fn forget_since(&mut self, mark: Mark) {
        let Mark { hashes: (reads, writes), exact } = mark;
        self.reads.truncate(reads);
        self.writes.truncate(writes);
        self.exact.forget_since(exact);
        // Its scope may be among what was forgotten.
        self.last_scope = None;
    }

    /// Forgets what was read and written since the last group ended.
    pub fn forget_rest(&mut self) {
        let hashes = self.groups.last().map_or((0, 0), |end| (end.reads, end.writes));
        self.forget_since(Mark { hashes, exact: (0, 0) });
    }

    /// The groups, in order.
    pub fn groups(&self) -> impl Iterator<Item = Chunk> + '_ {
        self.groups.iter().map(|group| group.txs)
    }

    /// The exact locations, in builds that keep them.
    #[must_use]
    pub const fn exact(&self) -> &ExactLog<L> {
        &self.exact
    }

    pub(super) const fn hasher(&self) -> &RandomState {
        &self.hasher
    }

    /// Hashes of what the group that begins with `first` has written.
    pub(super) fn writes_of(&self, first: TxIndex) -> &[u64] {
        // Transactions of a batch run in the order of the block.
        let Ok(place) = self.groups.binary_search_by_key(&first, |group| group.txs.first) else {
            return &[];
        };
        let from = place.checked_sub(1).and_then(|before| self.groups.get(before));
        let end = self.groups.get(place).map_or(0, |group| group.writes);
        self.writes.get(from.map_or(0, |group| group.writes)..end).unwrap_or_default()
    }

    /// The first transaction whose group has accessed, by then, something that `is_conflict` says
    /// yes to.
    pub(super) fn first_where(
        &self,
        reads_only: bool,
        is_conflict: impl Fn(u64) -> bool,
    ) -> Option<TxIndex> {
        let place = |hashes: &[u64]| hashes.iter().position(|hash| is_conflict(*hash));
        let read = place(&self.reads).and_then(|at| self.group_at(at, |group| group.reads));
        let writes = if reads_only { &[] } else { &self.writes[..] };
        let written = place(writes).and_then(|at| self.group_at(at, |group| group.writes));
        [read, written].into_iter().flatten().min()
    }

    fn group_at(&self, place: usize, end: fn(&GroupEnd) -> usize) -> Option<TxIndex> {
        let group = self.groups.partition_point(|group| end(group) <= place);
        self.groups.get(group).map(|group| group.txs.first)
    }

    /// Whether transactions of others lie between those of this batch.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        self.groups
            .windows(2)
            .any(|pair| matches!(pair, [one, next] if one.txs.end != next.txs.first))
    }

    /// Each access with the first transaction of the group that made it.
    fn accesses(&self) -> impl Iterator<Item = (u64, TxIndex)> + '_ {
        let mut from = (0, 0);
        self.groups.iter().flat_map(move |group| {
            let (reads, writes): (Range<usize>, Range<usize>) =
                (from.0..group.reads, from.1..group.writes);
            from = (group.reads, group.writes);
            let reads = self.reads.get(reads).unwrap_or_default();
            let writes = self.writes.get(writes).unwrap_or_default();
            reads.iter().chain(writes).map(move |hash| (*hash, group.txs.first))
        })
    }

    /// The same, to be asked for each write that others commit from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let mut first = HashTable::with_capacity(self.reads.len() + self.writes.len());
        for (hash, tx) in self.accesses() {
            let access =
                first.entry(hash, |(other, _)| *other == hash, |(other, _): &(u64, _)| *other);
            if is_store_mutant!(self.mutant, LastAccessCounts) {
                access.insert((hash, tx));
                continue;
            }
            // The first access counts.
            access.or_insert((hash, tx));
        }
        Watch { first, bound: None }
    }
}

/// The access set of a batch whose results wait to be committed, by hash.
#[derive(Clone, Debug)]
pub struct Watch {
    first: HashTable<(u64, TxIndex)>,
    /// The lowest transaction that may not commit any more.
    bound: Option<TxIndex>,
}

impl Watch {
    /// An outsider commits these writes.
    pub fn note(&mut self, writes: &[u64]) {
        for hash in writes {
            if let Some((_, tx)) = self.first.find(*hash, |(other, _)| other == hash) {
                self.bound = Some(self.bound.map_or(*tx, |bound| bound.min(*tx)));
            }
        }
    }

    /// `tx` and those after it may not commit, if there is one.
    pub fn forbid(&mut self, tx: Option<TxIndex>) {
        self.bound = [self.bound, tx].into_iter().flatten().min();
    }

    /// The lowest transaction that may not commit, as what others have committed meanwhile is among
    /// what it or one before it has accessed.
    #[must_use]
    pub const fn bound(&self) -> Option<TxIndex> {
        self.bound
    }
}
