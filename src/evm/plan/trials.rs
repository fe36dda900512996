//! How long speculation is tried, and how long it is not where it was wasted.

use super::thresholds::{LEFT_ALONE, SHORT, TRIAL_TIMES};
use crate::config::{Forced, Policy};

/// What the block has shown of speculation.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Nothing,
    /// It is tried for this number of transactions, `usize::MAX` for all.
    Pays(usize),
    /// It was wasted: this number of transactions ran one after the other then.
    Wasted(usize),
}

/// How long speculation is tried, and how long transactions run one after the other where it was
/// wasted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trials {
    /// Transactions of the first stretch in order.
    shortest: usize,
    /// How much longer the next one is where speculation was wasted at once.
    growth: usize,
    shown: Shown,
}

impl Trials {
    /// `hands_over`: speculation may be given up.
    pub(super) const fn new(policy: Policy, hands_over: bool) -> Self {
        let is_forced = matches!(policy, Policy::Forced(Forced::Alternate));
        let (shortest, growth) = if is_forced { (3, 1) } else { (SHORT, LEFT_ALONE) };
        let may_end =
            hands_over && matches!(policy, Policy::Auto | Policy::Forced(Forced::Alternate));
        Self {
            shortest,
            growth,
            shown: if may_end { Shown::Nothing } else { Shown::Pays(usize::MAX) },
        }
    }

    /// Whether `left` transactions are enough for a trial, after which as many are left again, or
    /// for rounds of tied ones: in a shorter block either takes a tenth of the time.
    pub(super) const fn is_worthwhile(left: usize) -> bool {
        let trial = TRIAL_TIMES * SHORT;
        left.saturating_sub(trial) >= trial
    }

    /// Speculation was wasted after it had made `committed` of progress. Returns for how long
    /// transactions run in order: trying again costs, so that is done later and later.
    pub(super) fn wasted(&mut self, committed: usize) -> usize {
        let stretch = match self.shown {
            Shown::Wasted(last) if committed < 2 * self.shortest => {
                last.saturating_mul(self.growth)
            }
            Shown::Wasted(_) | Shown::Nothing | Shown::Pays(_) => self.shortest,
        };
        self.shown = Shown::Wasted(stretch);
        stretch
    }

    /// Speculation was not wasted: the longer it pays the more rarely is looked.
    pub(super) const fn paid(&mut self) {
        self.shown = Shown::Pays(self.length().saturating_mul(self.growth));
    }

    /// Transactions of a trial of speculation. It is short, as setting up a trial that fails costs
    /// time, too.
    pub(super) const fn length(&self) -> usize {
        match self.shown {
            Shown::Pays(length) => length,
            Shown::Nothing | Shown::Wasted(_) => TRIAL_TIMES * self.shortest,
        }
    }
}
