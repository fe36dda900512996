//! What sharing costs: processor time of a transaction, run sequentially and speculatively.

use super::{BenchError, StageTimes, Subject, measure, runs, stages};
use braid_blocks::{
    statistics::{median, median_time, quantiles},
    timing::{Pauses, Times, Timing},
};
use braid_evm::{Config, Executor, Forced, Policy};
use core::num::NonZeroU16;
use revm::DatabaseRef;
use serde::Serialize;
use std::{fmt::Display, fs, time::Duration};

/// A way to run a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// All transactions sequentially.
    Sequential,
    /// All transactions speculatively.
    Speculative,
}

/// Cost of a block, run in one way, per transaction. Times are in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// The way.
    pub way: Way,
    /// Number of workers.
    pub workers: u16,
    /// Processor time of all threads.
    pub cpu_us: f64,
    /// Distance between the quartiles of the processor time.
    pub spread_us: f64,
    /// Processor time less that of sequential revm.
    pub beyond_us: f64,
    /// Wall time of sequential revm over that of this way.
    pub ratio: f64,
    /// Page faults that took no input; `None` if the system does not report them.
    pub faults: Option<f64>,
    /// Times of the stages, from a separate observed run.
    pub stages: Option<StageTimes>,
    /// `execute` beyond that of the sequential way on one worker: the reads and records that
    /// speculation adds, and colder caches.
    pub view_us: Option<f64>,
}

/// Costs of a block.
#[derive(Clone, Debug, Serialize)]
pub struct Costs {
    /// Processor time of sequential revm per transaction, in microseconds.
    pub revm_us: f64,
    /// Costs of each way.
    pub ways: Vec<Cost>,
}

/// The ways whose costs are measured.
const WAYS: [(Way, u16); 3] = [(Way::Sequential, 1), (Way::Speculative, 1), (Way::Speculative, 2)];

fn config((way, workers): (Way, u16)) -> Config {
    let mut config = Config::with_workers(NonZeroU16::new(workers).unwrap_or(NonZeroU16::MIN));
    config.policy = match way {
        Way::Sequential => Policy::Sequential,
        Way::Speculative => Policy::Forced(Forced::Speculative),
    };
    config
}

/// Measures the costs of a block, after a comparison of every result.
///
/// # Errors
/// The block is invalid, a result differs from the sequential one, or no thread can be started.
pub fn costs<D>(subject: &Subject<'_, D>, timing: Timing) -> Result<Costs, BenchError>
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    let start = |way| {
        let executor = Executor::new(config(way));
        executor.map_err(|error| BenchError::Invalid(format!("cannot start threads: {error}")))
    };
    let mut executors = WAYS.into_iter().map(start).collect::<Result<Vec<_>, _>>()?;
    measure(subject, &mut executors, Timing { rounds: 1, pause: Duration::ZERO })?;
    let pauses = Pauses::new(timing.pause);
    let mut revm = Vec::new();
    let mut ran = vec![Vec::new(); WAYS.len()];
    for _ in 0..timing.rounds {
        revm.push(runs::sequential(subject.block, (subject.database)(), pauses));
        for (executor, ran) in executors.iter_mut().zip(&mut ran) {
            let database = (subject.database)();
            let before = faults();
            let sample = runs::parallel(executor, subject.shared, database, pauses);
            let faults = before.and_then(|before| Some(faults()?.saturating_sub(before)));
            ran.push((sample, faults));
        }
    }
    let each = 1.0 / subject.block.transactions.len().max(1) as f64;
    let micros = |time: Duration| time.as_secs_f64() * 1e6 * each;
    let revm_us = micros(median_time(revm.iter().map(|sample| sample.cpu)));
    let wall = |samples: &mut dyn Iterator<Item = Times>| {
        median_time(samples.map(|sample| sample.wall)).as_secs_f64()
    };
    let revm_wall = wall(&mut revm.iter().copied());
    let database = (subject.database)();
    let mut alone = None;
    let ways = WAYS.into_iter().zip(ran).map(|((way, workers), ran)| {
        let cpu = ran.iter().map(|(sample, _)| micros(sample.cpu)).collect();
        let [lower, cpu_us, upper] = quantiles(cpu, [0.25, 0.5, 0.75]).unwrap_or_default();
        let counted = ran.iter().filter_map(|(_, faults)| Some((*faults)? as f64 * each));
        let observed = stages(config((way, workers)), subject.shared, &database);
        let observed = observed.map(|times| times.scaled(each));
        let execute = observed.map(|times| times.execute);
        let alone = *alone.get_or_insert(execute);
        Cost {
            way,
            workers,
            cpu_us,
            spread_us: upper - lower,
            beyond_us: cpu_us - revm_us,
            ratio: revm_wall / wall(&mut ran.iter().map(|(sample, _)| *sample)),
            faults: median(counted.collect()),
            stages: observed,
            view_us: execute.zip(alone).map(|(execute, alone)| execute - alone),
        }
    });
    Ok(Costs { revm_us, ways: ways.collect() })
}

/// Returns the number of page faults of this process that took no input, on Linux.
fn faults() -> Option<u64> {
    // The second field is in brackets and may contain spaces.
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn fresh_pages_are_counted() {
        let before = faults().expect("Linux reports them");
        let fresh = vec![1_u8; 64 << 20];
        let after = faults().expect("Linux reports them");
        assert!(fresh.len() > 1 && after > before, "{before} and {after}");
    }
}
