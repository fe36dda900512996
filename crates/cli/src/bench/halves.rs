//! A guard against overfitting: blocks are split into two halves by name. Thresholds are chosen on
//! one half, and their effect is reported on the other.

use alloy_primitives::keccak256;
use core::fmt;
use serde::Serialize;

/// Half of all blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Half {
    /// Blocks on which thresholds are chosen.
    Tuning,
    /// Blocks on which thresholds are not chosen.
    HeldOut,
}

impl Half {
    /// Both halves.
    pub const ALL: [Self; 2] = [Self::Tuning, Self::HeldOut];

    /// Returns the half of the block with this name, by a hash of the name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        if keccak256(name).0[0] & 1 == 0 { Self::Tuning } else { Self::HeldOut }
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tuning => "tuning half",
            Self::HeldOut => "held-out half",
        })
    }
}

/// Speed-ups of blocks, for the means of both halves.
#[derive(Clone, Debug, Default)]
pub struct Means {
    ratios: Vec<(u16, Half, f64)>,
}

impl Means {
    /// Creates an empty collection.
    #[must_use]
    pub const fn new() -> Self {
        Self { ratios: Vec::new() }
    }

    /// Adds the speed-up of block `name` on `workers`.
    pub fn add(&mut self, name: &str, workers: u16, ratio: f64) {
        self.ratios.push((workers, Half::of(name), ratio));
    }

    /// Returns one line per number of workers with the geometric means. A half without blocks has
    /// no mean.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut workers: Vec<u16> = self.ratios.iter().map(|it| it.0).collect();
        workers.sort_unstable();
        workers.dedup();
        workers.into_iter().filter_map(|workers| self.line(workers)).collect()
    }

    fn line(&self, workers: u16) -> Option<String> {
        let of = |half: Option<Half>| {
            let mine = self.ratios.iter().filter(|it| it.0 == workers);
            let mine = mine.filter(|it| half.is_none_or(|half| it.1 == half));
            geometric_mean(mine.map(|it| it.2))
                .map(|(mean, blocks)| format!("{mean:.3} ({blocks} blocks)"))
        };
        let [tuning, held_out] =
            Half::ALL.map(|half| of(Some(half)).map(|mean| format!("{half} {mean}")));
        let (all, tuning, held_out) = (of(None)?, tuning?, held_out?);
        Some(format!("geometric mean on {workers} workers: {all}; {tuning}, {held_out}"))
    }
}

/// Returns the geometric mean of `ratios` and their number; `None` if there are none.
#[expect(clippy::cast_precision_loss, reason = "a mean for people")]
fn geometric_mean(ratios: impl Iterator<Item = f64>) -> Option<(f64, usize)> {
    let (sum, count) =
        ratios.fold((0.0, 0_usize), |(sum, count), ratio| (sum + ratio.ln(), count + 1));
    (count > 0).then(|| ((sum / count as f64).exp(), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_halves_of_about_one_size() {
        let tuning = (0..1_000).filter(|it| Half::of(&format!("mainnet-{it}")) == Half::Tuning);
        assert!((400..600).contains(&tuning.count()));
    }

    #[test]
    fn the_mean_of_each_half_is_that_of_its_blocks() {
        let mut means = Means::default();
        let names = (0..64).map(|it| it.to_string());
        for name in names {
            let ratio = if Half::of(&name) == Half::Tuning { 2.0 } else { 0.5 };
            means.add(&name, 4, ratio);
        }
        let [line] = means.lines().try_into().expect("one number of workers");
        assert!(
            line.contains("tuning half 2.000") && line.contains("held-out half 0.500"),
            "{line}"
        );
        let mut one = Means::default();
        one.add("alone", 2, 1.0);
        assert!(one.lines().is_empty());
    }
}
