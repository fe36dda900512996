//! Helping: the frontier does not wait for a preempted worker.
//!
//! A worker that has begun the frontier's job may make no progress for milliseconds. Everything
//! below the frontier is final, so any worker can run it correctly. But only one worker may
//! publish: the right to publish the first transaction of a job is taken once, by the worker that
//! runs it or by the coordinator. Nothing of the job is published before that transaction, so the
//! other worker publishes nothing.
//!
//! Helping is bounded: a transaction is taken over at most once. A private batch publishes nothing
//! before it commits, so two workers may run it as the same job, and one of them reports it. The
//! protocol does not see the second run.

use super::events::{Command, Job};
use super::state::{OpenCommand, Protocol};
use crate::error::Invariant;
use crate::ids::TxIndex;

impl Protocol {
    /// Returns the command that runs `job`, the frontier's, outside the channel.
    pub(super) fn run_as_owner(&mut self, job: Job) -> Command {
        self.owner_job = Some(job);
        // The hint concerned an earlier job.
        self.frontier_state.is_stalled = false;
        Command::RunHere(job)
    }

    /// Returns the command that takes over `job`, the frontier's, if it is stalled and a takeover
    /// is permitted.
    pub(super) fn help_if_stalled(&mut self, tx: TxIndex, job: Job) -> Option<Command> {
        if !core::mem::take(&mut self.frontier_state.is_stalled) || !self.may_help(tx, job) {
            return None;
        }
        self.ask(OpenCommand::Help(tx), Command::Help(job))
    }

    fn may_help(&self, tx: TxIndex, job: Job) -> bool {
        // Another job outside the channel would exceed the capacity of the report channel.
        let is_full = self.owner_job == Some(job) && self.unanswered() >= self.limits.job_capacity;
        let is_first_time = self.slots.get(tx).is_some_and(|slot| !slot.helped);
        is_first_time && !is_full
    }

    /// Returns the number of unanswered jobs that went through the channel or were taken over.
    pub(super) fn unanswered(&self) -> u32 {
        let superseded = u32::try_from(self.superseded.len()).unwrap_or(u32::MAX);
        self.in_flight.saturating_add(superseded)
    }

    /// Returns whether `job` was taken over, so that its report is ignored.
    #[must_use]
    pub fn is_superseded(&self, job: Job) -> bool {
        self.superseded.contains(&job) && !mutant!(LateReportCounts)
    }

    /// Handles the takeover of the frontier's job, whose worker will publish nothing.
    pub(super) fn on_helped(&mut self, tx: TxIndex) -> Result<(), Invariant> {
        self.counters.helped_transactions += 1;
        let Some(job) = self.slot(tx)?.job else { return Err(Invariant::MissingResult { tx }) };
        self.supersede(job);
        for tx in job.chunk.indices() {
            let is_first = tx == job.chunk.first;
            let slot = self.slot_mut(tx)?;
            slot.helped |= is_first;
            slot.runs += u32::from(is_first);
            self.make_pending(tx)?;
        }
        Ok(())
    }

    fn supersede(&mut self, job: Job) {
        if self.owner_job.take_if(|own| *own == job).is_none() {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        self.superseded.push(job);
    }

    /// Forgets `job` if it was taken over, because it is now reported. Returns whether it was.
    pub(super) fn take_superseded(&mut self, job: Job) -> bool {
        let at = self.superseded.iter().position(|other| *other == job);
        at.map(|at| self.superseded.swap_remove(at)).is_some() && !mutant!(LateReportCounts)
    }
}
