//! What was measured, and the figures that are made of it.

use super::{
    runs::Sample,
    simulate::{Bounds, Simulated},
    stages::StageTimes,
};
use braid_evm::Stats;
use braid_testkit::statistics::median_time;
use std::time::Duration;

/// All times of one way of executing a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// One for each round.
    pub samples: Vec<Sample>,
}

impl Series {
    /// Median time on the clock.
    #[must_use]
    pub fn wall(&self) -> Duration {
        median_time(self.samples.iter().map(|sample| sample.wall))
    }

    /// Median processor time.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        median_time(self.samples.iter().map(|sample| sample.cpu))
    }

    /// (Slowest - fastest) / median, of times on the clock.
    #[must_use]
    pub fn spread(&self) -> f64 {
        let walls = || self.samples.iter().map(|sample| sample.wall);
        let (slowest, fastest) = (walls().max(), walls().min());
        let range = slowest.zip(fastest).map(|(slowest, fastest)| slowest.saturating_sub(fastest));
        ratio(range.unwrap_or_default(), self.wall())
    }
}

/// One over the other; 0 if there is nothing to divide by.
#[must_use]
pub fn ratio(over: Duration, under: Duration) -> f64 {
    let under = under.as_secs_f64();
    if under > 0.0 { over.as_secs_f64() / under } else { 0.0 }
}

/// One block on one number of workers.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Name of the block.
    pub workload: String,
    /// Workers of Braid, the calling thread included.
    pub workers: u16,
    /// Transactions of the block.
    pub transactions: usize,
    /// Gas used by the block.
    pub gas: u64,
    /// The baseline.
    pub sequential: Series,
    /// As many sequential executions at once as there are workers, until all have ended; `None` for one worker, and for
    /// more than there are cores.
    pub copies: Option<Series>,
    /// One journal on one thread; `None` where it gives other results than sequential execution.
    pub journal: Option<Series>,
    /// Two threads without concurrency control; `None` where the halves cannot run on their own.
    pub halves: Option<Series>,
    /// Braid.
    pub parallel: Series,
    /// Counters of Braid's first run.
    pub stats: Stats,
    /// Reads of the database in one run of the baseline and of Braid, where they were counted.
    pub reads: Option<[u64; 2]>,
    /// Where Braid's time goes.
    pub stages: Option<StageTimes>,
    /// Bytes that one run of the baseline and of Braid adds to the process, at its highest.
    pub memory: Option<[u64; 2]>,
    /// More workers in virtual time, and what bounds them.
    pub simulated: Option<(Vec<Simulated>, Bounds)>,
}

impl Figures {
    /// Sequential over parallel time on the clock; above 1 is faster.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        ratio(self.sequential.wall(), self.parallel.wall())
    }

    /// Parallel over sequential processor time; above 1 is more work.
    #[must_use]
    pub fn cpu_ratio(&self) -> f64 {
        ratio(self.parallel.cpu(), self.sequential.cpu())
    }

    /// Time of one journal over parallel time; above 1 is faster.
    #[must_use]
    pub fn journal_ratio(&self) -> Option<f64> {
        self.journal.as_ref().map(|journal| ratio(journal.wall(), self.parallel.wall()))
    }

    /// Sequential time over that of two halves at the same time.
    #[must_use]
    pub fn bound_ratio(&self) -> Option<f64> {
        self.halves.as_ref().map(|halves| ratio(self.sequential.wall(), halves.wall()))
    }

    /// The work of as many sequential executions at once as there are workers over the time that they take, in
    /// sequential time: what that many cores of this machine can come to.
    #[must_use]
    pub fn ceiling(&self) -> Option<f64> {
        let copies = self.copies.as_ref()?;
        Some(f64::from(self.workers) * ratio(self.sequential.wall(), copies.wall()))
    }

    /// Processor time over time on the clock of the baseline: well below 1 on a machine that computes something else.
    #[must_use]
    pub fn sequential_share(&self) -> f64 {
        ratio(self.sequential.cpu(), self.sequential.wall())
    }

    /// What simulation says for as many workers on this machine, whose cores slow each other down as that
    /// number of sequential executions at once has shown.
    #[must_use]
    pub fn simulated_here(&self) -> Option<f64> {
        let (all, _) = self.simulated.as_ref()?;
        let one = all.iter().find(|one| one.workers == self.workers)?;
        Some(one.ratio_at(self.ceiling()? / f64::from(self.workers)))
    }

    /// Million gas in a second.
    #[must_use]
    pub fn mgas_per_second(&self) -> f64 {
        per_second(self.gas as f64 / 1e6, self.parallel.wall())
    }

    /// Transactions in a second.
    #[must_use]
    pub fn transactions_per_second(&self) -> f64 {
        per_second(self.transactions as f64, self.parallel.wall())
    }

    /// Microseconds that a transaction takes in sequence.
    #[must_use]
    pub fn sequential_micros(&self) -> f64 {
        self.sequential.wall().as_secs_f64() * 1e6 / self.transactions.max(1) as f64
    }

    /// Share of Braid's runs that were thrown away, from 0 to 1.
    #[must_use]
    pub fn discarded_share(&self) -> f64 {
        self.stats.discarded as f64 / self.stats.incarnations.max(1) as f64
    }
}

fn per_second(count: f64, time: Duration) -> f64 {
    let time = time.as_secs_f64();
    if time > 0.0 { count / time } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(millis: &[(u64, u64)]) -> Series {
        let sample = |&(wall, cpu): &(u64, u64)| Sample {
            wall: Duration::from_millis(wall),
            cpu: Duration::from_millis(cpu),
        };
        Series { samples: millis.iter().map(sample).collect() }
    }

    #[test]
    fn medians_are_taken_one_by_one() {
        let odd = series(&[(1, 9), (5, 7), (3, 8)]);
        assert_eq!((odd.wall(), odd.cpu()), (Duration::from_millis(3), Duration::from_millis(8)));
        assert!((odd.spread() - 4.0 / 3.0).abs() < 1e-9);
        assert_eq!(series(&[(1, 0), (2, 0), (4, 0), (9, 0)]).wall(), Duration::from_millis(3));
        assert_eq!(Series::default().wall(), Duration::ZERO);
        assert_eq!(Series::default().spread(), 0.0);
    }

    #[test]
    fn ratios_say_who_is_faster() {
        let figures = Figures {
            workload: String::new(),
            workers: 2,
            transactions: 1_000,
            gas: 21_000_000,
            sequential: series(&[(20, 20)]),
            copies: Some(series(&[(25, 50)])),
            journal: Some(series(&[(15, 15)])),
            halves: None,
            parallel: series(&[(10, 24)]),
            stats: Stats::default(),
            reads: None,
            stages: None,
            memory: None,
            simulated: None,
        };
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
        assert!(close(figures.ratio(), 2.0) && close(figures.cpu_ratio(), 1.2));
        assert!(figures.journal_ratio().is_some_and(|ratio| close(ratio, 1.5)));
        assert_eq!(figures.bound_ratio(), None);
        assert!(figures.ceiling().is_some_and(|ceiling| close(ceiling, 1.6)));
        assert!(close(figures.sequential_share(), 1.0));
        assert!(close(figures.mgas_per_second(), 2_100.0));
        assert!(close(figures.transactions_per_second(), 100_000.0));
        assert!(close(figures.sequential_micros(), 20.0));
    }
}
