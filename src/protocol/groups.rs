//! Groups of private batches at the frontier: comparison, admission, commit, and aborts.

use super::events::{BatchReport, Command, Failure, Job, RunMode};
use super::private::{BatchState, Ended, Polled};
use super::state::{Awaiting, Halt, Protocol};
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, Incarnation, TxIndex};

impl Protocol {
    pub(super) fn on_compared(
        &mut self,
        tx: TxIndex,
        conflict: Option<TxIndex>,
    ) -> Result<(), Invariant> {
        self.answer(Awaiting::Compare(tx), "Compared")?;
        let Some(ended) = self.ended_at(tx) else { return Err(Invariant::MissingResult { tx }) };
        ended.verdict = Some(conflict);
        Ok(())
    }

    /// Returns the results of the batch whose next member is `tx`, the frontier, if the batch has
    /// run.
    fn ended_at(&mut self, tx: TxIndex) -> Option<&mut Ended> {
        let id = self.private.head(tx)?;
        match &mut self.private.batches.get_mut(id.0 as usize)?.state {
            BatchState::Ended(ended) => Some(ended),
            BatchState::Waiting | BatchState::InFlight(_) | BatchState::Over => None,
        }
    }

    /// Returns the next command for the frontier `tx`, a member of the batch `id`.
    pub(super) fn poll_batch(&mut self, id: BatchId, tx: TxIndex) -> Polled {
        let cap = self.limits.max_speculative_runs;
        let in_order = self.in_order();
        let has_run = self.at_frontier.has_run || self.at_frontier.failure.is_some();
        let batch = self.private.batch_mut(id, tx)?;
        match &batch.state {
            BatchState::Waiting if has_run || batch.runs >= cap && !in_order => self.poll_held(tx),
            BatchState::Waiting if in_order => self.run_in_order(id, tx),
            BatchState::Waiting => match self.publish_for(id) {
                Some(publish) => Ok(Some(publish)),
                None => {
                    let job = self.start_batch(id, tx)?;
                    Ok(Some(self.run_outside(job)))
                }
            },
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
            BatchState::Ended(ended) if ended.held == Some(tx) => self.poll_held(tx),
            BatchState::Ended(ended) => match ended.groups.front().copied() {
                Some(group) => self.poll_group(id, group),
                None => {
                    batch.state = BatchState::Waiting;
                    self.poll_batch(id, tx)
                }
            },
            BatchState::Over => Err(Invariant::MissingResult { tx }),
        }
    }

    /// Returns the next command for a group of the batch `id` that begins at the frontier.
    fn poll_group(&mut self, id: BatchId, group: Chunk) -> Polled {
        let (tx, frontier) = (group.first, self.frontier);
        let Some(ended) = self.ended_at(tx) else { return Err(Invariant::MissingResult { tx }) };
        let verdict = ended.verdict.or_else(|| mutant!(OutsidersUnchecked).then_some(None));
        let Some(conflict) = verdict else {
            return Ok(self.ask(Awaiting::Compare(tx), Command::Compare { batch: id, tx }));
        };
        if conflict.is_some_and(|conflict| conflict <= tx) {
            return self.discard_batch(id, tx);
        }
        match self.at_frontier.admitted {
            None if mutant!(GroupUnadmitted) => {
                self.at_frontier.admitted = Some(true);
                self.poll_group(id, group)
            }
            None => Ok(self.ask(Awaiting::Admit(tx), Command::AdmitGroup { batch: id, group })),
            Some(false) if group.len() == 1 => self.refuse(tx),
            // Running the members one by one at the frontier shows which of them has no room.
            Some(false) => {
                self.at_frontier.admitted = None;
                let aborts = self.discard_batch(id, tx);
                if let Ok(batch) = self.private.batch_mut(id, tx) {
                    let report = BatchReport { held: Some(tx), ..BatchReport::default() };
                    batch.state = BatchState::Ended(Ended::of(frontier, tx, report));
                    self.private.ready.remove(&tx);
                }
                aborts
            }
            Some(true) => self.commit_group(id, group),
        }
    }

    fn commit_group(&mut self, id: BatchId, group: Chunk) -> Polled {
        let tx = group.first;
        let Some(ended) = self.ended_at(tx) else { return Err(Invariant::MissingResult { tx }) };
        let speculative = if ended.is_in_order { 0 } else { group.len() };
        ended.groups.pop_front();
        self.count_kept(speculative, 1);
        self.private.advance_group(group);
        self.advance_to(group)?;
        Ok(Some(Command::CommitGroup { batch: id, group }))
    }

