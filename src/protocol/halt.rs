//! Early ends of a block. A cancelled block first commits the results that are still valid.

use super::events::{Command, Failure};
use super::private::PollResult;
use super::slot::Status;
use super::state::{Halt, Phase, Protocol};
use crate::error::Invariant;
use crate::ids::TxIndex;

impl Protocol {
    /// Begins the end of the block. The only further commands are [`Command::StopWork`] and, once
    /// all jobs are reported, [`Command::Finish`].
    pub(super) fn begin_halt(&mut self, halt: Halt) {
        let stop_sent = match self.phase {
            Phase::Running => false,
            Phase::Settling { stop_sent } => stop_sent,
            Phase::Halting { .. } | Phase::Finished => return,
        };
        self.phase = Phase::Halting { stop_sent };
        // A cancelled block stays cancelled.
        self.halt.get_or_insert(halt);
        self.open_command = None;
        self.to_abort.clear();
        self.rechecks.clear();
    }

    /// Cancels the block: no further transaction runs, and the block ends at the first one without
    /// a result that can be committed.
    pub(super) fn on_cancelled(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Settling { stop_sent: false };
            self.halt = Some(Halt::Cancelled);
            self.rechecks.clear();
        }
    }

    /// Returns the next command of a cancelled block. Once all jobs have been reported, results
    /// from the frontier on are committed without further runs.
    pub(super) fn poll_settling(&mut self, stop_sent: bool) -> PollResult {
        if !stop_sent {
            self.phase = Phase::Settling { stop_sent: true };
            return Ok(Some(Command::StopWork));
        }
        if self.in_flight() > 0 {
            return Ok(None);
        }
        if self.frontier.0 >= self.len() {
            // All transactions had committed before the cancellation.
            self.halt = None;
            return self.poll_frontier();
        }
        if self.has_result(self.frontier)? {
            return self.poll_frontier();
        }
        self.begin_halt(Halt::Cancelled);
        self.poll()
    }

    /// Returns whether `tx`, the frontier, can become final without a run: it was executed, or it
    /// is invalid and may be skipped.
    fn has_result(&mut self, tx: TxIndex) -> Result<bool, Invariant> {
        if !self.private.is_empty() {
            return Ok(self
                .private
                .results_mut()
                .is_some_and(|results| !results.groups.is_empty()));
        }
        let is_rejected = self.frontier_state.failure == Some(Failure::Rejected);
        let is_executed = self.slot(tx)?.status == Status::Executed;
        Ok(is_executed || (is_rejected && self.limits.skip_rejected))
    }
}
