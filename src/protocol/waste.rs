//! Aborts, and stopping speculation when there are too many.
use super::plan::{Policy, Waste};
use super::slot::Status;
use super::state::{Halt, Phase, Protocol, Recent};
use crate::error::Invariant;
use crate::ids::TxIndex;

/// Number of transactions in a segment when speculative and sequential ones alternate.
const TURN: u32 = 2;

impl Protocol {
    /// Aborts the result of `tx`, and everything in its chunk that depends on it (I14).
    pub(super) fn discard(&mut self, tx: TxIndex) -> Result<(), Invariant> {
        self.discard_one(tx)?;
        self.discard_tail(tx)
    }

    fn discard_one(&mut self, tx: TxIndex) -> Result<(), Invariant> {
        self.count_waste(1);
        if !mutant!(DiscardKeepsEntries) {
            self.discards.push_back(tx);
        }
        self.slot_mut(tx)?.final_run = false;
        self.make_pending(tx)
    }

    /// Counts executions whose result is useless.
    pub(super) fn count_waste(&mut self, runs: u32) {
        self.counters.aborts += u64::from(runs);
        self.recent.aborts = self.recent.aborts.saturating_add(runs);
    }

    /// Counts aborted executions of a private batch.
    pub(super) fn count_batch_waste(&mut self, runs: u32) {
        self.count_waste(runs);
        self.counters.batch_aborts += u64::from(runs);
    }

    /// Counts commits of speculative executions, each the `runs`-th of its transaction. A
    /// transaction that ran three times has waited for others twice, as it would have in sequential
    /// execution.
    pub(super) const fn count_kept(&mut self, commits: u32, runs: u32) {
        self.counters.speculative_commits += commits as u64;
        if runs <= 2 {
            self.recent.kept = self.recent.kept.saturating_add(commits);
        }
    }

    /// Aborts the transactions that ran after `tx` with the same journal.
    pub(super) fn discard_tail(&mut self, tx: TxIndex) -> Result<(), Invariant> {
        if !self.limits.shared_chunks || mutant!(TailKept) {
            return Ok(());
        }
        let job = self.slots.get(tx).and_then(|slot| slot.job);
        let mut next = tx.next();
        while let Some(slot) = self.slots.get(next) {
            if job.is_none() || slot.job != job {
                break;
            }
            if slot.status == Status::Executed {
                self.discard_one(next)?;
            }
            next = next.next();
        }
        Ok(())
    }

    /// Checks whether most speculation is wasted. If so, ends the block early, if the limits allow
    /// it; with [`Policy::Alternate`], a sequential segment follows instead.
    pub(super) fn watch_discard_rate(&mut self, commits: u32) {
        if self.phase != Phase::Running {
            return;
        }
        let waste = match self.limits.policy {
            Policy::Auto => self.limits.hands_over,
            Policy::Alternate => Some(Waste { runs: 0, kept: u32::MAX, commits: TURN }),
            Policy::ForceSpeculative | Policy::Sequential => None,
        };
        let Some(waste) = waste else { return };
        self.recent.commits += commits;
        if self.recent.commits < waste.commits {
            return;
        }
        let Recent { aborts, kept, .. } = core::mem::take(&mut self.recent);
        let is_wasteful = aborts >= waste.runs && kept <= waste.kept && !self.in_order();
        if !is_wasteful {
            return;
        }
        if !self.give_up() {
            self.counters.fallback_segments += 1;
            self.in_order_until = TxIndex(self.frontier.0.saturating_add(TURN));
        }
    }

    pub(super) fn on_given_up(&mut self) -> Result<(), Invariant> {
        self.give_up();
        Ok(())
    }

    /// Ends the block early with [`Halt::HandedOver`], if the limits allow it. Returns whether it
    /// did.
    fn give_up(&mut self) -> bool {
        let hands_over = self.limits.hands_over.is_some() && self.phase == Phase::Running;
        if hands_over {
            self.counters.fallback_segments += 1;
            self.begin_halt(Halt::HandedOver);
        }
        hands_over
    }
}