    /// Aborts the remaining results of the batch `id`, from the frontier `tx` on.
    pub(super) fn discard_batch(&mut self, id: BatchId, tx: TxIndex) -> Polled {
        let keeps_tail = mutant!(BatchTailKept);
        let Some(ended) = self.ended_at(tx) else { return Ok(None) };
        let runs = ended.groups.iter().map(|group| group.len()).sum();
        if keeps_tail && ended.groups.len() > 1 {
            // The seeded bug reruns the first group at the frontier, and keeps the ones after it.
            ended.groups.pop_front();
            (ended.verdict, ended.held) = (Some(None), Some(tx));
            return self.poll_held(tx);
        }
        self.count_batch_waste(runs);
        self.forget_carried();
        if self.limits.hands_over_rest {
            self.begin_halt(Halt::HandedOver);
            return self.poll();
        }
        self.private.batch_mut(id, tx)?.state = BatchState::Waiting;
        self.private.ready.insert(tx);
        Ok(Some(Command::DiscardBatch(id)))
    }

    /// The seeded bug `HaltCommitsBatch`.
    pub(super) fn commit_after_halt(&mut self) -> Option<Command> {
        let (id, group) = self.private.first_ended()?;
        let is_next = mutant!(HaltCommitsBatch) && group.first == self.frontier;
        if is_next { self.commit_group(id, group).ok()? } else { None }
    }

    /// Returns the next command for a private batch member that runs alone at the frontier.
    fn poll_held(&mut self, tx: TxIndex) -> Polled {
        if self.limits.hands_over_rest {
            self.begin_halt(Halt::HandedOver);
            return self.poll();
        }
        if let Some(failure) = self.at_frontier.failure {
            return self.fail(tx, failure);
        }
        if self.at_frontier.has_run {
            self.advance(tx)?;
            return Ok(Some(Command::Commit(tx)));
        }
        if self.here.is_some() {
            return Ok(None);
        }
        let failure = self.failure_in_order(tx);
        match self.at_frontier.admitted {
            None => Ok(self.ask(Awaiting::Admit(tx), Command::Admit(tx))),
            Some(false) => self.refuse(tx),
            Some(true) if let Some(failure) = failure => {
                self.at_frontier.failure = Some(failure);
                self.fail(tx, failure)
            }
            Some(true) => match self.publish_below() {
                Some(publish) => Ok(Some(publish)),
                None => {
                    let chunk = Chunk { first: tx, end: tx.next() };
                    let job = Job { chunk, incarnation: Incarnation(0), mode: RunMode::Frontier };
                    Ok(Some(self.run_outside(job)))
                }
            },
        }
    }

    /// Returns why `tx`, which a sequential segment has reached, has no result.
    fn failure_in_order(&mut self, tx: TxIndex) -> Option<Failure> {
        let ended = self.ended_at(tx)?;
        ended.failure.filter(|_| ended.held == Some(tx))
    }

    /// Drops the pending writes of the last sequential run, if they include results from the
    /// frontier on, which are aborted.
    fn forget_carried(&mut self) {
        let frontier = self.frontier;
        let has_more = self.private.carried.take_if(|carried| *carried > frontier).is_some();
        if has_more && mutant!(CarryKept) {
            self.private.carried = Some(frontier);
        }
    }

    /// I15: before `tx` is skipped, aborts the results of its batch that were computed on top of
    /// it.
    pub(super) fn discard_rest_of(&mut self, tx: TxIndex) -> Polled {
        let (frontier, keeps) = (self.frontier, mutant!(SkipKeepsBatch));
        let Some(ended) = self.ended_at(tx) else { return Ok(None) };
        if keeps {
            ended.groups.pop_front();
        }
        if ended.groups.is_empty() || keeps {
            return Ok(None);
        }
        let runs = ended.groups.iter().map(|group| group.len()).sum();
        *ended = Ended::of(frontier, tx, BatchReport { held: Some(tx), ..BatchReport::default() });
        self.count_batch_waste(runs);
        self.forget_carried();
        let id = self.private.head(tx).ok_or(Invariant::MissingResult { tx })?;
        Ok(Some(Command::DiscardBatch(id)))
    }
}
