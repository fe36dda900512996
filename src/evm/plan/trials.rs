//! How long speculation is tried, and how long it is not where it was wasted.

use super::thresholds::{
    DISCARDS_IN_A_CHAIN, DISCARDS_OF_TWO, DISCARDS_TELL_A_CHAIN, FIRST_IN_ORDER, TRIAL_TIMES,
};
use crate::config::{Forced, Policy};
use crate::protocol::Waste;

/// From when on speculation on `workers` workers counts as wasted, where each transaction may run
/// `runs` times for nothing. `is_doubtful`: all that is left looks tied together, so that half of
/// that is enough to tell.
///
/// What a second worker does for nothing in a chain is about one run for each commit. Each further
/// worker may waste as much as that one. They waste by fits and starts, so it takes longer to tell.
pub(in crate::evm) fn waste(runs: u32, workers: usize, is_doubtful: bool) -> Waste {
    let Waste { runs, commits } = wasted(runs, workers);
    Waste { runs: if is_doubtful { runs / 2 } else { runs }, commits }
}

fn wasted(runs: u32, workers: usize) -> Waste {
    let Waste { runs: few, commits } = Waste::default();
    if workers <= 2 {
        return Waste { runs: DISCARDS_OF_TWO, commits };
    }
    let others = u32::try_from(workers - 1).unwrap_or(u32::MAX);
    let most = DISCARDS_TELL_A_CHAIN * runs.clamp(1, DISCARDS_IN_A_CHAIN);
    Waste { runs: (2 * few).saturating_mul(others).min(most), commits: 2 * commits }
}

/// What the block has shown of speculation.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Nothing,
    Pays,
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
        let (shortest, growth) = if is_forced { (3, 1) } else { FIRST_IN_ORDER };
        let may_end =
            hands_over && matches!(policy, Policy::Auto | Policy::Forced(Forced::Alternate));
        Self { shortest, growth, shown: if may_end { Shown::Nothing } else { Shown::Pays } }
    }

    /// Speculation was wasted after it had made `committed` of progress. Returns for how long
    /// transactions run in order: trying again costs, so that is done later and later.
    pub(super) fn wasted(&mut self, committed: usize) -> usize {
        let stretch = match self.shown {
            Shown::Wasted(last) if committed < 2 * self.shortest => {
                last.saturating_mul(self.growth)
            }
            Shown::Wasted(_) | Shown::Nothing | Shown::Pays => self.shortest,
        };
        self.shown = Shown::Wasted(stretch);
        stretch
    }

    /// Speculation was not wasted.
    pub(super) const fn paid(&mut self) {
        self.shown = Shown::Pays;
    }

    /// Transactions that speculation is tried with: setting up many for nothing costs, too.
    pub(super) const fn length(&self) -> usize {
        match self.shown {
            Shown::Pays => usize::MAX,
            Shown::Nothing | Shown::Wasted(_) => TRIAL_TIMES * self.shortest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_given_up_on_two_workers_and_on_many() {
        let expected = Waste { runs: 30, commits: 32 };
        assert!([1, 4].iter().all(|runs| waste(*runs, 2, false) == expected));
        let more = [3, 4, 5, 8, 64].map(|workers| waste(4, workers, false).runs);
        assert_eq!(more, [96, 144, 192, 208, 208]);
        assert_eq!(waste(1, 64, false), Waste { runs: 52, commits: 64 });
        assert_eq!(waste(4, 2, true), Waste { runs: 15, commits: 32 });
    }
}
