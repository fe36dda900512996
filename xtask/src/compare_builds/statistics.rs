//! Statistics of paired measurements.

/// Measurement of one process: the medians of its rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) sequential_ms: f64,
    pub(super) braid_ms: f64,
    /// Processor time of Braid divided by that of sequential execution.
    pub(super) cpu: f64,
}

impl Sample {
    /// Returns sequential time divided by Braid's; above 1, Braid is faster.
    pub(super) fn ratio(&self) -> f64 {
        self.sequential_ms / self.braid_ms
    }
}

/// Measurements of two consecutive processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) old: Sample,
    pub(super) new: Sample,
}

/// Setting in which a block is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Setting {
    pub(super) workers: u64,
    /// Whether the executor has executed the block before.
    pub(super) learns: bool,
}

/// Measurements of a block in one setting.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) setting: Setting,
    pub(super) pairs: Vec<Pair>,
}

impl Measured {
    /// Returns the median logarithm of new over old speed of all pairs.
    fn log_change(&self) -> f64 {
        self.median(|pair| (pair.new.ratio() / pair.old.ratio()).ln())
    }

    /// Returns new over old speed; below 1, the new build is slower.
    pub(super) fn change(&self) -> f64 {
        self.log_change().exp()
    }

    /// Returns the median of `of` over all pairs.
    pub(super) fn median(&self, of: impl Fn(&Pair) -> f64) -> f64 {
        quantile(self.pairs.iter().map(of), 0.5)
    }

    /// Returns the median time of sequential execution, in milliseconds.
    pub(super) fn sequential_ms(&self) -> f64 {
        self.median(|pair| pair.old.sequential_ms.min(pair.new.sequential_ms))
    }
}

/// A geometric mean, with its 95 % interval if there are at least two blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// Number of blocks.
    pub(super) blocks: usize,
    pub(super) mean: f64,
    pub(super) interval: Option<[f64; 2]>,
}

impl Change {
    /// Returns new over old speed of all `blocks`.
    pub(super) fn of(blocks: &[&Measured]) -> Self {
        let logs: Vec<f64> = blocks.iter().map(|block| block.log_change()).collect();
        let middle = mean(logs.iter().copied());
        let freedom = logs.len().saturating_sub(1);
        let squares = logs.iter().map(|log| (log - middle).powi(2)).sum::<f64>();
        let interval = (freedom > 0).then(|| {
            let error = (squares / freedom as f64 / logs.len() as f64).sqrt() * student(freedom);
            [(middle - error).exp(), (middle + error).exp()]
        });
        Self { blocks: logs.len(), mean: middle.exp(), interval }
    }

    /// Returns whether the new build is slower beyond doubt: the whole interval lies below 1, and
    /// the mean below the interval that as many blocks of a build compared with itself would have.
    pub(super) fn is_loss(&self, noise: Self) -> bool {
        let wider = (noise.blocks as f64 / self.blocks.max(1) as f64).sqrt();
        let lowest = |[lowest, _]: [f64; 2]| noise.mean * (lowest / noise.mean).powf(wider);
        let lowest = noise.interval.map_or(noise.mean, lowest);
        self.interval.is_some_and(|[_, highest]| highest < 1.0) && self.mean < lowest
    }
}

/// Returns Student's t of a 95 % interval, accurate to 0.3 %.
fn student(freedom: usize) -> f64 {
    const FEW: [f64; 6] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447];
    let many = freedom as f64;
    let index = freedom.saturating_sub(1);
    FEW.get(index).copied().unwrap_or(1.96 + 2.37 / many + 2.8 / (many * many))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}

/// Returns the quantile `part`, interpolated between the two nearest values.
pub(crate) fn quantile(values: impl Iterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let place = part * values.len().saturating_sub(1) as f64;
    let at = |index: f64| values.get(index as usize).copied().unwrap_or(f64::NAN);
    let (lower, upper) = (at(place.floor()), at(place.ceil()));
    lower + (upper - lower) * place.fract()
}

/// Returns a block that takes 0.9 ms sequentially, with a pair of processes for each pair of
/// ratios.
#[cfg(test)]
pub(super) fn block(name: &str, ratios: &[(f64, f64)]) -> Measured {
    let sample = |ratio: f64| Sample { sequential_ms: 0.9, braid_ms: 0.9 / ratio, cpu: 1.1 };
    let pair = |(old, new): &(f64, f64)| Pair { old: sample(*old), new: sample(*new) };
    Measured {
        name: name.to_owned(),
        setting: Setting { workers: 1, learns: true },
        pairs: ratios.iter().map(pair).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_one_only_beyond_doubt() {
        let lost =
            [block("a", &[(1.0, 0.9)]), block("b", &[(2.0, 1.82)]), block("c", &[(0.5, 0.455)])];
        let change = Change::of(&lost.iter().collect::<Vec<_>>());
        let quiet = Change { blocks: 3, mean: 1.0, interval: Some([0.98, 1.02]) };
        let loud = Change { blocks: 3, mean: 0.95, interval: Some([0.9, 1.0]) };
        let few = Change { blocks: 12, mean: 1.0, interval: Some([0.96, 1.04]) };
        assert!((change.mean - 0.907).abs() < 0.001, "{change:?}");
        assert_eq!((change.is_loss(quiet), change.is_loss(loud)), (true, false));
        // Of 48 blocks, the noise would be half as wide.
        let many = Change { blocks: 48, mean: 0.97, interval: Some([0.965, 0.975]) };
        assert_eq!((many.is_loss(few), Change { blocks: 12, ..many }.is_loss(few)), (true, false));
        let mixed =
            [block("a", &[(1.0, 0.8)]), block("b", &[(1.0, 1.1)]), block("c", &[(1.0, 0.9)])];
        assert!(!Change::of(&mixed.iter().collect::<Vec<_>>()).is_loss(quiet));
        let one = Change::of(&[&lost[0]]);
        assert!(one.interval.is_none() && !one.is_loss(quiet));
    }

    #[test]
    fn pairs_are_compared_before_the_median_is_taken() {
        // The machine was slower in the second round, for both builds, and in the third one for
        // the new build only.
        let measured = block("a", &[(2.0, 1.8), (1.0, 0.9), (1.5, 0.2)]);
        assert!((measured.change() - 0.9).abs() < 1e-9);
        assert!((measured.median(|pair| pair.old.ratio()) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn quantiles_lie_between_values() {
        let values = || [4.0, 1.0, 3.0, 2.0].into_iter();
        assert!((quantile(values(), 0.25) - 1.75).abs() < 1e-9);
        assert!((quantile(values(), 1.0) - 4.0).abs() < 1e-9);
        assert!((student(7) - 2.365).abs() < 0.01 && (student(60) - 2.0).abs() < 0.01);
    }
}
