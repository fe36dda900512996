//! Draws the sender, recipient or contract of each transaction.

use super::random::Random;
use std::num::NonZeroU32;

/// Distribution of the parties in a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// A new party each time.
    Distinct,
    /// Uniform over this number of parties.
    Among(NonZeroU32),
    /// Zipf over this number of parties, the k-th with a weight of 1/k: few are popular, most are
    /// not.
    Skewed(NonZeroU32),
}

impl Spread {
    /// Always the same party.
    pub const ONE: Self = Self::Among(NonZeroU32::MIN);

    /// Uniform over `count` parties; over one if `count` is 0.
    #[must_use]
    pub const fn among(count: u32) -> Self {
        match NonZeroU32::new(count) {
            Some(count) => Self::Among(count),
            None => Self::ONE,
        }
    }
}

/// A share of the picks that goes to a few parties, whatever the distribution of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hot {
    /// Share of the transactions, in percent; at most 100.
    pub percent: u8,
    /// Number of hot parties. They are the first of the population.
    pub parties: NonZeroU32,
}

impl Hot {
    /// No hot party.
    pub const NONE: Self = Self { percent: 0, parties: NonZeroU32::MIN };

    /// Sends `percent` of the transactions to one party.
    #[must_use]
    pub const fn one(percent: u8) -> Self {
        Self { percent, parties: NonZeroU32::MIN }
    }
}

/// A picked member of a population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pick {
    /// Index in the population, from 0.
    pub(super) place: u64,
    /// Whether the member is picked only once.
    pub(super) fresh: bool,
}

/// Picks members of a population, one for each transaction.
#[derive(Clone, Debug)]
pub(super) struct Picker {
    spread: Spread,
    hot: Hot,
    /// Next unused index; the hot parties come first.
    fresh: u64,
}

impl Picker {
    pub(super) const fn new(spread: Spread, hot: Hot) -> Self {
        let fresh = if hot.percent == 0 { 0 } else { hot.parties.get() as u64 };
        Self { spread, hot, fresh }
    }

    /// Returns whether no party is picked twice.
    pub(super) fn is_distinct(&self) -> bool {
        self.spread == Spread::Distinct && self.hot.percent == 0
    }

    /// Picks a member. Numbers are drawn only if there is a choice.
    pub(super) fn pick(&mut self, random: &mut Random) -> Pick {
        let hot_parties = u64::from(self.hot.parties.get());
        let is_hot = self.hot.percent != 0 && random.percent(self.hot.percent);
        let known = |place| Pick { place, fresh: false };
        match self.spread {
            Spread::Distinct if is_hot => known(random.below(hot_parties)),
            Spread::Among(count) | Spread::Skewed(count) if is_hot => {
                known(random.below(hot_parties.min(count.get().into())))
            }
            Spread::Among(count) => known(random.below(count.get().into())),
            Spread::Skewed(count) => known(skewed(random, count.get().into())),
            Spread::Distinct => {
                self.fresh += 1;
                Pick { place: self.fresh - 1, fresh: true }
            }
        }
    }
}

/// Draws an index below `count`, the k-th with a weight of 1/k.
pub(super) fn skewed(random: &mut Random, count: u64) -> u64 {
    const WHOLE: u64 = 1 << 32;
    let weights = || (1..=count).map(|rank| WHOLE / rank);
    let mut left = random.below(weights().sum());
    for (place, weight) in (0..count).zip(weights()) {
        if left < weight {
            return place;
        }
        left -= weight;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn picks(spread: Spread, hot: Hot, count: usize) -> Vec<u64> {
        let mut random = Random::new(3, "picks");
        let mut picker = Picker::new(spread, hot);
        (0..count).map(|_| picker.pick(&mut random).place).collect()
    }

    #[test]
    fn distinct_never_repeats() {
        assert_eq!(picks(Spread::Distinct, Hot::NONE, 5), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn hot_parties_are_never_picked_as_fresh_ones() {
        let hot = Hot { percent: 50, parties: NonZeroU32::new(2).unwrap() };
        let picks = picks(Spread::Distinct, hot, 1_000);
        let cold: Vec<_> = picks.iter().filter(|pick| **pick >= 2).collect();
        assert!((400..600).contains(&cold.len()));
        assert_eq!(cold.iter().collect::<BTreeSet<_>>().len(), cold.len());
    }

    #[test]
    fn popularity_falls_with_the_rank() {
        let picks = picks(Spread::Skewed(NonZeroU32::new(4).unwrap()), Hot::NONE, 25_000);
        let count = |place| picks.iter().filter(|pick| **pick == place).count();
        // 12/25, 6/25, 4/25 and 3/25 of them.
        for (place, expected) in [(0, 12_000), (1, 6_000), (2, 4_000), (3, 3_000)] {
            let found = count(place);
            assert!(found.abs_diff(expected) < 400, "{place}: {found}");
        }
        assert_eq!(count(4), 0);
    }

    #[test]
    fn a_population_bounds_the_picks() {
        let all: BTreeSet<_> = picks(Spread::among(20), Hot::NONE, 1_000).into_iter().collect();
        assert_eq!(all, (0..20).collect());
        assert!(picks(Spread::ONE, Hot::one(30), 100).iter().all(|pick| *pick == 0));
    }
}
