//! Runs of private batches: dispatch, snapshots, reports.

use super::events::{Command, Job, JobReport, RunMode};
use super::private::{BatchState, Ended, Polled};
use super::state::{Awaiting, Protocol};
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, Incarnation, TxIndex};

impl Protocol {
    /// Returns whether a private batch may still run or commit.
    #[must_use]
    pub fn has_private(&self) -> bool {
        !self.private.is_over()
    }

    /// Returns whether `tx` is a member of a private batch, and so in no chunk.
    #[must_use]
    pub fn is_private(&self, tx: TxIndex) -> bool {
        self.slots.get(tx).is_none()
    }

    /// Iterates over the private batches.
    #[must_use]
    pub fn batches(&self) -> impl ExactSizeIterator<Item = Chunk> + '_ {
        self.private.batches.iter().map(|batch| batch.txs)
    }

    /// Returns the index below which the writes of committed transactions are in the store.
    #[must_use]
    pub fn published(&self) -> TxIndex {
        if self.slots.first() < self.slots.end() {
            return self.frontier;
        }
        self.private.published()
    }

    /// Returns the end of the last sequential run, if all of it is committed and nothing after it.
    /// The state below that index is passed to the next run.
    #[must_use]
    pub fn carried(&self) -> Option<TxIndex> {
        self.private.carried.filter(|carried| *carried == self.frontier)
    }

    /// Returns a command for the lowest private batch above the frontier that waits to run, if it
    /// may be dispatched.
    pub(super) fn next_batch(&mut self) -> Polled {
        let full = self.unanswered() >= self.limits.job_capacity;
        if self.in_order() || (full && !mutant!(CapacityIgnored)) {
            return Ok(None);
        }
        let window_end = TxIndex(self.frontier.0.saturating_add(self.limits.window));
        let first = self.private.ready.range(self.frontier.next()..).next().copied();
        let is_in = |first: &TxIndex| *first < window_end || mutant!(WindowIgnored);
        let Some(first) = first.filter(is_in) else { return Ok(None) };
        let Some(id) = self.private.head(first) else { return Ok(None) };
        let cap = self.limits.max_speculative_runs;
        let is_spent = self.private.batch(id).is_some_and(|batch| batch.runs >= cap);
        if is_spent && !mutant!(Uncapped) {
            // Each of its members now waits for the frontier.
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

    /// Publishes the state that the plan started with, unless a sequential segment continues from
    /// it.
    pub(super) fn publish_before(&mut self) -> Option<Command> {
        if !core::mem::take(&mut self.private.owes) || mutant!(CarriedForgotten) {
            return None;
        }
        self.publish_up_to_frontier()
    }

    /// Publishes the commits of private batches before a run that reads below the frontier.
    pub(super) fn publish_below(&mut self) -> Option<Command> {
        if mutant!(PublishForgotten) { None } else { self.publish_up_to_frontier() }
    }

    fn publish_up_to_frontier(&mut self) -> Option<Command> {
        let (first, end) = (self.private.published, self.frontier);
        if first >= end {
            return None;
        }
        self.private.published = end;
        self.awaiting = Some(Awaiting::Publish(first));
        let carried = self.carried().is_some();
        self.private.carried = None;
        Some(Command::Publish { txs: Chunk { first, end }, carried })
    }

    /// Publishes before a rerun of the batch `id`. The first run uses the snapshot that is in the
    /// store, and is compared with later commits; if it was wasted, the next run reads all commits.
    pub(super) fn publish_for(&mut self, id: BatchId) -> Option<Command> {
        let has_run = self.private.batch(id).is_some_and(|batch| batch.runs > 0);
        if has_run { self.publish_below() } else { None }
    }

    /// Starts a sequential run of the transactions of the batch `id` from the frontier `tx` on.
    pub(super) fn run_in_order(&mut self, id: BatchId, tx: TxIndex) -> Polled {
        let carried = self.private.carried;
        let is_forgotten = mutant!(CarryOutdated) && carried.is_some();
        let continues = carried == Some(tx) || is_forgotten;
        if !continues && let Some(publish) = self.publish_below() {
            return Ok(Some(publish));
        }
        let stride = self.limits.stride.max(1);
        let batch = self.private.batch_mut(id, tx)?;
        let end = batch.txs.end.min(TxIndex(tx.0.saturating_add(stride)));
        let chunk = Chunk { first: tx, end };
        let mode = RunMode::Sequential { batch: id, continues };
        let job = Job { chunk, incarnation: Incarnation(batch.runs), mode };
        batch.runs += 1;
        batch.state = BatchState::InFlight(job);
        self.private.ready.remove(&tx);
        self.private.carried = None;
        Ok(Some(self.run_outside(job)))
    }

    pub(super) fn start_batch(&mut self, id: BatchId, first: TxIndex) -> Result<Job, Invariant> {
        let is_forgotten = mutant!(PublishForgotten);
        let snapshot = if is_forgotten { self.frontier } else { self.private.published };
        if !mutant!(BatchTwice) {
            self.private.ready.remove(&first);
        }
        let batch = self.private.batch_mut(id, first)?;
        let chunk = Chunk { first, end: batch.txs.end };
        let mode = RunMode::Private { batch: id, snapshot };
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
        if mutant!(HeldCommitted) {
            let held = report.held.take().map(|first| Chunk { first, end: first.next() });
            report.groups.extend(held);
        }
        let runs = report.groups.iter().map(|group| group.len()).sum::<u32>();
        self.counters.runs += u64::from(runs);
        if let RunMode::Sequential { continues, .. } = job.mode {
            // A run that started on the store and ran nothing has no pending writes: everything
            // below it is in the store.
            let start = continues.then_some(tx);
            self.private.carried = report.groups.last().map(|group| group.end).or(start);
        } else {
            self.counters.failed += u64::from(report.held.is_some());
            if !mutant!(SpeculativeError) {
                report.failure = None;
            }
        }
        let late = mutant!(SnapshotLate);
        let compared = if late { self.frontier.max(snapshot) } else { snapshot };
        let is_empty = report.groups.is_empty() && report.held.is_none();
        let batch = self.private.batch_mut(id, tx)?;
        if is_empty {
            // Work was stopped before the run began.
            batch.state = BatchState::Waiting;
            self.private.ready.insert(tx);
        } else {
            batch.state = BatchState::Ended(Ended::of(compared, tx, report));
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
