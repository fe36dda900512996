//! Groups of private batches at the frontier: comparison, admission, commit, and early ends.

use super::events::Command;
use super::private::{BatchState, Polled};
use super::state::{Awaiting, Halt, Protocol};
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, TxIndex};

impl Protocol {
    pub(super) fn on_compared(
        &mut self,
        tx: TxIndex,
        conflict: Option<TxIndex>,
    ) -> Result<(), Invariant> {
        self.answer(Awaiting::Compare(tx), "Compared")?;
        let end = self.private.current_mut(tx)?.txs.end;
        let ended = self.private.ended().ok_or(Invariant::MissingResult { tx })?;
        ended.commit_below = Some(conflict.unwrap_or(end));
        Ok(())
    }

    /// Returns the next command for the frontier `tx`, a member of the current batch.
    pub(super) fn poll_batch(&mut self, tx: TxIndex) -> Polled {
        let id = self.private.current;
        let batch = self.private.batch_mut(id, tx)?;
        match &batch.state {
            BatchState::Waiting => {
                let job = self.start_batch(id, tx)?;
                Ok(Some(self.run_outside(job)))
            }
            BatchState::InFlight(job) => {
                let job = *job;
                if self.here == Some(job) || self.at_frontier.claim_asked == Some(job) {
                    return Ok(None);
                }
                if mutant!(BatchOvertakes)
                    && let Some((id, group)) = self.private.first_ended()
                {
                    return self.commit_group(id, group);
                }
                self.at_frontier.claim_asked = Some(job);
                Ok(self.ask(Awaiting::Claim(tx), Command::Claim(job)))
            }
            BatchState::Ended(ended) => match ended.groups.front().copied() {
                Some(group) => self.poll_group(id, group),
                None if ended.held == Some(tx) => self.hand_over_rest(),
                // Only a cancelled block stops a run before its end.
                None => Err(Invariant::MissingResult { tx }),
            },
        }
    }

    /// Returns the next command for a group of the batch `id` that begins at the frontier.
    fn poll_group(&mut self, id: BatchId, group: Chunk) -> Polled {
        let tx = group.first;
        let ended = self.private.ended().ok_or(Invariant::MissingResult { tx })?;
        let unchecked = mutant!(OutsidersUnchecked).then_some(TxIndex(u32::MAX));
        let Some(commit_below) = ended.commit_below.or(unchecked) else {
            return Ok(self.ask(Awaiting::Compare(tx), Command::Compare { batch: id, tx }));
        };
        if commit_below <= tx {
            return self.hand_over_rest();
        }
        match self.at_frontier.admitted {
            None if mutant!(GroupUnadmitted) => self.commit_group(id, group),
            None => Ok(self.ask(Awaiting::Admit(tx), Command::AdmitGroup { batch: id, group })),
            Some(true) => self.commit_group(id, group),
            Some(false) => self.hand_over_rest(),
        }
    }

    fn commit_group(&mut self, id: BatchId, group: Chunk) -> Polled {
        let tx = group.first;
        let snapshot = self.private.snapshot;
        let batch = self.private.batch_mut(id, tx)?;
        let speculative = if batch.txs.first == snapshot { 0 } else { group.len() };
        let BatchState::Ended(ended) = &mut batch.state else {
            return Err(Invariant::MissingResult { tx });
        };
        ended.groups.pop_front();
        self.count_kept(speculative, 1);
        self.private.advance(group.end);
        self.advance_to(group)?;
        Ok(Some(Command::CommitGroup { batch: id, group }))
    }

    /// Ends the segment at the frontier: the rest of its batch must not commit, has no room, or has
    /// no result. The next segment runs that transaction on final state, where the reason is final.
    fn hand_over_rest(&mut self) -> Polled {
        let runs = self.private.ended().map_or(0, |ended| ended.len());
        self.count_batch_waste(runs);
        self.begin_halt(Halt::Fallback);
        self.poll()
    }

    /// The seeded bug `HaltCommitsBatch`.
    pub(super) fn commit_after_halt(&mut self) -> Option<Command> {
        let (id, group) = self.private.first_ended()?;
        let is_next = mutant!(HaltCommitsBatch) && group.first == self.frontier;
        if is_next { self.commit_group(id, group).ok()? } else { None }
    }
}
