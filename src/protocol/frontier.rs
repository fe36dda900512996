//! The frontier: admission, validation, commit, in this order and one index at a time.

use super::events::{Command, Failure, RunMode, Verdict};
use super::slot::{Slot, Status};
use super::state::{Awaiting, FrontierState, Halt, Protocol};
use crate::error::Invariant;
use crate::ids::{Chunk, TxIndex};

impl Protocol {
    pub(super) fn poll_frontier(&mut self) -> Result<Option<Command>, Invariant> {
        if self.frontier.0 >= self.len() {
            // Jobs that ran elsewhere may still be in the channel.
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
        if let Some(failure) = self.at_frontier.failure {
            return self.fail(tx, failure);
        }
        match self.at_frontier.admitted {
            None if mutant!(AdmissionSkipped) => {
                self.at_frontier.admitted = Some(true);
                self.poll_frontier()
            }
            None => Ok(self.ask(Awaiting::Admit(tx), Command::Admit(tx))),
            Some(false) => self.refuse(tx),
            Some(true) if status == Status::Executed => self.poll_executed(tx),
            Some(true) if self.is_wrongly_held(tx)? => Ok(None),
            Some(true) => match self.wrong_failure(tx)? {
                Some(failure) => self.fail(tx, failure),
                None => self.run_here(tx).map(Some),
            },
        }
    }

    /// The seeded bug `FrontierCapped`.
    fn is_wrongly_held(&self, tx: TxIndex) -> Result<bool, Invariant> {
        let cap = self.limits.max_speculative_runs;
        Ok(mutant!(FrontierCapped) && self.slot(tx)?.runs >= cap)
    }

    /// The seeded bug `ErrorCached`.
    fn wrong_failure(&self, tx: TxIndex) -> Result<Option<Failure>, Invariant> {
        let Slot { status, runs, .. } = *self.slot(tx)?;
        let failed =
            status == Status::Parked && 0 < runs && runs < self.limits.max_speculative_runs;
        Ok((mutant!(ErrorCached) && failed).then_some(Failure::Rejected))
    }

    pub(super) fn ask(&mut self, question: Awaiting, command: Command) -> Option<Command> {
        self.awaiting = Some(question);
        Some(command)
    }

    /// Takes back the frontier's job, if no worker has begun it (I8).
    fn poll_in_flight(&mut self, tx: TxIndex) -> Result<Option<Command>, Invariant> {
        let Some(job) = self.slot(tx)?.job else {
            return Err(Invariant::MissingResult { tx });
        };
        if job.mode == RunMode::Frontier || self.at_frontier.claim_asked == Some(job) {
            return Ok(self.help_if_stalled(tx, job));
        }
        if mutant!(FrontierQueued) {
            return Ok(None);
        }
        // A run here is final, so admission comes first. A job is taken back even if the block has
        // no room for its transaction, so that the skip does not wait behind speculation.
        match self.at_frontier.admitted {
            None => return Ok(self.ask(Awaiting::Admit(tx), Command::Admit(tx))),
            Some(false) if !self.limits.skip_rejected => return self.refuse(tx),
            Some(_) => {}
        }
        self.at_frontier.claim_asked = Some(job);
        Ok(self.ask(Awaiting::Claim(tx), Command::Claim(job)))
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
        let authority = self.awaiting == Some(Awaiting::Validate(tx));
        let question = if authority { Awaiting::Validate(tx) } else { Awaiting::Recheck(tx) };
        self.answer(question, "Checked")?;
        match (verdict, authority) {
            (Verdict::Valid, true) => self.at_frontier.valid = true,
            (Verdict::Valid, false) if mutant!(HintIsVerdict) => {
                self.slot_mut(tx)?.final_run = true;
            }
            (Verdict::Valid, false) => {}
            (Verdict::Stale, _) => self.abort(tx)?,
        }
        Ok(())
    }

    fn poll_executed(&mut self, tx: TxIndex) -> Result<Option<Command>, Invariant> {
        // Unless a change has named the transaction, none of its reads has changed: everything
        // below has reported, and each change names the transactions that read the location before
        // it.
        let slot = self.slot(tx)?;
        let valid = self.at_frontier.valid || slot.final_run || !slot.possibly_stale;
        if !valid && !mutant!(SkipValidation) {
            return Ok(self.ask(Awaiting::Validate(tx), Command::Validate(tx)));
        }
        let Slot { job, runs, .. } = *self.slot(tx)?;
        if job.is_some_and(|job| job.mode == RunMode::Speculative) {
            self.count_kept(1, runs);
        }
        if mutant!(CommitsTwice) && self.at_frontier.claim_asked.take().is_some() {
            return Ok(Some(Command::Commit(tx)));
        }
        self.advance(tx)?;
        Ok(Some(Command::Commit(tx)))
    }

    fn run_here(&mut self, tx: TxIndex) -> Result<Command, Invariant> {
        let window_end = TxIndex(tx.0.saturating_add(self.limits.window));
        let chunk = if self.slot(tx)?.status == Status::Pending {
            self.chunk_from(tx, window_end)?
        } else {
            Chunk { first: tx, end: tx.next() }
        };
        let job = self.start(chunk, RunMode::Frontier)?;
        Ok(self.run_outside(job))
    }

    /// Handles a frontier transaction for which the block has no room.
    pub(super) fn refuse(&mut self, tx: TxIndex) -> Result<Option<Command>, Invariant> {
        if self.limits.skip_rejected {
            return self.skip(tx);
        }
        self.begin_halt(Halt::NoRoom(tx));
        self.poll()
    }

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
        Ok(self.ask(Awaiting::Withdraw(tx), Command::Skip(tx)))
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
        self.at_frontier = FrontierState::default();
        self.frontier = txs.end;
        if mutant!(CommitSkipsOne) {
            self.frontier = self.frontier.next();
        }
        self.watch_waste(txs.len());
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
