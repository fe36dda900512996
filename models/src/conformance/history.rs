//! The exact history of commits, from which the commit rule is computed independently of the
//! engine's index.

use super::batch_runs::Ran;
use super::store_rules::{StoreRules, Why, ensure};
use braid_evm::ids::{Chunk, TxIndex};
use braid_evm::mv::Location;
use braid_evm::protocol::Job;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Writer of a location: a transaction, and the job of its private batch, if any.
type Writer = (TxIndex, Option<Job>);

/// Committed writes by location, and which of them are not in the store yet.
#[derive(Debug)]
pub(super) struct History<L: Location> {
    /// Whether batches read from an access list, so that no commit of others forbids theirs.
    pub(super) is_told: bool,
    writers: HashMap<L, Vec<Writer>>,
    /// For each group that was committed privately, by its first transaction: its end and the
    /// locations written.
    unpublished: BTreeMap<TxIndex, (TxIndex, HashSet<L>)>,
    /// The range that the coordinator is publishing.
    publishing: Option<Chunk>,
}

impl<L: Location> Default for History<L> {
    fn default() -> Self {
        Self {
            is_told: false,
            writers: HashMap::new(),
            unpublished: BTreeMap::new(),
            publishing: None,
        }
    }
}

impl<L: Location> History<L> {
    /// Records the commit of a transaction outside all batches, or after a run at the frontier.
    pub(super) fn commit_single<'l>(&mut self, tx: TxIndex, writes: impl Iterator<Item = &'l L>) {
        self.note((tx, None), writes);
    }

    /// Records the commit of a group of a private batch.
    pub(super) fn commit_group(&mut self, job: Job, group: Chunk, writes: &[L]) {
        self.note((group.first, Some(job)), writes.iter());
        self.unpublished.insert(group.first, (group.end, writes.iter().cloned().collect()));
    }

    fn note<'l>(&mut self, writer: Writer, writes: impl Iterator<Item = &'l L>) {
        for location in writes {
            self.writers.entry(location.clone()).or_default().push(writer);
        }
    }

    /// Returns whether another job has committed a write to `location` since `snapshot`.
    fn is_outsiders(&self, location: &L, job: Job, snapshot: TxIndex) -> bool {
        let writers = self.writers.get(location).into_iter().flatten();
        writers.copied().any(|(tx, by)| tx >= snapshot && by != Some(job))
    }

    /// Returns the first group of `ran` at or after `place` that the commit rule would forbid if
    /// nothing else commits first.
    #[must_use]
    pub(super) fn first_conflict(&self, ran: &Ran<L>, place: usize) -> Option<TxIndex> {
        let mut met = false;
        if self.is_told {
            return None;
        }
        for (at, group) in ran.groups.iter().enumerate() {
            let reads = group.reads.iter().map(|(location, _)| location);
            let accessed = reads.chain(&group.writes);
            // A tombstone at the scope of a location changes the location.
            let mut accessed = accessed.flat_map(|at| [Some(at.clone()), at.scope()]).flatten();
            met |= accessed.any(|location| self.is_outsiders(&location, ran.job, ran.snapshot));
            if met && at >= place {
                return Some(group.txs.first);
            }
        }
        None
    }

    /// Returns whether any other job or transaction has committed since the snapshot of `ran`.
    #[must_use]
    pub(super) fn has_outsiders(&self, ran: &Ran<L>) -> bool {
        let mut writers = self.writers.values().flatten();
        writers.any(|(tx, by)| *tx >= ran.snapshot && *by != Some(ran.job))
    }

    /// Checks that all writes below `end` are in the store before a read.
    ///
    /// # Errors
    /// Returns the reason if some are not.
    pub(super) fn is_published(&self, end: TxIndex) -> Result<(), Why> {
        let first = self.unpublished.keys().next().filter(|first| **first < end);
        ensure(first.is_none(), || format!("what {first:?} has left is not in the store"))
    }

    /// Starts the publication of the writes of `txs`.
    ///
    /// # Errors
    /// Returns the reason if they have no unpublished writes.
    pub(super) fn begin_publishing(&mut self, txs: Chunk) -> Result<(), Why> {
        self.publishing = Some(txs);
        let mut groups = self.unpublished.range(txs.first..txs.end);
        ensure(groups.next().is_some(), || format!("nothing of {txs:?} is to be published"))
    }

    /// Returns whether the coordinator is publishing writes of `tx`.
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
    /// Returns the reason if one is not.
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

    /// Ends the publication from `tx` on.
    ///
    /// # Errors
    /// Returns the reason if there was no publication.
    pub(super) fn end_publishing(&mut self, tx: TxIndex) -> Result<(), Why> {
        let publishing = self.publishing.take().filter(|txs| txs.first == tx);
        let txs = publishing.ok_or_else(|| format!("nothing from {tx} on is published"))?;
        self.unpublished.retain(|first, _| *first < txs.first || *first >= txs.end);
        Ok(())
    }

    /// Returns whether a publication is in progress.
    #[must_use]
    pub(super) const fn is_publishing(&self) -> bool {
        self.publishing.is_some()
    }
}
