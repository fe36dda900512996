//! The block on simulated workers: how long it takes on each number of them, and what each worker does.

use super::timeline::Timeline;
use crate::explain::{Axis, Graph, ratio};
use braid_evm::{
    Config, SimulatedExecutor, VirtualRun,
    runtime::simulated::{Costs, Options, Schedule},
};
use braid_testkit::block::Block;
use core::num::NonZeroU16;
use revm::DatabaseRef;
use std::{fmt::Display, sync::Arc};

/// Number of rounds; the shortest one counts, as an executor has learned by then what a block shows.
const ROUNDS: usize = 6;
/// Gas that is taken to need a microsecond.
const GAS_IN_A_MICROSECOND: u64 = 2_000;

/// Virtual time of the steps beside runs, in nanoseconds: roughly what they take on a server.
const OTHERS: Costs = Costs {
    begin: 200,
    read: 0,
    base_read: 0,
    publish: 80,
    check: 60,
    message: 100,
    coordinator: 30,
    validate: 80,
    commit: 100,
};

/// What a block came to on simulated workers.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// Virtual time of the whole block on each number of workers, in nanoseconds.
    pub times: Vec<(usize, u64)>,
    /// What the transactions take one after the other.
    pub sequential: u64,
    /// What the workers did, on the number of them that was asked for.
    pub timeline: Timeline,
}

impl Simulated {
    /// How many times faster than in sequence the block is on `workers`, if that was simulated.
    #[must_use]
    pub fn speedup(&self, workers: usize) -> Option<f64> {
        let (_, time) = self.times.iter().find(|(count, _)| *count == workers)?;
        Some(ratio(self.sequential, *time))
    }
}

/// Virtual time of a run of each transaction, in nanoseconds: as recorded, or by its gas.
fn prices(graph: &Graph, axis: Axis) -> Arc<[u64]> {
    let price = |cost: &u64| match axis {
        Axis::Gas => cost * 1_000 / GAS_IN_A_MICROSECOND,
        Axis::Time => *cost,
    };
    graph.costs().iter().map(price).collect()
}

/// Virtual time in which a run of each transaction takes as long as it costs, and all other steps a fixed time.
#[derive(Clone, Debug)]
pub struct Priced {
    runs: Arc<[u64]>,
}

impl Priced {
    /// Of a block whose transactions cost what `graph`, by `axis`, says.
    #[must_use]
    pub fn new(graph: &Graph, axis: Axis) -> Self {
        Self { runs: prices(graph, axis) }
    }

    /// What all transactions take one after the other.
    #[must_use]
    pub fn sequential(&self) -> u64 {
        self.runs.iter().sum()
    }

    /// An executor on `workers` simulated workers.
    #[must_use]
    pub fn executor(&self, workers: NonZeroU16) -> SimulatedExecutor {
        let options = Options {
            schedule: Schedule::Priced { runs: Arc::clone(&self.runs), others: OTHERS },
            step_limit: u64::MAX,
            keep_record: true,
            ..Options::new(workers.get(), 1)
        };
        SimulatedExecutor::new(Config::with_workers(workers), options)
    }

    /// What the workers did in `run`: also the stretches in order, which are no steps of theirs.
    #[must_use]
    pub fn timeline<E>(&self, run: &VirtualRun<E>, workers: usize) -> Timeline {
        Timeline::new(&run.record, workers, &self.runs, run.makespan)
    }
}

/// Executes `block` on each number of `workers`, and keeps what `shown` of them do. `None` if it does not execute.
///
/// Each run of a transaction takes as long as `graph`, by `axis`, says that it costs, and all other steps a fixed
/// time: the same block takes the same steps on every machine.
pub fn simulate<D>(
    (block, database): (&Block, &D),
    (graph, axis): (&Graph, Axis),
    workers: &[usize],
    shown: usize,
) -> Option<Simulated>
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    let priced = Priced::new(graph, axis);
    let shared = Arc::new(braid_evm::Block::from(block));
    let (mut times, mut timeline) = (Vec::new(), None);
    for &count in workers {
        let number = u16::try_from(count).ok().and_then(NonZeroU16::new)?;
        let mut executor = priced.executor(number);
        let mut best = u64::MAX;
        for _ in 0..ROUNDS {
            let source = braid_evm::Cloned(database.clone());
            let run = executor.execute(Arc::clone(&shared), source).ok()?;
            let now = priced.timeline(&run, count);
            run.result.ok()?;
            if now.end < best {
                best = now.end;
                if count == shown {
                    timeline = Some(now);
                }
            }
        }
        times.push((count, best));
    }
    Some(Simulated { times, sequential: priced.sequential(), timeline: timeline? })
}
