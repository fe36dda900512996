//! Access log of a private batch: its reads from the snapshot and its writes, which the commit rule
//! compares with the conflict index.

use super::exact::ExactLog;
use super::location::Location;
use crate::ids::{Chunk, TxIndex};
use core::hash::BuildHasher;
use foldhash::fast::RandomState;

/// The accesses of a private batch, by hash, in the order in which its transactions ran.
///
/// Transactions commit in groups: usually groups of one, or groups of contiguous transactions whose
/// writes the batch combines. Two locations with the same hash count as one, which may abort a
/// result but never commits a wrong one.
///
/// An access to a scoped location includes its scope, because a tombstone at the scope changes the
/// location.
#[derive(Clone, Debug)]
pub struct AccessLog<L: Location> {
    hasher: RandomState,
    reads: Vec<u64>,
    writes: Vec<u64>,
    groups: Vec<GroupEnd>,
    /// The scope added last; consecutive accesses often share it.
    last_scope: Option<L>,
    exact: ExactLog<L>,
    /// Whether only writes are recorded, because other transactions cannot change the reads.
    of_writes: bool,
}

/// A position in an access log.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    hashes: (usize, usize),
    exact: (usize, usize),
}

/// A group of transactions, with the positions in the log where it ends.
#[derive(Clone, Copy, Debug)]
struct GroupEnd {
    txs: Chunk,
    reads: usize,
    writes: usize,
}

impl<L: Location> AccessLog<L> {
    /// Creates an empty log for comparison with an index that has the same hasher.
    pub(super) fn new(hasher: RandomState) -> Self {
        Self {
            hasher,
            reads: Vec::new(),
            writes: Vec::new(),
            groups: Vec::new(),
            last_scope: None,
            exact: ExactLog::default(),
            of_writes: false,
        }
    }

    /// Makes the log record writes only: for a batch that already knows the values it reads and
    /// checks them itself, so that no commit of another batch can conflict with it.
    #[must_use]
    pub fn of_writes(mut self) -> Self {
        self.of_writes = true;
        self
    }

    /// Returns whether no commit of another batch can conflict with this one.
    pub(super) const fn is_of_writes(&self) -> bool {
        self.of_writes
    }

    /// Records that `value` was read at `location` from the snapshot.
    pub fn read(&mut self, location: &L, value: &L::Value) {
        if self.of_writes {
            return;
        }
        self.reads.push(self.hasher.hash_one(location));
        self.add_scope(location);
        self.exact.read(location, Some(value));
    }

    /// Records a read of `location` that a tombstone of this batch answered. A tombstone counts as
    /// a write of every location in its scope, so a concurrent write of `location` by another batch
    /// must be detected.
    pub fn read_ended(&mut self, location: &L) {
        if self.of_writes {
            return;
        }
        self.reads.push(self.hasher.hash_one(location));
        self.exact.read(location, None);
    }

    /// Records a write of `location` by the current transaction.
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

    /// Reserves room for as many writes as there are reads: most written locations were read.
    pub fn expect_writes(&mut self) {
        self.writes.reserve(self.reads.len());
    }

    /// Ends a group of the transactions `txs`, which ran since the last group. The group commits as
    /// a whole.
    pub fn end_group(&mut self, txs: Chunk) {
        let (reads, writes) = (self.reads.len(), self.writes.len());
        // `writes_of` uses binary search.
        debug_assert!(self.groups.last().is_none_or(|last| last.txs.first < txs.first));
        self.groups.push(GroupEnd { txs, reads, writes });
        self.exact.end_group(txs);
    }

    /// Returns the current position in the log.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { hashes: (self.reads.len(), self.writes.len()), exact: self.exact.group_len() }
    }

    /// Drops all accesses since `mark`.
    pub fn forget_since(&mut self, mark: Mark) {
        let Mark { hashes: (reads, writes), exact } = mark;
        self.reads.truncate(reads);
        self.writes.truncate(writes);
        self.exact.forget_since(exact);
        // The last scope may be among the dropped accesses.
        self.last_scope = None;
    }

    /// Drops all accesses since the last group ended.
    pub fn forget_rest(&mut self) {
        let hashes = self.groups.last().map_or((0, 0), |end| (end.reads, end.writes));
        self.forget_since(Mark { hashes, exact: (0, 0) });
    }

    /// Iterates over the groups, in block order.
    pub fn groups(&self) -> impl Iterator<Item = Chunk> + '_ {
        self.groups.iter().map(|group| group.txs)
    }

    /// Returns the exact locations; empty in builds that do not keep them.
    #[must_use]
    pub const fn exact(&self) -> &ExactLog<L> {
        &self.exact
    }

    pub(super) const fn hasher(&self) -> &RandomState {
        &self.hasher
    }

    /// Returns the hashes of the locations that the group starting with `first` has written.
    pub(super) fn writes_of(&self, first: TxIndex) -> &[u64] {
        // The transactions of a batch run in block order.
        let Ok(index) = self.groups.binary_search_by_key(&first, |group| group.txs.first) else {
            return &[];
        };
        let previous = index.checked_sub(1).and_then(|previous| self.groups.get(previous));
        let start = previous.map_or(0, |group| group.writes);
        let end = self.groups.get(index).map_or(0, |group| group.writes);
        self.writes.get(start..end).unwrap_or_default()
    }

    /// Returns the first transaction of the lowest group that made an access for which
    /// `is_conflict` returns true.
    pub(super) fn first_where(
        &self,
        reads_only: bool,
        is_conflict: impl Fn(u64) -> bool,
    ) -> Option<TxIndex> {
        let first = |hashes: &[u64]| hashes.iter().position(|hash| is_conflict(*hash));
        let read = first(&self.reads).and_then(|at| self.group_at(at, |group| group.reads));
        let writes = if reads_only { &[] } else { &self.writes[..] };
        let written = first(writes).and_then(|at| self.group_at(at, |group| group.writes));
        [read, written].into_iter().flatten().min()
    }

    /// Returns the first transaction of the group that contains the access at `position`.
    fn group_at(&self, position: usize, end: fn(&GroupEnd) -> usize) -> Option<TxIndex> {
        let group = self.groups.partition_point(|group| end(group) <= position);
        self.groups.get(group).map(|group| group.txs.first)
    }
}
