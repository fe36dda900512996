//! An executor on fibers: runs the shipped code, from the pre-block calls to the bundle, one step
//! at a time on the calling thread, in an order given by a seed or a clock.

use super::block::error::BlockError;
use super::block::output::BlockOutput;
use super::drive::{Options, execute};
use super::exec::any::AnySource;
use super::exec::base::{DbError, StateSource};
use super::exec::extensions::Extensions;
use super::exec::input::Block;
use super::simulate::evm_simulator;
use super::worker_pool::{Memory, WorkerPool};
use crate::config::Config;
use crate::runtime::simulated::{self, Fibers, Record, SimulationError};
use crate::runtime::{Seat, Task};
use revm::database_interface::ErasedError;
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Workers on fibers. Like persistent threads, they keep memory between blocks.
#[derive(Debug)]
struct FiberPool {
    fibers: Fibers,
    memory: Memory,
}

/// Panic payload of a task on fibers that does not terminate.
struct Endless(SimulationError);

impl WorkerPool<'static> for FiberPool {
    fn workers(&self) -> usize {
        usize::from(self.fibers.workers())
    }

    fn memory(&mut self) -> Option<&mut Memory> {
        Some(&mut self.memory)
    }

    fn run_on<R>(
        &mut self,
        workers: usize,
        task: &Arc<dyn Task>,
        own: impl FnOnce(Seat<'_>) -> R,
    ) -> R {
        match self.fibers.run_on(workers, task, own) {
            Ok(result) => result,
            Err(error) => resume_unwind(Box::new(Endless(error))),
        }
    }
}

/// An [`Executor`](crate::Executor) on simulated workers.
///
/// With [`Schedule::Measured`](simulated::Schedule::Measured), it estimates how long a block takes
/// on workers with a core each: every step takes its real time, measured alone on this thread, and
/// the worker that is furthest behind runs next. The estimate ignores shared caches, shared memory
/// and the cost of waking threads. Transactions that the caller runs sequentially are not
/// interrupted, so the worker that folds their changes receives all of them at once.
#[derive(Debug)]
pub struct SimulatedExecutor {
    config: Config,
    team: FiberPool,
}

/// Result of a block on a [`SimulatedExecutor`].
#[derive(Debug)]
pub struct VirtualRun<E> {
    /// The result that an [`Executor`](crate::Executor) would return.
    pub result: Result<BlockOutput, BlockError<E>>,
    /// Virtual time of the whole block; in nanoseconds if the schedule measures time.
    pub makespan: u64,
    /// Total virtual time for which workers were busy.
    pub busy: u64,
    /// Number of steps of all tasks. The caller's work between tasks takes no steps.
    pub step_count: u64,
    /// Record of the workers' steps, if the options request it.
    pub record: Record,
}

impl SimulatedExecutor {
    /// Creates an executor whose workers run in the order given by `options`; their number is taken
    /// from `config`. Blocks are never cancelled, steps are not kept, and the step limit applies to
    /// each task.
    #[must_use]
    pub fn new(config: Config, options: simulated::Options) -> Self {
        let options = simulated::Options { workers: config.workers.get(), ..options };
        let fibers = Fibers::new(evm_simulator(), options);
        let team = FiberPool { fibers, memory: Memory::default() };
        Self { config, team }
    }

    /// Number of workers.
    #[must_use]
    pub const fn workers(&self) -> NonZeroU16 {
        self.config.workers
    }

    /// Executes `block` on the state of `source`.
    ///
    /// # Errors
    /// Returns an error if the block does not terminate, which is always a bug in Braid.
    ///
    /// # Panics
    /// Re-raises a panic of the database that recurs on the real state.
    pub fn execute<S: StateSource + 'static>(
        &mut self,
        block: impl Into<Arc<Block>>,
        source: S,
    ) -> Result<VirtualRun<DbError<S>>, SimulationError> {
        let run = self.run(block.into(), AnySource::new(source))?;
        let VirtualRun { result, makespan, busy, step_count, record } = run;
        let result = result.map_err(BlockError::typed);
        Ok(VirtualRun { result, makespan, busy, step_count, record })
    }

    fn run(
        &mut self,
        block: Arc<Block>,
        source: AnySource<'static>,
    ) -> Result<VirtualRun<ErasedError>, SimulationError> {
        let options = Options {
            config: self.config,
            extensions: Extensions::default(),
            parent: None,
            on_commit: None,
            cancel: None,
        };
        let _ = self.team.fibers.take_totals();
        let begun = self.team.fibers.now();
        let run = || execute(&mut self.team, block, source, options);
        let run = catch_unwind(AssertUnwindSafe(run));
        let took = self.team.fibers.now().saturating_sub(begun);
        let record = self.team.fibers.take_record();
        let tasks = self.team.fibers.take_totals();
        // Work of the caller between two tasks counts in full, because no worker shares it.
        let between = took.saturating_sub(tasks.took);
        match run {
            Ok(result) => Ok(VirtualRun {
                result,
                makespan: between + tasks.makespan,
                busy: between + tasks.busy,
                step_count: tasks.step_count,
                record,
            }),
            Err(payload) => match payload.downcast::<Endless>() {
                Ok(endless) => Err(endless.0),
                Err(payload) => resume_unwind(payload),
            },
        }
    }
}
