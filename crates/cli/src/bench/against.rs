//! Compares two measurements of the same block: is one slower than the other beyond the noise?

use braid_blocks::statistics::{median, quantiles};
use braid_evm::runtime::simulated::Random;

/// Minimum number of rounds of a measurement; fewer give no interval.
pub const FEWEST: usize = 5;
/// Number of bootstrap resamples. The middle 95 % of them are the interval.
const RESAMPLES: usize = 4_000;
/// Fixed seed, so that the same measurements give the same interval.
const SEED: u64 = 0x6272_6169_6400_0001;

/// Times of one round, of sequential execution and of Braid, in the same unit.
pub type Round = (f64, f64);

/// Braid's time relative to its earlier time. Both are in units of the sequential time of the same
/// rounds, so a slower or busier machine cancels out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Ratio of the medians.
    pub factor: f64,
    /// Lower end of the 95 % confidence interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Judgement of a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval is above the tolerance.
    Slower,
    /// The whole interval is below the inverse of the tolerance.
    Faster,
    /// Neither.
    Same,
}

impl Change {
    /// Compares the rounds `now` with those `before`, by a bootstrap over rounds. Returns `None` if
    /// either has too few.
    #[must_use]
    pub fn of(before: &[Round], now: &[Round]) -> Option<Self> {
        let is_measured = |rounds: &[Round]| {
            rounds.len() >= FEWEST && rounds.iter().all(|(one, other)| *one > 0.0 && *other > 0.0)
        };
        if !is_measured(before) || !is_measured(now) {
            return None;
        }
        let mut random = Random::new(SEED);
        let mut resampled = |rounds: &[Round]| {
            let drawn: Vec<Round> = (0..rounds.len())
                .map(|_| random.pick(rounds).copied().unwrap_or_default())
                .collect();
            relative(&drawn)
        };
        let factors = (0..RESAMPLES).map(|_| resampled(now) / resampled(before)).collect();
        let [low, high] = quantiles(factors, [0.025, 0.975])?;
        Some(Self { factor: relative(now) / relative(before), low, high })
    }

    /// Judges the change: slower or faster if the whole interval exceeds `tolerance`, a fraction
    /// such as 0.03.
    #[must_use]
    pub fn verdict(&self, tolerance: f64) -> Verdict {
        if self.low > 1.0 + tolerance {
            Verdict::Slower
        } else if self.high < 1.0 / (1.0 + tolerance) {
            Verdict::Faster
        } else {
            Verdict::Same
        }
    }
}

/// Returns the median of Braid's time over the sequential time.
fn relative(rounds: &[Round]) -> f64 {
    let median =
        |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect()).expect("there are rounds");
    median(|round| round.1) / median(|round| round.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Generates `count` rounds around these times; `noise` is a fraction of them.
    fn rounds(count: usize, sequential: f64, parallel: f64, noise: f64, seed: u64) -> Vec<Round> {
        let mut random = Random::new(seed);
        let mut noisy = |time: f64| {
            let share = random.below(2_001) as f64 / 1_000.0 - 1.0;
            time * (1.0 + noise * share)
        };
        (0..count).map(|_| (noisy(sequential), noisy(parallel))).collect()
    }

    #[test]
    fn what_is_slower_is_told_from_noise() {
        let before = rounds(15, 10.0, 6.0, 0.02, 1);
        let slower = Change::of(&before, &rounds(15, 10.0, 7.2, 0.02, 2)).unwrap();
        assert!((slower.factor - 1.2).abs() < 0.04, "{slower:?}");
        assert!(slower.low < slower.factor && slower.factor < slower.high, "{slower:?}");
        assert_eq!(slower.verdict(0.03), Verdict::Slower);
        assert_eq!(slower.verdict(0.5), Verdict::Same);
        let faster = Change::of(&before, &rounds(15, 10.0, 5.0, 0.02, 3)).unwrap();
        assert_eq!(faster.verdict(0.03), Verdict::Faster);
        // The same slow-down, hidden by the noise.
        let noisy = rounds(15, 10.0, 6.0, 0.6, 4);
        let change = Change::of(&noisy, &rounds(15, 10.0, 6.6, 0.6, 5)).unwrap();
        assert_eq!(change.verdict(0.03), Verdict::Same, "{change:?}");
    }

    #[test]
    fn a_slower_machine_is_no_slower_braid() {
        let before = rounds(9, 10.0, 6.0, 0.01, 1);
        let change = Change::of(&before, &rounds(9, 30.0, 18.0, 0.01, 2)).unwrap();
        assert!((change.factor - 1.0).abs() < 0.02, "{change:?}");
        assert_eq!(change.verdict(0.03), Verdict::Same);
    }

    #[test]
    fn the_same_rounds_have_the_same_interval_and_too_few_have_none() {
        let (before, now) = (rounds(7, 10.0, 6.0, 0.1, 1), rounds(7, 10.0, 6.0, 0.1, 2));
        assert_eq!(Change::of(&before, &now), Change::of(&before, &now));
        assert_eq!(Change::of(&before[..4], &now), None);
        assert_eq!(Change::of(&before, &now[..4]), None);
        assert_eq!(Change::of(&[(0.0, 1.0); 7], &now), None);
        let same = Change::of(&[(10.0, 5.0); 7], &[(20.0, 10.0); 7]).unwrap();
        assert_eq!(same, Change { factor: 1.0, low: 1.0, high: 1.0 });
    }

    /// About one in twenty 95 % intervals may miss the true value.
    #[test]
    fn intervals_cover_what_is_true() {
        let missed = (0..100).filter(|seed| {
            let before = rounds(15, 10.0, 6.0, 0.1, 2 * seed);
            let change = Change::of(&before, &rounds(15, 10.0, 6.0, 0.1, 2 * seed + 1)).unwrap();
            !(change.low..=change.high).contains(&1.0)
        });
        let missed = missed.count();
        assert!(missed <= 15, "{missed} of 100 intervals miss 1");
    }
}
