//! Exact locations of private batches, for a check of each commit in builds with debug assertions
//! or traces. Other builds store hashes only.

use super::location::Location;
use crate::ids::{BatchId, Chunk, TxIndex};

/// Locations read from a snapshot, with their values; `None` if the value does not matter.
pub type ExactReads<L> = Vec<(L, Option<<L as Location>::Value>)>;

/// Accesses of one group of a private batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExactGroup<L: Location> {
    /// The transactions.
    pub txs: Chunk,
    /// Reads from the snapshot.
    pub reads: ExactReads<L>,
    /// Written locations.
    pub writes: Vec<L>,
}

/// Exact accesses of a batch, by group.
#[derive(Clone, Debug)]
pub struct ExactLog<L: Location> {
    #[cfg(any(debug_assertions, feature = "trace"))]
    groups: Vec<ExactGroup<L>>,
    /// Reads and writes since the last group ended.
    #[cfg(any(debug_assertions, feature = "trace"))]
    current: (ExactReads<L>, Vec<L>),
    #[cfg(not(any(debug_assertions, feature = "trace")))]
    nothing: core::marker::PhantomData<L>,
}

/// The batches that have committed a write to each location.
#[derive(Clone, Debug)]
pub(super) struct ExactIndex<L: Location> {
    #[cfg(any(debug_assertions, feature = "trace"))]
    commits: std::collections::HashMap<L, Vec<BatchId>>,
    #[cfg(not(any(debug_assertions, feature = "trace")))]
    nothing: core::marker::PhantomData<L>,
}

#[cfg(any(debug_assertions, feature = "trace"))]
impl<L: Location> Default for ExactLog<L> {
    fn default() -> Self {
        Self { groups: Vec::new(), current: (Vec::new(), Vec::new()) }
    }
}

#[cfg(any(debug_assertions, feature = "trace"))]
impl<L: Location> ExactLog<L> {
    pub(super) fn read(&mut self, location: &L, value: Option<&L::Value>) {
        self.current.0.push((location.clone(), value.cloned()));
    }

    pub(super) fn write(&mut self, location: &L) {
        self.current.1.push(location.clone());
    }

    pub(super) fn end_group(&mut self, txs: Chunk) {
        let (reads, writes) = core::mem::take(&mut self.current);
        self.groups.push(ExactGroup { txs, reads, writes });
    }

    /// Returns the numbers of reads and of writes since the last group ended.
    pub(super) const fn group_len(&self) -> (usize, usize) {
        (self.current.0.len(), self.current.1.len())
    }

    pub(super) fn forget_since(&mut self, (reads, writes): (usize, usize)) {
        self.current.0.truncate(reads);
        self.current.1.truncate(writes);
    }

    /// Returns the groups, in block order.
    #[must_use]
    pub fn groups(&self) -> &[ExactGroup<L>] {
        &self.groups
    }

    /// Returns the group that starts with `first`.
    fn group(&self, first: TxIndex) -> Option<&ExactGroup<L>> {
        let index = self.groups.binary_search_by_key(&first, |group| group.txs.first).ok()?;
        self.groups.get(index)
    }
}

#[cfg(any(debug_assertions, feature = "trace"))]
impl<L: Location> Default for ExactIndex<L> {
    fn default() -> Self {
        Self { commits: Default::default() }
    }
}

#[cfg(any(debug_assertions, feature = "trace"))]
impl<L: Location> ExactIndex<L> {
    /// Commits the group of `log` that starts with `first`.
    pub(super) fn commit_group(&mut self, batch: BatchId, log: &ExactLog<L>, first: TxIndex) {
        for location in log.group(first).into_iter().flat_map(|group| &group.writes) {
            let writers = self.commits.entry(location.clone()).or_default();
            if writers.last() != Some(&batch) {
                writers.push(batch);
            }
        }
    }

    /// Returns whether no other batch has committed a write to a location accessed by the group of
    /// `batch` that starts with `first`. Earlier groups of the batch were compared at their
    /// commits, and no other batch commits between groups of one batch.
    pub(super) fn allows(&self, batch: BatchId, log: &ExactLog<L>, first: TxIndex) -> bool {
        let group = log.group(first).into_iter();
        let mut accessed =
            group.flat_map(|group| group.reads.iter().map(|(read, _)| read).chain(&group.writes));
        let is_own = |writers: &Vec<BatchId>| writers.iter().all(|writer| *writer == batch);
        accessed.all(|location| self.commits.get(location).is_none_or(is_own))
    }
}

#[cfg(not(any(debug_assertions, feature = "trace")))]
impl<L: Location> Default for ExactLog<L> {
    fn default() -> Self {
        Self { nothing: core::marker::PhantomData }
    }
}

#[cfg(not(any(debug_assertions, feature = "trace")))]
impl<L: Location> ExactLog<L> {
    pub(super) const fn read(&mut self, _: &L, _: Option<&L::Value>) {}

    pub(super) const fn write(&mut self, _: &L) {}

    pub(super) const fn end_group(&mut self, _: Chunk) {}

    pub(super) const fn group_len(&self) -> (usize, usize) {
        (0, 0)
    }

    pub(super) const fn forget_since(&mut self, _: (usize, usize)) {}

    /// Always empty in this build.
    #[must_use]
    pub const fn groups(&self) -> &[ExactGroup<L>] {
        &[]
    }
}

#[cfg(not(any(debug_assertions, feature = "trace")))]
impl<L: Location> Default for ExactIndex<L> {
    fn default() -> Self {
        Self { nothing: core::marker::PhantomData }
    }
}

#[cfg(not(any(debug_assertions, feature = "trace")))]
impl<L: Location> ExactIndex<L> {
    pub(super) const fn commit_group(&mut self, _: BatchId, _: &ExactLog<L>, _: TxIndex) {}

    pub(super) const fn allows(&self, _: BatchId, _: &ExactLog<L>, _: TxIndex) -> bool {
        true
    }
}
