//! How long speculation is tried, and how long it is not where it was wasted.

use crate::protocol::{Policy, WASTEFUL_RUNS};

/// Transactions of a block that is long: while it turns out there that speculation is wasted, more is lost.
const LONG: usize = 2_000;

/// Runs thrown away in 32 commits by which speculation counts as wasted. Of mainnet's blocks those in which it
/// is between the two are still faster with it than without. More than 32 come together only where each
/// transaction may have run more than once: `runs` times.
pub(super) const fn wasteful_runs(transactions: usize, runs: u32) -> u32 {
    if transactions < LONG && runs > 1 { 2 * WASTEFUL_RUNS } else { WASTEFUL_RUNS }
}

/// Whether speculation pays, as far as the block has shown.
#[derive(Clone, Copy)]
enum Shown {
    Nothing,
    Pays,
    /// It was wasted: so many transactions ran one after the other then.
    Wasted(usize),
}

/// How long speculation is tried, and how long transactions run one after the other where it was
/// wasted. It lasts over the rounds of a pool.
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
        let (shortest, growth) = if matches!(policy, Policy::Alternate) { (3, 1) } else { (64, 8) };
        let may_end = hands_over && matches!(policy, Policy::Auto | Policy::Alternate);
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
            Shown::Nothing | Shown::Wasted(_) => 16 * self.shortest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speculation_is_given_up_later_in_short_blocks() {
        let short =
            [(0, 4), (1_999, 2)].map(|(transactions, runs)| wasteful_runs(transactions, runs));
        let others =
            [(2_000, 4), (500, 1)].map(|(transactions, runs)| wasteful_runs(transactions, runs));
        assert_eq!((short, others), ([48, 48], [24, 24]));
    }
}
