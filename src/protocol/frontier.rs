//! The frontier: admission, validation and commit, one transaction at a time.

use super::events::{Command, Failure, RunMode, Verdict};
use super::slot::{Slot, Status};
use super::state::{FrontierState, Halt, OpenCommand, Protocol};
use crate::error::Invariant;
use crate::ids::{Chunk, TxIndex};

impl Protocol {
    pub(super) fn poll_frontier(&mut self) -> Result<Option<Command>, Invariant> {
        if self.frontier.0 >= self.len() {
            // Jobs that were taken back may still be in the channel.
            return Ok(self.finish_when_idle());
        }
        let tx = self.frontier;
        if !self.private.is_empty() {
            return self.poll_batch(tx);
        }
        let status = self.slot(tx)?.status;
        if status == Status::InFlight {
            return self.poll_in_flight(tx);
        }
        // A failure at the frontier is final; admission came before the run.
        if let Some(failure) = self.frontier_state.failure {
            return self.fail(tx, failure);
        }
        match self.frontier_state.admitted {
            None if mutant!(AdmissionSkipped) => {
                self.frontier_state.admitted = Some(true);
                self.poll_frontier()
            }
            None => Ok(self.ask(OpenCommand::Admit(tx), Command::Admit(tx))),
            Some(false) => self.refuse(tx),
            Some(true) if status == Status::Executed => self.poll_executed(tx),
            Some(true) if self.is_capped_by_bug(tx)? => Ok(None),
            Some(true) => match self.failure_cached_by_bug(tx)? {
                Some(failure) => self.fail(tx, failure),
                None => self.run_frontier(tx).map(Some),
            },
        }
    }

    /// Whether the seeded bug `FrontierCapped` keeps `tx` from running.
    fn is_capped_by_bug(&self, tx: TxIndex) -> Result<bool, Invariant> {
        let cap = self.limits.max_speculative_runs;
        Ok(mutant!(FrontierCapped) && self.slot(tx)?.runs >= cap)
    }

    /// Returns the earlier failure that the seeded bug `ErrorCached` reports for `tx`.
    fn failure_cached_by_bug(&self, tx: TxIndex) -> Result<Option<Failure>, Invariant> {
        let Slot { status, runs, .. } = *self.slot(tx)?;
        let failed =
            status == Status::Parked && 0 < runs && runs < self.limits.max_speculative_runs;
        Ok((mutant!(ErrorCached) && failed).then_some(Failure::Rejected))
    }

    /// Issues `command`, and waits for its answer.
    pub(super) fn ask(&mut self, open: OpenCommand, command: Command) -> Option<Command> {
        self.open_command = Some(open);
        Some(command)
    }

    /// Returns the command that takes back the frontier's job, unless a worker has begun it (I8).
    fn poll_in_flight(&mut self, tx: TxIndex) -> Result<Option<Command>, Invariant> {
        let Some(job) = self.slot(tx)?.job else {
            return Err(Invariant::MissingResult { tx });
        };
        if job.mode == RunMode::Frontier || self.frontier_state.claim_requested == Some(job) {
            return Ok(self.help_if_stalled(tx, job));
        }
        if mutant!(FrontierQueued) {
            return Ok(None);
        }
        // A run by the owner is final, so admission comes first. A job is taken back even if the
        // block has no room for its transaction, so that the skip does not wait for speculation.
        match self.frontier_state.admitted {
            None => return Ok(self.ask(OpenCommand::Admit(tx), Command::Admit(tx))),
            Some(false) if !self.limits.skip_rejected => return self.refuse(tx),
            Some(_) => {}
        }
        self.frontier_state.claim_requested = Some(job);
        Ok(self.ask(OpenCommand::Claim(tx), Command::Claim(job)))
    }

    pub(super) fn on_claimed(&mut self, tx: TxIndex, claimed: bool) -> Result<(), Invariant> {
        if !claimed {
            return Ok(());
        }
        self.counters.claims += 1;
        if !self.private.is_empty() {
            return self.on_batch_claimed(tx);
        }
        let job = self.slot(tx)?.job;
        for tx in job.into_iter().flat_map(|job| job.chunk.indices()) {
            self.slot_mut(tx)?.status = Status::Pending;
            self.ready.insert(tx);
        }
        Ok(())
    }

