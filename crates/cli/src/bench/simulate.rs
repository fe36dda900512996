//! A block on more workers than there are cores, in virtual time.
//!
//! The shipped executor runs on fibers of one thread, all of it: pre-block calls, contiguous
//! batches, workers that share a store, the bundle. Each step takes as long in virtual time
//! as it took on the clock, and the worker that is furthest behind runs next. So each worker has a
//! core of its own, with its memory. Not simulated are caches and memory bandwidth that cores
//! share, the waking of threads, and reads late in a transaction (all count as made when it
//! begins).

use super::runs;
use crate::explain::{self, Axis, Graph, Recording, Rule, WhatIf};
use braid_blocks::{block::Block, timing::Pauses};
use braid_evm::{
    Config, SimulatedExecutor,
    runtime::simulated::{Clock, Options, Schedule},
};
use core::num::NonZeroU16;
use revm::DatabaseRef;
use std::{
    fmt::Display,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// Number of rounds. The shortest counts, because executors learn from the first ones.
const ROUNDS: usize = 6;

/// Result of a block on some number of simulated workers.
#[derive(Clone, Copy, Debug)]
pub struct Simulated {
    /// Number of workers.
    pub workers: u16,
    /// Virtual time of the whole block.
    pub time: Duration,
    /// Virtual time for which workers were busy, summed.
    pub busy: Duration,
    /// Time of sequential execution, measured in turn with the simulation.
    pub sequential: Duration,
}

impl Simulated {
    /// Returns the speed-up: sequential over virtual time.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.sequential.as_secs_f64() / self.time.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Returns the speed-up if each core runs at `pace` while all are busy: 1 if cores do not slow
    /// each other down, 1/n if n of them share one. The estimate assumes that at any time either
    /// one worker is busy or all are.
    #[must_use]
    pub fn ratio_at(&self, pace: f64) -> f64 {
        let workers = f64::from(self.workers.max(2));
        let together = self.busy.saturating_sub(self.time).as_secs_f64() / (workers - 1.0);
        let slower = together * (1.0 / pace.clamp(1.0 / workers, 1.0) - 1.0);
        self.sequential.as_secs_f64() / (self.time.as_secs_f64() + slower).max(f64::MIN_POSITIVE)
    }
}

/// Bounds that hold for any number of workers, as long as transactions are not split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Time of all transactions in sequence, without a bundle.
    pub work: Duration,
    /// Time of the longest chain of transactions in which each reads a write of its predecessor.
    /// Fees for the beneficiary are left out.
    pub chain: Duration,
}

impl Bounds {
    /// Returns the bound on the speed-up with `workers`.
    #[must_use]
    pub fn ratio(&self, workers: u16) -> f64 {
        let chain = self.chain.as_secs_f64();
        let by_chain = if chain > 0.0 { self.work.as_secs_f64() / chain } else { f64::INFINITY };
        by_chain.min(f64::from(workers))
    }
}

/// Returns nanoseconds since the first call.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the smallest difference between two readings of the clock.
fn clock_overhead() -> u64 {
    let pairs = (0..10_000).map(|_| {
        let before = now();
        now().saturating_sub(before)
    });
    let mut pairs: Vec<u64> = pairs.collect();
    pairs.sort_unstable();
    pairs.get(pairs.len() / 2).copied().unwrap_or_default()
}

/// Simulates the block on each number of `workers`. `None` if the block does not execute.
pub fn virtual_times<D>(
    block: &Block,
    shared: &Arc<braid_evm::Block>,
    database: &D,
    workers: &[NonZeroU16],
) -> Option<Vec<Simulated>>
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    let clock = Clock { now, overhead: clock_overhead() };
    let executor = |workers: &NonZeroU16| {
        let schedule = Schedule::Measured(clock);
        let options = Options { schedule, step_limit: u64::MAX, ..Options::new(workers.get(), 1) };
        SimulatedExecutor::new(Config::with_workers(*workers), options)
    };
    let mut executors: Vec<_> = workers.iter().map(executor).collect();
    let mut sequential = Duration::MAX;
    let mut best = vec![(Duration::MAX, Duration::MAX); workers.len()];
    for _ in 0..ROUNDS {
        sequential =
            sequential.min(runs::sequential(block, database.clone(), Pauses::default()).wall);
        for (executor, best) in executors.iter_mut().zip(&mut best) {
            let source = braid_evm::Cloned(database.clone());
            let run = executor.execute(Arc::clone(shared), source).ok()?;
            run.result.ok()?;
            let times = [run.makespan, run.busy].map(Duration::from_nanos);
            *best = (*best).min(times.into());
        }
    }
    let simulated = |(workers, (time, busy)): (&NonZeroU16, _)| Simulated {
        workers: workers.get(),
        time,
        busy,
        sequential,
    };
    Some(workers.iter().zip(best).map(simulated).collect())
}

