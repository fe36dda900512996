//! Measured times, and the figures computed from them.

use super::{
    simulate::{Bounds, Simulated},
    stages::StageTimes,
};
use braid_blocks::{statistics::median_time, timing::Times};
use braid_evm::Stats;
use std::time::Duration;

/// All times of one way of executing a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// One sample per round.
    pub samples: Vec<Times>,
}

impl Series {
    /// Returns the median wall time.
    #[must_use]
    pub fn wall(&self) -> Duration {
        median_time(self.samples.iter().map(|sample| sample.wall))
    }

    /// Returns the median processor time.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        median_time(self.samples.iter().map(|sample| sample.cpu))
    }

    /// Returns the spread of the wall times, (slowest - fastest) / median.
    #[must_use]
    pub fn spread(&self) -> f64 {
        let walls = || self.samples.iter().map(|sample| sample.wall);
        let (slowest, fastest) = (walls().max(), walls().min());
        let range = slowest.zip(fastest).map(|(slowest, fastest)| slowest.saturating_sub(fastest));
        ratio(range.unwrap_or_default(), self.wall())
    }
}

/// Returns `over / under`, or 0 if `under` is zero.
#[must_use]
pub fn ratio(over: Duration, under: Duration) -> f64 {
    let under = under.as_secs_f64();
    if under > 0.0 { over.as_secs_f64() / under } else { 0.0 }
}

/// Measurements of one block on one number of workers.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Name of the block.
    pub workload: String,
    /// Number of workers, including the calling thread.
    pub workers: u16,
    /// Number of transactions in the block.
    pub transactions: usize,
    /// Gas used by the block.
    pub gas: u64,
    /// Times of the baseline.
    pub sequential: Series,
    /// Times of concurrent sequential executions, one per worker, until all have ended. `None` for
    /// one worker, and for more workers than cores.
    pub copies: Option<Series>,
    /// Times of one journal on one thread; `None` if its results differ from sequential execution.
    pub journal: Option<Series>,
    /// Times of two threads without concurrency control; `None` if the halves cannot run
    /// independently.
    pub halves: Option<Series>,
    /// Times of Braid.
    pub parallel: Series,
    /// Time in which a cache line goes from one core to another and back, by round; empty on one
    /// core or for one worker.
    pub round_trips: Vec<Duration>,
    /// Counters of Braid's first run.
    pub stats: Stats,
    /// Database reads in one run of the baseline and of Braid, if counted.
    pub reads: Option<[u64; 2]>,
    /// Where Braid's time goes.
    pub stages: Option<StageTimes>,
    /// Peak memory growth in bytes of one run of the baseline and of Braid.
    pub memory: Option<[u64; 2]>,
    /// Virtual times on more workers, and the bounds on them.
    pub simulated: Option<(Vec<Simulated>, Bounds)>,
}

impl Figures {
    /// Returns the speed-up: sequential over parallel wall time.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        ratio(self.sequential.wall(), self.parallel.wall())
    }

    /// Returns parallel over sequential processor time; above 1 is additional work.
    #[must_use]
    pub fn cpu_ratio(&self) -> f64 {
        ratio(self.parallel.cpu(), self.sequential.cpu())
    }

    /// Returns the speed-up over one journal.
    #[must_use]
    pub fn journal_ratio(&self) -> Option<f64> {
        self.journal.as_ref().map(|journal| ratio(journal.wall(), self.parallel.wall()))
    }

    /// Returns the speed-up of two concurrent halves over sequential execution.
    #[must_use]
    pub fn bound_ratio(&self) -> Option<f64> {
        self.halves.as_ref().map(|halves| ratio(self.sequential.wall(), halves.wall()))
    }

    /// Returns the speed-up that this machine's cores allow: the work of one sequential execution
    /// per worker, all at once, over the time until all have ended.
    #[must_use]
    pub fn ceiling(&self) -> Option<f64> {
        let copies = self.copies.as_ref()?;
        Some(f64::from(self.workers) * ratio(self.sequential.wall(), copies.wall()))
    }

    /// Returns processor time over wall time of the baseline; well below 1 on a busy machine.
    #[must_use]
    pub fn sequential_share(&self) -> f64 {
        ratio(self.sequential.cpu(), self.sequential.wall())
    }

    /// Returns the simulated speed-up for this number of workers, corrected for the slow-down of
    /// this machine's cores that the concurrent sequential executions show.
    #[must_use]
    pub fn simulated_here(&self) -> Option<f64> {
        let (all, _) = self.simulated.as_ref()?;
        let one = all.iter().find(|one| one.workers == self.workers)?;
        Some(one.ratio_at(self.ceiling()? / f64::from(self.workers)))
    }

    /// Returns millions of gas per second.
    #[must_use]
    pub fn mgas_per_second(&self) -> f64 {
        per_second(self.gas as f64 / 1e6, self.parallel.wall())
    }

    /// Returns transactions per second.
    #[must_use]
    pub fn transactions_per_second(&self) -> f64 {
        per_second(self.transactions as f64, self.parallel.wall())
    }

    /// Returns the microseconds per transaction in sequential execution.
    #[must_use]
    pub fn sequential_micros(&self) -> f64 {
        self.sequential.wall().as_secs_f64() * 1e6 / self.transactions.max(1) as f64
    }

    /// Returns the fraction of Braid's runs that aborted, from 0 to 1.
    #[must_use]
    pub fn abort_share(&self) -> f64 {
        self.stats.aborts as f64 / self.stats.incarnations.max(1) as f64
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
        let sample = |&(wall, cpu): &(u64, u64)| Times {
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
            round_trips: Vec::new(),
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
