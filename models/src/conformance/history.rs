//! The exact history of commits, from which the commit rule is computed independently of the
//! engine's index.

use super::batch_runs::RecordedRun;
use super::store_rules::{StoreRules, Why, ensure};
use braid_evm::ids::{Chunk, TxIndex};
use braid_evm::mv::Location;
use braid_evm::protocol::Job;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Writer of a location: a transaction and the job of its private batch.
type Writer = (TxIndex, Job);

/// Committed writes by location, and which of them are not in the store yet.
#[derive(Debug)]
pub(super) struct History<L: Location> {
    /// Whether batches read from an access list, so that no commit of another batch conflicts with
    /// them.
    pub(super) is_listed: bool,
    writers: HashMap<L, Vec<Writer>>,
    /// The end and the written locations of each group that is not in the store, by its first
    /// transaction.
    unpublished: BTreeMap<TxIndex, (TxIndex, HashSet<L>)>,
    /// The range that is being published.
    publishing: Option<Chunk>,
}

impl<L: Location> Default for History<L> {
    fn default() -> Self {
        Self {
            is_listed: false,
            writers: HashMap::new(),
            unpublished: BTreeMap::new(),
            publishing: None,
        }
    }
}

impl<L: Location> History<L> {
    /// Records the commit of a group of a private batch.
    pub(super) fn commit_group(&mut self, job: Job, group: Chunk, writes: &[L]) {
        for location in writes {
            self.writers.entry(location.clone()).or_default().push((group.first, job));
        }
        self.unpublished.insert(group.first, (group.end, writes.iter().cloned().collect()));
    }

    /// Returns whether another job has committed a write to `location` since `snapshot`.
    fn is_written_by_others(&self, location: &L, job: Job, snapshot: TxIndex) -> bool {
        let writers = self.writers.get(location).into_iter().flatten();
        writers.copied().any(|(tx, by)| tx >= snapshot && by != job)
    }

    /// Returns the first group of `ran` from `first_group` on that conflicts with the commits so
    /// far.
    #[must_use]
    pub(super) fn first_conflict(
        &self,
        ran: &RecordedRun<L>,
        first_group: usize,
    ) -> Option<TxIndex> {
        let mut has_conflict = false;
        if self.is_listed {
            return None;
        }
        for (at, group) in ran.groups.iter().enumerate() {
            let reads = group.reads.iter().map(|(location, _)| location);
            let accessed = reads.chain(&group.writes);
            // A tombstone at the scope of a location changes the location.
            let mut accessed = accessed.flat_map(|at| [Some(at.clone()), at.scope()]).flatten();
            has_conflict |= accessed
                .any(|location| self.is_written_by_others(&location, ran.job, ran.snapshot));
            if has_conflict && at >= first_group {
                return Some(group.txs.first);
            }
        }
        None
    }

    /// Returns whether any other job or transaction has committed since the snapshot of `ran`.
    #[must_use]
    pub(super) fn has_later_commits(&self, ran: &RecordedRun<L>) -> bool {
        let mut writers = self.writers.values().flatten();
        writers.any(|(tx, by)| *tx >= ran.snapshot && *by != ran.job)
    }

    /// Checks that all writes below `end` are in the store.
    ///
    /// # Errors
    /// Returns the reason if a write is missing.
    pub(super) fn is_published(&self, end: TxIndex) -> Result<(), Why> {
        let first = self.unpublished.keys().next().filter(|first| **first < end);
        ensure(first.is_none(), || format!("what {first:?} has left is not in the store"))
    }

    /// Returns the first transaction whose writes are not in the store.
    fn first_unpublished(&self) -> Option<TxIndex> {
        self.unpublished.keys().next().copied()
    }

    /// Starts the publication of all writes that are not in the store. Returns whether there are
    /// any.
    pub(super) fn begin_publishing(&mut self) -> bool {
        let last = self.unpublished.values().next_back();
        let txs = self.first_unpublished().zip(last.map(|(end, _)| *end));
        self.publishing = txs.map(|(first, end)| Chunk { first, end });
        self.publishing.is_some()
    }

    /// Returns whether writes of `tx` are being published.
    #[must_use]
    pub(super) fn publishes(&self, tx: TxIndex) -> bool {
        self.publishing.is_some_and(|chunk| chunk.first <= tx && tx < chunk.end)
    }

    /// Checks the publication of an entry of `tx` at `location`.
    ///
    /// # Errors
    /// Returns the reason if the group of `tx` has not written there.
    pub(super) fn put(&self, tx: TxIndex, location: &L) -> Result<(), Why> {
        let group = self.unpublished.range(..=tx).next_back();
        let written =
            group.is_some_and(|(_, (end, writes))| tx < *end && writes.contains(location));
        ensure(written, || format!("{tx} has not written {location:?}, which is published"))
    }

    /// Checks that all writes of the publication are in the store.
    ///
    /// # Errors
    /// Returns the reason if a write is missing.
    pub(super) fn is_complete(&self, store: &StoreRules<L>) -> Result<(), Why> {
        let Some(txs) = self.publishing else { return Ok(()) };
        for (first, (end, writes)) in self.unpublished.range(txs.first..txs.end) {
            let by = (first.0..end.0).map(TxIndex);
            let entries = by.flat_map(|tx| store.cells.entries_of(tx));
            let there: HashSet<&L> = entries.map(|(location, ..)| location).collect();
            let right = there.len() == writes.len() && writes.iter().all(|at| there.contains(at));
            ensure(right, || {
                format!("{first} has written {writes:?}, and {there:?} is published")
            })?;
        }
        Ok(())
    }

    /// Ends the publication, if there was one.
    ///
    /// # Errors
    /// Returns the reason if a write is not in the store.
    pub(super) fn end_publishing(&mut self, store: &StoreRules<L>) -> Result<(), Why> {
        self.is_complete(store)?;
        if self.publishing.take().is_some() {
            self.unpublished.clear();
        }
        Ok(())
    }
}