/// Times each transaction sequentially and finds which transactions read a write of an earlier one,
/// as `braid explain` does.
pub fn bounds<D: DatabaseRef + Clone>(block: &Block, database: &D) -> Option<Bounds> {
    Some(bounds_of(&explain::record(block, database, 1).ok()?))
}

fn bounds_of(recording: &Recording) -> Bounds {
    let graph = Graph::new(recording, Axis::Time, &WhatIf::NOTHING);
    let [work, chain] = [graph.work(), graph.chain(Rule::Whole)].map(Duration::from_nanos);
    Bounds { work, chain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid_blocks::workload::Preset;

    fn bounds_in(preset: Preset) -> Bounds {
        let file = preset.block(40, 1).unwrap();
        let (block, database) = file.to_block().unwrap();
        let mut recording = explain::record(&block, &database, 0).unwrap();
        for transaction in &mut recording.transactions {
            // Measured times would depend on the load of the machine.
            transaction.time = Duration::from_millis(1);
        }
        bounds_of(&recording)
    }

    #[test]
    fn a_chain_is_all_of_a_serial_block_and_little_of_an_independent_one() {
        let serial = bounds_in(Preset::OnePool);
        assert_eq!(serial.chain, serial.work);
        assert!((serial.ratio(8) - 1.0).abs() < 1e-9);
        let independent = bounds_in(Preset::Swaps);
        assert_eq!(independent.work, 40 * independent.chain);
        assert!((independent.ratio(8) - 8.0).abs() < 1e-9);
        assert!((independent.ratio(u16::MAX) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn cores_that_are_one_gain_nothing_by_what_both_do_at_once() {
        let [time, busy, sequential] = [10, 18, 20].map(Duration::from_millis);
        let one = Simulated { workers: 2, time, busy, sequential };
        for (pace, expected) in [(1.0, 2.0), (1.2, 2.0), (0.8, 20.0 / 12.0), (0.5, 20.0 / 18.0)] {
            assert!((one.ratio_at(pace) - expected).abs() < 1e-9, "{pace}");
        }
        // Only the caller is busy.
        assert!((Simulated { busy: time, ..one }.ratio_at(0.5) - 2.0).abs() < 1e-9);
        // Four workers, busy for 6 of 10 ms, progress at half speed meanwhile.
        let four = Simulated { workers: 4, busy: Duration::from_millis(28), ..one };
        assert!((four.ratio_at(0.5) - 20.0 / 16.0).abs() < 1e-9);
    }

    #[test]
    fn virtual_workers_share_independent_work_and_not_a_chain() {
        let times = |preset: Preset| {
            let file = preset.block(64, 1).unwrap();
            let (block, database) = file.to_block().unwrap();
            let shared = Arc::new(braid_evm::Block::from(&block));
            let workers = [1, 8].map(|workers| NonZeroU16::new(workers).unwrap());
            let all = virtual_times(&block, &shared, &database, &workers).unwrap();
            assert_eq!(all.iter().map(|one| one.workers).collect::<Vec<_>>(), [1, 8]);
            all[1].ratio() / all[0].ratio()
        };
        let independent = times(Preset::Swaps);
        // Wide limits on both sides: the steps are really timed.
        assert!(independent > 1.2, "{independent}");
        let serial = times(Preset::OnePool);
        assert!(serial < 3.0, "{serial}");
    }
}