    pub(super) fn on_checked(&mut self, tx: TxIndex, verdict: Verdict) -> Result<(), Invariant> {
        let is_binding = self.open_command == Some(OpenCommand::Validate(tx));
        let open = if is_binding { OpenCommand::Validate(tx) } else { OpenCommand::Recheck(tx) };
        self.close(open, "Checked")?;
        match (verdict, is_binding) {
            (Verdict::Valid, true) => self.frontier_state.valid = true,
            (Verdict::Valid, false) if mutant!(HintIsVerdict) => {
                self.slot_mut(tx)?.final_run = true;
            }
            (Verdict::Valid, false) => {}
            (Verdict::Stale, _) => self.abort(tx)?,
        }
        Ok(())
    }

    fn poll_executed(&mut self, tx: TxIndex) -> Result<Option<Command>, Invariant> {
        // If no change has named the transaction, none of its reads has changed: everything below
        // has reported, and each change names the transactions that had read the location.
        let slot = self.slot(tx)?;
        let is_valid = self.frontier_state.valid || slot.final_run || !slot.possibly_stale;
        if !is_valid && !mutant!(SkipValidation) {
            return Ok(self.ask(OpenCommand::Validate(tx), Command::Validate(tx)));
        }
        let Slot { job, runs, .. } = *self.slot(tx)?;
        if job.is_some_and(|job| job.mode == RunMode::Speculative) {
            self.count_kept(1, runs);
        }
        if mutant!(CommitsTwice) && self.frontier_state.claim_requested.take().is_some() {
            return Ok(Some(Command::Commit(tx)));
        }
        self.advance(tx)?;
        Ok(Some(Command::Commit(tx)))
    }

    /// Returns the command that runs the frontier `tx` outside the channel.
    fn run_frontier(&mut self, tx: TxIndex) -> Result<Command, Invariant> {
        let window_end = TxIndex(tx.0.saturating_add(self.limits.window));
        let chunk = if self.slot(tx)?.status == Status::Pending {
            self.chunk_from(tx, window_end)?
        } else {
            Chunk { first: tx, end: tx.next() }
        };
        let job = self.start(chunk, RunMode::Frontier)?;
        Ok(self.run_as_owner(job))
    }

    /// Skips the frontier `tx`, for which the block has no room, or ends the block.
    pub(super) fn refuse(&mut self, tx: TxIndex) -> Result<Option<Command>, Invariant> {
        if self.limits.skip_rejected {
            return self.skip(tx);
        }
        self.begin_halt(Halt::NoRoom(tx));
        self.poll()
    }

    /// Skips the frontier `tx`, which failed, or ends the block.
    pub(super) fn fail(
        &mut self,
        tx: TxIndex,
        failure: Failure,
    ) -> Result<Option<Command>, Invariant> {
        let may_skip = failure == Failure::Rejected || mutant!(FatalSkipped);
        if may_skip && self.limits.skip_rejected {
            return self.skip(tx);
        }
        self.begin_halt(Halt::Failed(tx, failure));
        self.poll()
    }

    /// Skips the frontier. I15: its entries are withdrawn and the tail of its chunk is aborted
    /// before the frontier moves.
    fn skip(&mut self, tx: TxIndex) -> Result<Option<Command>, Invariant> {
        self.abort_tail(tx)?;
        if let Some(tail) = self.to_abort.pop_front() {
            return Ok(Some(Command::Abort(tail)));
        }
        if mutant!(SkipKeepsEntries) {
            self.advance(tx)?;
            return self.poll();
        }
        Ok(self.ask(OpenCommand::Withdraw(tx), Command::Skip(tx)))
    }

    /// Moves the frontier past `tx`.
    pub(super) fn advance(&mut self, tx: TxIndex) -> Result<(), Invariant> {
        if tx != self.frontier {
            return Err(Invariant::CommitOrder { tx, frontier: self.frontier });
        }
        self.advance_to(Chunk { first: tx, end: tx.next() })
    }

    /// Moves the frontier past `txs`, which are final.
    pub(super) fn advance_to(&mut self, txs: Chunk) -> Result<(), Invariant> {
        self.frontier_state = FrontierState::default();
        self.frontier = txs.end;
        if mutant!(CommitSkipsOne) {
            self.frontier = self.frontier.next();
        }
        self.check_waste(txs.len());
        if !self.private.is_empty() {
            return Ok(());
        }
        for tx in txs.indices() {
            self.slot_mut(tx)?.status = Status::Final;
            self.ready.remove(&tx);
            self.wake_waiters(tx)?;
        }
        Ok(())
    }
}
