//! The block on simulated workers: its time on each number of workers, and what each worker does.

use super::timeline::Timeline;
use crate::explain::{Axis, Graph, ratio};
use braid_blocks::block::Block;
use braid_evm::{
    Config, SimulatedExecutor, VirtualRun,
    runtime::simulated::{Costs, Options, Schedule},
};
use core::num::NonZeroU16;
use revm::DatabaseRef;
use std::{fmt::Display, sync::Arc};

/// Number of rounds. The shortest counts, because an executor learns from the first ones.
const ROUNDS: usize = 6;
/// Gas executed per simulated microsecond.
const GAS_IN_A_MICROSECOND: u64 = 2_000;

/// Virtual time of all steps except runs, in nanoseconds: roughly their time on a server.
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

/// Result of a block on simulated workers.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// Virtual time of the whole block by number of workers, in nanoseconds.
    pub times: Vec<(usize, u64)>,
    /// Time of the transactions in sequence.
    pub sequential: u64,
    /// Activity of the workers, on the requested number of workers.
    pub timeline: Timeline,
}

impl Simulated {
    /// Returns the speed-up on `workers`, if that number was simulated.
    #[must_use]
    pub fn speedup(&self, workers: usize) -> Option<f64> {
        let (_, time) = self.times.iter().find(|(count, _)| *count == workers)?;
        Some(ratio(self.sequential, *time))
    }
}

/// Returns the virtual time of a run of each transaction in nanoseconds, as recorded or by its gas.
fn prices(graph: &Graph, axis: Axis) -> Arc<[u64]> {
    let price = |cost: &u64| match axis {
        Axis::Gas => cost * 1_000 / GAS_IN_A_MICROSECOND,
        Axis::Time => *cost,
    };
    graph.costs().iter().map(price).collect()
}

/// A cost model in which a run takes as long as its transaction costs, and every other step a fixed
/// time.
#[derive(Clone, Debug)]
pub struct Priced {
    runs: Arc<[u64]>,
}

impl Priced {
    /// Creates the model of a block whose transactions have the costs of `graph`, in the unit
    /// `axis`.
    #[must_use]
    pub fn new(graph: &Graph, axis: Axis) -> Self {
        Self { runs: prices(graph, axis) }
    }

    /// Returns the time of all transactions in sequence.
    #[must_use]
    pub fn sequential(&self) -> u64 {
        self.runs.iter().sum()
    }

    /// Creates an executor on `workers` simulated workers.
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

    /// Returns the activity of the workers in `run`, including the sequential segments, which are
    /// no steps of workers.
    #[must_use]
    pub fn timeline<E>(&self, run: &VirtualRun<E>, workers: usize) -> Timeline {
        Timeline::new(&run.record, workers, &self.runs, run.makespan)
    }
}

/// Executes `block` on each number of `workers`, and keeps the activity on `shown` workers. `None`
/// if the block does not execute.
///
/// Each run of a transaction takes as long as its cost in `graph`, in the unit `axis`, and every
/// other step a fixed time: the same block takes the same steps on every machine.
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
