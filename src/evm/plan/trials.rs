//! How many transactions to speculate on, and how many to run sequentially after speculation
//! failed.

use crate::config::{Forced, Policy};
use crate::thresholds::{FIRST_SEQUENTIAL_TXS, SEGMENT_GROWTH, TRIAL_FACTOR};

/// Observations of speculation in a block.
#[derive(Clone, Copy, Debug)]
enum Evidence {
    Nothing,
    /// Speculation pays: the next trial has this number of transactions, `usize::MAX` for all.
    Pays(usize),
    /// Speculation failed: this number of transactions ran sequentially afterwards.
    Failed(usize),
}

/// Lengths of speculative trials, and of the sequential segments after failed ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trials {
    /// Length of the first sequential segment.
    shortest: usize,
    /// Factor by which the next sequential segment is longer if speculation fails at once.
    growth: usize,
    evidence: Evidence,
}

impl Trials {
    /// Trials of a block that has not started. `may_fall_back`: speculation may fall back to
    /// sequential.
    pub(super) const fn new(policy: Policy, may_fall_back: bool) -> Self {
        let is_forced = matches!(policy, Policy::Forced(Forced::Alternate));
        let (shortest, growth) =
            if is_forced { (3, 1) } else { (FIRST_SEQUENTIAL_TXS, SEGMENT_GROWTH) };
        let may_end = is_forced || (may_fall_back && matches!(policy, Policy::Auto));
        Self {
            shortest,
            growth,
            evidence: if may_end { Evidence::Nothing } else { Evidence::Pays(usize::MAX) },
        }
    }

    /// Whether `remaining` transactions are enough for a trial with at least as many after it. In a
    /// shorter block a trial takes a tenth of the time.
    pub(super) const fn is_worthwhile(remaining: usize) -> bool {
        let trial = TRIAL_FACTOR * FIRST_SEQUENTIAL_TXS;
        remaining.saturating_sub(trial) >= trial
    }

    /// Records that speculation failed after it had committed `committed` transactions. Returns the
    /// length of the next sequential segment, which grows because each retry costs time.
    pub(super) fn record_failure(&mut self, committed: usize) -> usize {
        let segment = match self.evidence {
            Evidence::Failed(last) if committed < 2 * self.shortest => {
                last.saturating_mul(self.growth)
            }
            Evidence::Failed(_) | Evidence::Nothing | Evidence::Pays(_) => self.shortest,
        };
        self.evidence = Evidence::Failed(segment);
        segment
    }

    /// Records that speculation paid. The next trial is longer, so it is checked more rarely.
    pub(super) const fn record_success(&mut self) {
        self.evidence = Evidence::Pays(self.length().saturating_mul(self.growth));
    }

    /// Length of the next speculative trial. The first is short, because setting up a trial that
    /// fails costs time.
    pub(super) const fn length(&self) -> usize {
        match self.evidence {
            Evidence::Pays(length) => length,
            Evidence::Nothing | Evidence::Failed(_) => TRIAL_FACTOR * self.shortest,
        }
    }
}
