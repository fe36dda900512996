//! What was committed, exactly and in order: the right side of the commit rule, kept beside the engine's index.

use super::batch_runs::Ran;
use super::store_rules::{StoreRules, Why, ensure};
use braid_evm::ids::{Chunk, TxIndex};
use braid_evm::mv::Location;
use braid_evm::protocol::Job;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Who wrote: a run of a private batch, or none.
type Writer = (TxIndex, Option<Job>);

/// Committed writes by location, and which of them are not in the store yet.
#[derive(Debug)]
pub(super) struct History<L: Location> {
    /// Batches know what they read: nothing that others commit forbids them to commit.
    pub(super) is_told: bool,
    writers: HashMap<L, Vec<Writer>>,
    /// By the first transaction of a group that was committed privately: its end, and where it has written.
    unpublished: BTreeMap<TxIndex, (TxIndex, HashSet<L>)>,
    /// What the coordinator puts into the store now, and the readers that were named meanwhile.
    publishing: Option<(Chunk, BTreeSet<TxIndex>)>,
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
    /// A transaction is committed that is none of a private batch, or ran at the frontier.
    pub(super) fn commit_single<'l>(&mut self, tx: TxIndex, writes: impl Iterator<Item = &'l L>) {
        self.note((tx, None), writes);
    }

    /// A group of a private batch is committed.
    pub(super) fn commit_group(&mut self, job: Job, group: Chunk, writes: &[L]) {
        self.note((group.first, Some(job)), writes.iter());
        self.unpublished.insert(group.first, (group.end, writes.iter().cloned().collect()));
    }

    fn note<'l>(&mut self, writer: Writer, writes: impl Iterator<Item = &'l L>) {
        for location in writes {
            self.writers.entry(location.clone()).or_default().push(writer);
        }
    }

    /// Whether another run than this one has committed, from its snapshot on, a write of `location`.
    fn is_outsiders(&self, location: &L, job: Job, snapshot: TxIndex) -> bool {
        let writers = self.writers.get(location).into_iter().flatten();
        writers.copied().any(|(tx, by)| tx >= snapshot && by != Some(job))
    }

    /// The first group of `ran`, from the one at `place` on, that the commit rule forbids if no other run commits before it.
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

    /// Whether another batch, or none, has committed something since the snapshot of `ran`.
    #[must_use]
    pub(super) fn has_outsiders(&self, ran: &Ran<L>) -> bool {
        let mut writers = self.writers.values().flatten();
        writers.any(|(tx, by)| *tx >= ran.snapshot && *by != Some(ran.job))
    }

    /// Something is about to read below `end`.
    ///
    /// # Errors
    /// Not all of that is in the store.
    pub(super) fn is_published(&self, end: TxIndex) -> Result<(), Why> {
        let first = self.unpublished.keys().next().filter(|first| **first < end);
        ensure(first.is_none(), || format!("what {first:?} has left is not in the store"))
    }

    /// The coordinator is going to put into the store what `txs` have left.
    ///
    /// # Errors
    /// There is nothing of them.
    pub(super) fn begin_publishing(&mut self, txs: Chunk) -> Result<(), Why> {
        self.publishing = Some((txs, BTreeSet::new()));
        let mut groups = self.unpublished.range(txs.first..txs.end);
        ensure(groups.next().is_some(), || format!("nothing of {txs:?} is to be published"))
    }

    /// Whether the coordinator publishes for `tx` now.
    #[must_use]
    pub(super) fn publishes(&self, tx: TxIndex) -> bool {
        let chunk = self.publishing.as_ref().map(|(chunk, _)| chunk);
        chunk.is_some_and(|chunk| chunk.first <= tx && tx < chunk.end)
    }

    /// The coordinator puts an entry of `tx` at `location` into the store, and these readers are named.
    ///
    /// # Errors
    /// The group of `tx` has not written there.
    pub(super) fn put(&mut self, tx: TxIndex, location: &L, stale: &[TxIndex]) -> Result<(), Why> {
        let group = self.unpublished.range(..=tx).next_back();
        let written =
            group.is_some_and(|(_, (end, writes))| tx < *end && writes.contains(location));
        ensure(written, || format!("{tx} has not written {location:?}, which is published"))?;
        if let Some((_, named)) = &mut self.publishing {
            named.extend(stale);
        }
        Ok(())
    }

    /// All that is to be published now is in the store.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn is_complete(&self, store: &StoreRules<L>) -> Result<(), Why> {
        let Some((txs, _)) = &self.publishing else { return Ok(()) };
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

    /// The publication is over, and said to have named these.
    ///
    /// # Errors
    /// There was none, or others were named.
    pub(super) fn end_publishing(&mut self, tx: TxIndex, stale: &[TxIndex]) -> Result<(), Why> {
        let publishing = self.publishing.take().filter(|(txs, _)| txs.first == tx);
        let Some((txs, named)) = publishing else {
            return Err(format!("nothing from {tx} on is published"));
        };
        let mut groups = self.unpublished.range(txs.first..txs.end);
        let ends_life = groups.any(|(_, (_, writes))| writes.iter().any(Location::is_scope));
        self.unpublished.retain(|first, _| *first < txs.first || *first >= txs.end);
        // Slots look at their scopes only once there is something to see.
        let above = |reader: &TxIndex| ends_life && *reader >= txs.end;
        let told: BTreeSet<TxIndex> = stale.iter().copied().collect();
        let right = told.is_superset(&named) && told.difference(&named).all(above);
        ensure(right, || format!("{named:?} were named, and {told:?} are said to be"))
    }

    /// Whether something is being published.
    #[must_use]
    pub(super) const fn is_publishing(&self) -> bool {
        self.publishing.is_some()
    }
}
