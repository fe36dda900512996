//! Exact locations in addition to hashes, in builds with debug assertions or traces. They check
//! each commit of a private batch once more, by exact comparison. Other builds keep nothing.

use super::location::Location;
use crate::ids::{BatchId, Chunk, TxIndex};

/// Locations read from a snapshot, with the values found; without a value if only the location
/// counts.
pub type ExactReads<L> = Vec<(L, Option<<L as Location>::Value>)>;

/// Accesses of one group of a private batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExactGroup<L: Location> {
    /// Its transactions.
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
    open: (ExactReads<L>, Vec<L>),
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
        Self { groups: Vec::new(), open: (Vec::new(), Vec::new()) }
    }
}

#[cfg(any(debug_assertions, feature = "trace"))]
impl<L: Location> ExactLog<L> {
    pub(super) fn read(&mut self, location: &L, value: Option<&L::Value>) {
        self.open.0.push((location.clone(), value.cloned()));
    }

    pub(super) fn write(&mut self, location: &L) {
        self.open.1.push(location.clone());
    }

    pub(super) fn end_group(&mut self, txs: Chunk) {
        let (reads, writes) = core::mem::take(&mut self.open);
        self.groups.push(ExactGroup { txs, reads, writes });
    }

    /// Returns the number of reads and writes since the last group ended.
    pub(super) const fn open(&self) -> (usize, usize) {
        (self.open.0.len(), self.open.1.len())
    }

    pub(super) fn forget_since(&mut self, (reads, writes): (usize, usize)) {
        self.open.0.truncate(reads);
        self.open.1.truncate(writes);
    }

    /// Returns the groups, in block order.
    #[must_use]
    pub fn groups(&self) -> &[ExactGroup<L>] {
        &self.groups
    }

    /// Returns the group that starts with `first`.
    fn group(&self, first: TxIndex) -> Option<&ExactGroup<L>> {
        let place = self.groups.binary_search_by_key(&first, |group| group.txs.first).ok()?;
        self.groups.get(place)
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
            let by = self.commits.entry(location.clone()).or_default();
            if by.last() != Some(&batch) {
                by.push(batch);
            }
        }
    }

    /// Returns whether no other batch has committed a write to a location accessed by the group of
    /// `batch` that starts with `first`. The batch's earlier groups were compared as they committed,
    /// and no other batch commits between the groups of one.
    pub(super) fn allows(&self, batch: BatchId, log: &ExactLog<L>, first: TxIndex) -> bool {
        let group = log.group(first).into_iter();
        let mut accessed =
            group.flat_map(|group| group.reads.iter().map(|(at, _)| at).chain(&group.writes));
        accessed.all(|at| self.commits.get(at).is_none_or(|by| by.iter().all(|by| *by == batch)))
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

    pub(super) const fn open(&self) -> (usize, usize) {
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
