//! Private batches: where each one stands, and their runs. `groups` has what happens at the frontier.
//!
//! A private batch runs on the committed prefix below its snapshot *s*. Its transaction *f* may commit once everything
//! below *f* is committed, if nobody outside the batch has written, from *s* to *f*, what the batch has accessed up to
//! and including *f*. From the first one that may not, the rest is discarded. `docs/PROTOCOL.md` has the proof.

use super::batch::Batch;
use super::events::{BatchReport, Command, Job, JobReport, Mode};
use super::mutants::is_mutant;
use super::state::{Awaiting, Protocol};
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, Incarnation, TxIndex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What the protocol keeps of the private batches of a stretch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Private {
    pub(super) batches: Vec<PrivateBatch>,
    /// Batches that are not over, by their lowest member that is not final.
    heads: BTreeMap<TxIndex, BatchId>,
    /// Those heads whose batches wait to run.
    pub(super) ready: BTreeSet<TxIndex>,
    /// What lies below it is in the store.
    published: TxIndex,
    /// Whether there are published transactions beside the batches: they may read what a batch has committed.
    pub(super) is_mixed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PrivateBatch {
    pub(super) members: Batch,
    /// Runs so far: also the incarnation of the next one.
    pub(super) runs: u32,
    pub(super) state: BatchState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum BatchState {
    /// Its members from the head on wait for a run.
    Waiting,
    /// In a job, perhaps not begun.
    InFlight(Job),
    /// It has run, and some of it waits to be committed.
    Ended(Ended),
    /// All members are final.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ended {
    /// Groups that have run and are not committed.
    pub(super) groups: VecDeque<Chunk>,
    /// The member after them, if it must run at the frontier.
    pub(super) held: Option<TxIndex>,
    /// The rule allows all groups below `conflict`, or all, if nobody else commits from `compared` on.
    pub(super) compared: TxIndex,
    pub(super) conflict: Option<TxIndex>,
    /// Members that have committed from `compared` on.
    pub(super) own: u32,
    /// Where it began.
    pub(super) snapshot: TxIndex,
}

pub(super) type Polled = Result<Option<Command>, Invariant>;

impl Private {
    pub(super) fn new(first: TxIndex, batches: &[Batch], is_mixed: bool) -> Self {
        let heads =
            batches.iter().zip(0..).filter_map(|(batch, id)| Some((batch.first()?, BatchId(id))));
        let heads: BTreeMap<_, _> = heads.collect();
        let ready = heads.keys().copied().collect();
        let waiting = |members: &Batch| PrivateBatch {
            members: members.clone(),
            runs: 0,
            state: BatchState::Waiting,
        };
        let batches = batches.iter().map(waiting).collect();
        Self { batches, heads, ready, published: first, is_mixed }
    }

    /// The batch whose turn it is to commit `tx`.
    pub(super) fn head(&self, tx: TxIndex) -> Option<BatchId> {
        self.heads.get(&tx).copied()
    }

    pub(super) const fn published(&self) -> TxIndex {
        self.published
    }

    pub(super) fn is_over(&self) -> bool {
        self.heads.is_empty()
    }

    pub(super) fn batch(&self, id: BatchId) -> Option<&PrivateBatch> {
        self.batches.get(id.0 as usize)
    }

    pub(super) fn batch_mut(
        &mut self,
        id: BatchId,
        tx: TxIndex,
    ) -> Result<&mut PrivateBatch, Invariant> {
        self.batches.get_mut(id.0 as usize).ok_or(Invariant::MissingResult { tx })
    }

    /// The head `tx` of its batch is final, and everything below `frontier`.
    pub(super) fn advance(&mut self, tx: TxIndex, frontier: TxIndex) {
        if self.published == tx || self.is_mixed {
            // It was run at the frontier, or left out: what it has left is in the store.
            self.published = frontier;
        }
        self.pass(tx, frontier);
    }

    /// The same for a group, which is published later unless there is somebody to read it.
    pub(super) fn advance_group(&mut self, group: Chunk) {
        if self.is_mixed {
            self.published = group.end;
        }
        self.pass(group.first, group.end);
    }

    /// For seeded bugs: the next group of the first batch that has ended.
    pub(super) fn first_ended(&self) -> Option<(BatchId, Chunk)> {
        self.heads.values().find_map(|id| match &self.batch(*id)?.state {
            BatchState::Ended(ended) => Some((*id, *ended.groups.front()?)),
            BatchState::Waiting | BatchState::InFlight(_) | BatchState::Over => None,
        })
    }

    fn pass(&mut self, head: TxIndex, frontier: TxIndex) {
        let Some(id) = self.heads.remove(&head) else { return };
        self.ready.remove(&head);
        let Some(batch) = self.batches.get_mut(id.0 as usize) else { return };
        let next = batch.members.from(frontier).next();
        let Some(next) = next else {
            batch.state = BatchState::Over;
            return;
        };
        self.heads.insert(next, id);
        // What is left of it after one that ran at the frontier runs on a later snapshot.
        let is_rest = |ended: &Ended| ended.groups.is_empty() && ended.held == Some(head);
        if matches!(&batch.state, BatchState::Ended(ended) if is_rest(ended)) {
            batch.state = BatchState::Waiting;
        }
        if batch.state == BatchState::Waiting {
            self.ready.insert(next);
        }
    }
}

impl Ended {
    pub(super) fn of(snapshot: TxIndex, report: BatchReport) -> Self {
        let BatchReport { groups, held } = report;
        let (compared, conflict, own) = (snapshot, None, 0);
        Self { groups: groups.into(), held, compared, conflict, own, snapshot }
    }

    /// Whether all from the snapshot up to `frontier` are members: what is next is valid by construction.
    pub(super) fn is_in_order(&self, frontier: TxIndex) -> bool {
        self.compared == self.snapshot && self.is_current(frontier)
    }

    /// Whether nobody else has committed from `compared` up to `frontier`.
    pub(super) const fn is_current(&self, frontier: TxIndex) -> bool {
        self.compared.0 + self.own == frontier.0
    }
}

impl Protocol {
    /// Whether a private batch may still run or commit.
    #[must_use]
    pub fn has_private(&self) -> bool {
        !self.private.is_over()
    }

    /// Whether `tx` is a member of a private batch: no chunk holds it.
    #[must_use]
    pub fn is_private(&self, tx: TxIndex) -> bool {
        self.slots.get(tx).is_none_or(|slot| slot.chunk_end == TxIndex(0))
    }

    /// The private batches.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = &Batch> {
        self.private.batches.iter().map(|batch| &batch.members)
    }

    /// What committed transactions below it have left is in the store.
    #[must_use]
    pub fn published(&self) -> TxIndex {
        if self.private.is_mixed || self.slots.first() < self.slots.end() {
            return self.frontier;
        }
        self.private.published()
    }

    /// The lowest private batch above the frontier that waits to run, if it may go out.
    pub(super) fn next_batch(&mut self) -> Polled {
        let full = self.in_flight >= self.limits.job_capacity;
        if self.in_order() || (full && !is_mutant!(self.mutant, CapacityIgnored)) {
            return Ok(None);
        }
        let window_end = TxIndex(self.frontier.0.saturating_add(self.limits.window));
        let first = self.private.ready.range(self.frontier.next()..).next().copied();
        let is_in = |first: &TxIndex| *first < window_end || is_mutant!(self.mutant, WindowIgnored);
        let Some(first) = first.filter(is_in) else { return Ok(None) };
        let Some(id) = self.private.head(first) else { return Ok(None) };
        let cap = self.limits.max_speculative_runs;
        let is_spent = self.private.batch(id).is_some_and(|batch| batch.runs >= cap);
        if is_spent && !is_mutant!(self.mutant, Uncapped) {
            // Each of its members waits for the frontier.
            self.private.ready.remove(&first);
            return self.next_batch();
        }
        if let Some(publish) = self.publish_for(id) {
            return Ok(Some(publish));
        }
        let job = self.start_batch(id, first)?;
        self.in_flight += 1;
        Ok(Some(Command::Dispatch(job)))
    }

    /// Whoever reads below the frontier finds in the store what private batches have committed.
    pub(super) fn publish_below(&mut self) -> Option<Command> {
        let first = self.private.published;
        let end = self.frontier;
        if self.private.is_mixed || first >= end || is_mutant!(self.mutant, PublishForgotten) {
            return None;
        }
        self.private.published = end;
        self.awaiting = Some(Awaiting::Publish(first));
        Some(Command::Publish(Chunk { first, end }))
    }

    /// The same before a run of the batch `id`. The first run takes the snapshot that is there: what was committed since
    /// is compared. Where that was wasted the next run sees all that is committed.
    pub(super) fn publish_for(&mut self, id: BatchId) -> Option<Command> {
        let has_run = self.private.batch(id).is_some_and(|batch| batch.runs > 0);
        if has_run { self.publish_below() } else { None }
    }

    pub(super) fn start_batch(&mut self, id: BatchId, first: TxIndex) -> Result<Job, Invariant> {
        let is_forgotten = is_mutant!(self.mutant, PublishForgotten);
        let published = if self.private.is_mixed { self.frontier } else { self.private.published };
        let snapshot = if is_forgotten { self.frontier } else { published };
        if !is_mutant!(self.mutant, BatchTwice) {
            self.private.ready.remove(&first);
        }
        let batch = self.private.batch_mut(id, first)?;
        let chunk = Chunk { first, end: batch.members.end() };
        let mode = Mode::Private { batch: id, snapshot };
        let job = Job { chunk, incarnation: Incarnation(batch.runs), mode };
        batch.runs += 1;
        batch.state = BatchState::InFlight(job);
        Ok(job)
    }

    pub(super) fn on_batch_report(
        &mut self,
        report: JobReport,
        (id, snapshot): (BatchId, TxIndex),
    ) -> Result<(), Invariant> {
        let JobReport { job, batch: mut report, void, .. } = report;
        if void {
            return Ok(());
        }
        let tx = job.chunk.first;
        let is_known =
            self.private.batch(id).is_some_and(|batch| batch.state == BatchState::InFlight(job));
        let begins = report.groups.first().is_none_or(|group| group.first == tx);
        if !is_known || !begins {
            return Err(Invariant::UnexpectedEvent { tx, event: "Reported" });
        }
        if is_mutant!(self.mutant, HeldCommitted) {
            let held = report.held.take().map(|first| Chunk { first, end: first.next() });
            report.groups.extend(held);
        }
        let runs = report.groups.iter().map(|group| group.len()).sum::<u32>();
        self.counters.runs += u64::from(runs);
        self.counters.failed += u64::from(report.held.is_some());
        let late = is_mutant!(self.mutant, SnapshotLate);
        let compared = if late { self.frontier.max(snapshot) } else { snapshot };
        let is_empty = report.groups.is_empty() && report.held.is_none();
        let batch = self.private.batch_mut(id, tx)?;
        if is_empty {
            // It was to stop before it began.
            batch.state = BatchState::Waiting;
            self.private.ready.insert(tx);
        } else {
            batch.state = BatchState::Ended(Ended::of(compared, report));
        }
        Ok(())
    }

    pub(super) fn on_batch_claimed(&mut self, id: BatchId, tx: TxIndex) -> Result<(), Invariant> {
        let batch = self.private.batch_mut(id, tx)?;
        batch.state = BatchState::Waiting;
        batch.runs = batch.runs.saturating_sub(1);
        self.private.ready.insert(tx);
        Ok(())
    }
}
