//! Groups of private batches at the frontier: comparison, admission, commit, and fallback.

use super::events::Command;
use super::private::{BatchState, PollResult};
use super::state::{Halt, OpenCommand, Protocol};
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, TxIndex};

impl Protocol {
    pub(super) fn on_compared(
        &mut self,
        tx: TxIndex,
        conflict: Option<TxIndex>,
    ) -> Result<(), Invariant> {
        self.close(OpenCommand::Compare(tx), "Compared")?;
        let end = self.private.current_mut(tx)?.txs.end;
        let results = self.private.results_mut().ok_or(Invariant::MissingResult { tx })?;
        results.commit_below = Some(conflict.unwrap_or(end));
        Ok(())
    }

    /// Returns the next command for the frontier `tx`, a member of the current batch.
    pub(super) fn poll_batch(&mut self, tx: TxIndex) -> PollResult {
        let id = self.private.current;
        let batch = self.private.batch_mut(id, tx)?;
        match &batch.state {
            BatchState::Waiting => {
                let job = self.start_batch(id, tx)?;
                Ok(Some(self.run_as_owner(job)))
            }
            BatchState::InFlight(job) => {
                let job = *job;
                if self.owner_job == Some(job) || self.frontier_state.claim_requested == Some(job) {
                    return Ok(None);
                }
                if mutant!(BatchOvertakes)
                    && let Some((id, group)) = self.private.first_ended_group()
                {
                    return self.commit_group(id, group);
                }
                self.frontier_state.claim_requested = Some(job);
                Ok(self.ask(OpenCommand::Claim(tx), Command::Claim(job)))
            }
            BatchState::Ended(results) => match results.groups.front().copied() {
                Some(group) => self.poll_group(id, group),
                None if results.held == Some(tx) => self.fall_back_at_frontier(),
                // Only a cancelled block stops a run before its end.
                None => Err(Invariant::MissingResult { tx }),
            },
        }
    }

    /// Returns the next command for a group of the batch `id` that begins at the frontier.
    fn poll_group(&mut self, id: BatchId, group: Chunk) -> PollResult {
        let tx = group.first;
        let results = self.private.results_mut().ok_or(Invariant::MissingResult { tx })?;
        let unchecked = mutant!(OutsidersUnchecked).then_some(TxIndex(u32::MAX));
        let Some(commit_below) = results.commit_below.or(unchecked) else {
            return Ok(self.ask(OpenCommand::Compare(tx), Command::Compare { batch: id, tx }));
        };
        if commit_below <= tx {
            return self.fall_back_at_frontier();
        }
        match self.frontier_state.admitted {
            None if mutant!(GroupUnadmitted) => self.commit_group(id, group),
            None => Ok(self.ask(OpenCommand::Admit(tx), Command::AdmitGroup { batch: id, group })),
            Some(true) => self.commit_group(id, group),
            Some(false) => self.fall_back_at_frontier(),
        }
    }

    fn commit_group(&mut self, id: BatchId, group: Chunk) -> PollResult {
        let tx = group.first;
        let snapshot = self.private.snapshot;
        let batch = self.private.batch_mut(id, tx)?;
        let speculative_commits = if batch.txs.first == snapshot { 0 } else { group.len() };
        let BatchState::Ended(results) = &mut batch.state else {
            return Err(Invariant::MissingResult { tx });
        };
        results.groups.pop_front();
        self.count_kept(speculative_commits, 1);
        self.private.advance(group.end);
        self.advance_to(group)?;
        Ok(Some(Command::CommitGroup { batch: id, group }))
    }

    /// Ends the segment at the frontier, because the next member of its batch must not commit, does
    /// not fit into the block, or has no result. The next segment runs that member on final state.
    fn fall_back_at_frontier(&mut self) -> PollResult {
        let runs = self.private.results_mut().map_or(0, |results| results.uncommitted());
        self.count_batch_waste(runs);
        self.begin_halt(Halt::Fallback);
        self.poll()
    }

    /// Commits a group after the halt, with the seeded bug `HaltCommitsBatch`.
    pub(super) fn commit_after_halt(&mut self) -> Option<Command> {
        let (id, group) = self.private.first_ended_group()?;
        let is_next = mutant!(HaltCommitsBatch) && group.first == self.frontier;
        if is_next { self.commit_group(id, group).ok()? } else { None }
    }
}
