//! Dispatch and reports of transactions above the frontier.

use super::events::{Command, Job, JobReport, RunMode, RunResult, TxReport};
use super::slot::{Slot, Status};
use super::state::{OpenCommand, Phase, Protocol};
use crate::error::Invariant;
use crate::ids::{Chunk, TxIndex};

impl Protocol {
    /// Returns the next command for the owner, or `None` until another event arrives.
    ///
    /// # Errors
    /// Returns an [`Invariant`] if the state contradicts itself.
    pub fn poll(&mut self) -> Result<Option<Command>, Invariant> {
        if self.open_command.is_some() {
            return Ok(None);
        }
        match self.phase {
            Phase::Finished => return Ok(None),
            Phase::Halting { stop_sent: false } => {
                self.phase = Phase::Halting { stop_sent: true };
                return Ok(Some(Command::StopWork));
            }
            Phase::Halting { stop_sent: true } => return Ok(self.finish_when_idle()),
            Phase::Settling { stop_sent } => return self.poll_settling(stop_sent),
            Phase::Running => {}
        }
        if let Some(tx) = self.to_abort.pop_front() {
            return Ok(Some(Command::Abort(tx)));
        }
        if let Some(tx) = self.next_recheck()? {
            self.open_command = Some(OpenCommand::Recheck(tx));
            return Ok(Some(Command::Recheck(tx)));
        }
        if let Some(command) = self.next_batch()? {
            return Ok(Some(command));
        }
        if let Some(job) = self.next_job()? {
            return Ok(Some(Command::Dispatch(job)));
        }
        self.poll_frontier()
    }

    pub(super) fn finish_when_idle(&mut self) -> Option<Command> {
        if self.in_flight() > 0 && !mutant!(HaltLeavesJobs) {
            return None;
        }
        if let Some(commit) = self.commit_after_halt() {
            return Some(commit);
        }
        self.phase = Phase::Finished;
        Some(Command::Finish)
    }

    fn next_recheck(&mut self) -> Result<Option<TxIndex>, Invariant> {
        while let Some(tx) = self.rechecks.pop_first() {
            // The frontier is validated instead, with a binding verdict.
            if tx > self.frontier && self.slot(tx)?.status == Status::Executed {
                return Ok(Some(tx));
            }
        }
        Ok(None)
    }

    /// Returns a job for the lowest pending transaction above the frontier and the transactions of
    /// its chunk that follow. The plan's longest transactions come before all others.
    fn next_job(&mut self) -> Result<Option<Job>, Invariant> {
        let is_full = self.unanswered() >= self.limits.job_capacity;
        if is_full && !mutant!(CapacityIgnored) {
            return Ok(None);
        }
        // The frontier is never dispatched; the owner runs it (I8).
        let lowest = if mutant!(FrontierQueued) { self.frontier } else { self.frontier.next() };
        let window_end = TxIndex(self.frontier.0.saturating_add(self.limits.window));
        if let Some(first) = self.next_of_longest(lowest, window_end) {
            return self.dispatch(Chunk { first, end: first.next() }).map(Some);
        }
        self.dispatch_cursor = self.dispatch_cursor.max(lowest);
        let ready = self.ready.range(lowest..).next().copied();
        let first = loop {
            match ready {
                Some(ready) if ready < self.dispatch_cursor => break ready,
                _ if self.dispatch_cursor >= self.slots.end() => return Ok(None),
                _ if self.slot(self.dispatch_cursor)?.status == Status::Pending => {
                    break self.dispatch_cursor;
                }
                _ => self.dispatch_cursor = self.dispatch_cursor.next(),
            }
        };
        if first >= window_end && !mutant!(WindowIgnored) {
            return Ok(None);
        }
        let chunk = self.chunk_from(first, window_end.max(first.next()))?;
        self.dispatch(chunk).map(Some)
    }

    /// Returns the lowest of the longest transactions that never ran and can be dispatched.
    fn next_of_longest(&self, lowest: TxIndex, window_end: TxIndex) -> Option<TxIndex> {
        let limit = if mutant!(LongestIgnoreWindow) { TxIndex(self.len()) } else { window_end };
        let mut reachable = self.longest.range(lowest..limit.max(lowest)).copied();
        let is_new = |slot: &Slot| slot.status == Status::Pending && slot.runs == 0;
        reachable.find(|tx| self.slots.get(*tx).is_some_and(is_new))
    }

    fn dispatch(&mut self, chunk: Chunk) -> Result<Job, Invariant> {
        let job = self.start(chunk, RunMode::Speculative)?;
        self.in_flight += 1;
        Ok(job)
    }

