//! Dispatch and reports of private batches.

use super::events::{Command, Job, JobReport, RunMode};
use super::private::{BatchResults, BatchState, PollResult};
use super::state::Protocol;
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, Incarnation, TxIndex};

impl Protocol {
    /// Iterates over the private batches.
    #[must_use]
    pub fn batches(&self) -> impl ExactSizeIterator<Item = Chunk> + '_ {
        self.private.batches.iter().map(|batch| batch.txs)
    }

    /// Returns the index below which the writes of committed transactions are in the store. For
    /// private batches this is the snapshot, because a later segment publishes their writes.
    #[must_use]
    pub fn published(&self) -> TxIndex {
        if self.private.is_empty() { self.frontier } else { self.private.snapshot }
    }

    /// Returns a command for the lowest private batch above the frontier that has not run, if it
    /// may be dispatched.
    pub(super) fn next_batch(&mut self) -> PollResult {
        let is_full = self.unanswered() >= self.limits.job_capacity;
        if is_full && !mutant!(CapacityIgnored) {
            return Ok(None);
        }
        let window_end = TxIndex(self.frontier.0.saturating_add(self.limits.window));
        let next = self.private.next_waiting();
        let is_in_window = |first: TxIndex| first < window_end || mutant!(WindowIgnored);
        let Some((id, first)) = next.filter(|(_, first)| is_in_window(*first)) else {
            return Ok(None);
        };
        self.private.mark_dispatched(id);
        let job = self.start_batch(id, first)?;
        self.in_flight += 1;
        Ok(Some(Command::Dispatch(job)))
    }

    /// Starts the run of the batch `id`, whose first member is `first`.
    pub(super) fn start_batch(&mut self, id: BatchId, first: TxIndex) -> Result<Job, Invariant> {
        let mode = RunMode::Private { batch: id };
        let batch = self.private.batch_mut(id, first)?;
        let job = Job { chunk: batch.txs, incarnation: Incarnation(0), mode };
        batch.state = BatchState::InFlight(job);
        Ok(job)
    }

    pub(super) fn on_batch_report(
        &mut self,
        report: JobReport,
        id: BatchId,
    ) -> Result<(), Invariant> {
        let JobReport { job, batch: mut report, void, .. } = report;
        if void {
            return Ok(());
        }
        let tx = job.chunk.first;
        let is_on_snapshot =
            tx == self.private.snapshot || (mutant!(SnapshotLate) && tx == self.frontier);
        let batch = self.private.batch_mut(id, tx)?;
        let starts_at_first = report.groups.first().is_none_or(|group| group.first == tx);
        if batch.state != BatchState::InFlight(job) || !starts_at_first {
            return Err(Invariant::UnexpectedEvent { tx, event: "Reported" });
        }
        if mutant!(HeldCommitted) {
            let held = report.held.take().map(|first| Chunk { first, end: first.next() });
            report.groups.extend(held);
        }
        let runs = report.groups.iter().map(|group| group.len()).sum::<u32>();
        let has_failed = report.held.is_some();
        batch.state = BatchState::Ended(BatchResults::new(job, report, is_on_snapshot));
        self.counters.runs += u64::from(runs);
        self.counters.failed += u64::from(has_failed);
        Ok(())
    }

    pub(super) fn on_batch_claimed(&mut self, tx: TxIndex) -> Result<(), Invariant> {
        self.private.current_mut(tx)?.state = BatchState::Waiting;
        Ok(())
    }
}
