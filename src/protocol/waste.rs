//! Aborts, and the end of speculation when there are too many.

use super::slot::Status;
use super::state::{Halt, Phase, Protocol, RecentCounts};
use crate::error::Invariant;
use crate::ids::TxIndex;

impl Protocol {
    /// Aborts the result of `tx` and the later results of its chunk that depend on it (I14).
    pub(super) fn abort(&mut self, tx: TxIndex) -> Result<(), Invariant> {
        self.abort_one(tx)?;
        self.abort_tail(tx)
    }

    fn abort_one(&mut self, tx: TxIndex) -> Result<(), Invariant> {
        self.count_waste(1);
        if !mutant!(DiscardKeepsEntries) {
            self.to_abort.push_back(tx);
        }
        self.slot_mut(tx)?.final_run = false;
        self.make_pending(tx)
    }

    /// Counts executions whose result is not used.
    pub(super) fn count_waste(&mut self, runs: u32) {
        self.counters.aborts += u64::from(runs);
        self.recent.aborts = self.recent.aborts.saturating_add(runs);
    }

    /// Counts aborted executions of a private batch.
    pub(super) fn count_batch_waste(&mut self, runs: u32) {
        self.count_waste(runs);
        self.counters.batch_aborts += u64::from(runs);
    }

    /// Counts commits of speculative executions, each the `runs`-th of its transaction. A third
    /// execution does not count as kept: its transaction has waited for lower ones twice, so
    /// speculation gained nothing.
    pub(super) const fn count_kept(&mut self, commits: u32, runs: u32) {
        self.counters.speculative_commits += commits as u64;
        if runs <= 2 {
            self.recent.kept = self.recent.kept.saturating_add(commits);
        }
    }

    /// Aborts the transactions that ran after `tx` with the same journal.
    pub(super) fn abort_tail(&mut self, tx: TxIndex) -> Result<(), Invariant> {
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
                self.abort_one(next)?;
            }
            next = next.next();
        }
        Ok(())
    }

    /// Counts `commits`, and falls back if most speculation is wasted and the limits allow it.
    pub(super) fn check_waste(&mut self, commits: u32) {
        if self.phase != Phase::Running {
            return;
        }
        let Some(waste) = self.limits.fallback else { return };
        self.recent.commits += commits;
        if self.recent.commits < waste.commits {
            return;
        }
        let RecentCounts { aborts, kept, .. } = core::mem::take(&mut self.recent);
        if aborts >= waste.runs && kept <= waste.kept {
            self.fall_back();
        }
    }

    /// Ends the block early with [`Halt::Fallback`], if the limits allow it.
    pub(super) fn fall_back(&mut self) {
        if self.limits.fallback.is_some() && self.phase == Phase::Running {
            self.counters.fallback_segments += 1;
            self.begin_halt(Halt::Fallback);
        }
    }
}