    /// Returns `first` and the following transactions of its planned chunk that never ran.
    pub(super) fn chunk_from(&self, first: TxIndex, limit: TxIndex) -> Result<Chunk, Invariant> {
        let planned_end = self.slot(first)?.chunk_end.min(limit);
        let mut end = first.next();
        while end < planned_end {
            let slot = self.slot(end)?;
            let runnable = match slot.status {
                Status::Pending => true,
                // The blocking transaction runs earlier in the same job.
                Status::Blocked { on } => on >= first,
                Status::InFlight
                | Status::Parked
                | Status::Executed
                | Status::Final
                | Status::Private => false,
            };
            if !runnable || slot.runs > 0 || self.longest.contains(&end) {
                break;
            }
            end = end.next();
        }
        Ok(Chunk { first, end })
    }

    /// Marks the transactions of `chunk` as in flight.
    pub(super) fn start(&mut self, chunk: Chunk, mode: RunMode) -> Result<Job, Invariant> {
        let job = self.job(chunk, mode)?;
        for tx in chunk.indices() {
            self.ready.remove(&tx);
            let slot = self.slot_mut(tx)?;
            slot.status = Status::InFlight;
            slot.job = Some(job);
            slot.possibly_stale = false;
        }
        Ok(job)
    }

    pub(super) fn on_report(&mut self, report: JobReport) -> Result<(), Invariant> {
        let job = report.job;
        if self.take_superseded(job) {
            return Ok(());
        }
        // A batch that was taken back is run by the owner as the same job.
        let was_owner_job = !report.void && self.owner_job.take_if(|own| *own == job).is_some();
        if !was_owner_job {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        if let Some(batch) = job.batch() {
            return self.on_batch_report(report, batch);
        }
        let JobReport { results, void, .. } = report;
        if void {
            return Ok(());
        }
        let mut unrun = job.chunk;
        for (tx, result) in job.chunk.indices().zip(results) {
            if self.slot(tx)?.status != Status::InFlight || self.slot(tx)?.job != Some(job) {
                return Err(Invariant::UnexpectedEvent { tx, event: "Reported" });
            }
            let is_final = job.mode == RunMode::Frontier && tx == job.chunk.first;
            self.on_result(tx, is_final, result)?;
            unrun.first = tx.next();
        }
        for tx in unrun.indices() {
            self.make_pending(tx)?;
        }
        Ok(())
    }

    fn on_result(
        &mut self,
        tx: TxIndex,
        is_final: bool,
        report: TxReport,
    ) -> Result<(), Invariant> {
        let TxReport { runs, result } = report;
        self.counters.runs += u64::from(runs);
        self.count_waste(runs.saturating_sub(1));
        let cap = self.limits.max_speculative_runs;
        let is_uncapped = mutant!(Uncapped);
        let slot = self.slot_mut(tx)?;
        slot.runs += runs;
        let max_runs = cap.saturating_add(u32::from(is_final) + u32::from(slot.helped));
        if slot.runs > max_runs && !is_uncapped {
            return Err(Invariant::WorkBound { tx, runs: slot.runs });
        }
        match result {
            RunResult::Executed { stale_readers } => {
                slot.status = Status::Executed;
                slot.final_run = is_final;
                if slot.possibly_stale {
                    self.rechecks.insert(tx);
                }
                self.mark_stale(&stale_readers)?;
                self.wake_waiters(tx)
            }
            RunResult::Blocked { on } if is_final => Err(Invariant::FrontierBlocked { tx, on }),
            RunResult::Blocked { on } => {
                self.counters.blocked += 1;
                self.count_waste(1);
                self.on_blocked(tx, on)
            }
            RunResult::TooEarly if is_final => Err(Invariant::FrontierBlocked { tx, on: tx }),
            RunResult::TooEarly => {
                slot.frontier_only = true;
                self.counters.blocked += 1;
                self.count_waste(1);
                if mutant!(EarlyRunForgotten) {
                    return Ok(());
                }
                self.make_pending(tx)
            }
            RunResult::Failed(failure) => {
                slot.status = Status::Parked;
                if is_final || mutant!(SpeculativeError) {
                    self.frontier_state.failure = Some(failure);
                } else {
                    self.counters.failed += 1;
                    self.count_waste(1);
                }
                Ok(())
            }
        }
    }

    /// Blocks `tx`, unless the transaction it waits for has published since the run.
    fn on_blocked(&mut self, tx: TxIndex, on: TxIndex) -> Result<(), Invariant> {
        let published = matches!(self.status(on), Some(Status::Executed | Status::Final));
        if published && !mutant!(LateBlockedWaits) {
            return self.make_pending(tx);
        }
        self.slot_mut(tx)?.status = Status::Blocked { on };
        self.waiters.entry(on).or_default().push(tx);
        Ok(())
    }
}
