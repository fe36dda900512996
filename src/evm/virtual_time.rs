//! An executor on fibers: all that ships, from the pre-block calls to the bundle, one step at a
//! time on the calling thread, in an order that a seed or a clock decides.

use super::block::error::BlockError;
use super::block::output::BlockOutput;
use super::drive::{Options, execute};
use super::exec::any::AnySource;
use super::exec::base::{DbError, StateSource};
use super::exec::extensions::Extensions;
use super::exec::input::Block;
use super::mutants::EvmMutant;
use super::simulate::evm_simulator;
use super::worker_pool::{Memory, WorkerPool};
use crate::config::Config;
use crate::runtime::simulated::{self, Fibers, Record, SimulationError};
use crate::runtime::{Seat, Task};
use revm::database_interface::ErasedError;
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Workers on fibers, which remember as lasting threads do.
#[derive(Debug)]
struct FiberPool {
    fibers: Fibers,
    memory: Memory,
}

/// What a panic carries if a task on fibers comes to no end.
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
/// With [`Schedule::Measured`](simulated::Schedule::Measured) it tells how long a block takes on
/// workers that have a core each: what one of them does takes as long as it really does, alone on
/// this thread, and the worker that is furthest behind goes next. Caches and memory that cores
/// share are not seen, nor what it takes to wake a thread; and a transaction that runs alone is not
/// interrupted, so the worker that folds has all of them at once.
#[derive(Debug)]
pub struct SimulatedExecutor {
    config: Config,
    team: FiberPool,
    mutant: EvmMutant,
}

/// What a block came to on a [`SimulatedExecutor`].
#[derive(Debug)]
pub struct VirtualRun<E> {
    /// What an [`Executor`](crate::Executor) would return.
    pub result: Result<BlockOutput, BlockError<E>>,
    /// Virtual time of the whole block, in nanoseconds where a clock measures.
    pub makespan: u64,
    /// Virtual time for which workers were busy, added up.
    pub busy: u64,
    /// Steps of all tasks. What the caller does between them takes none.
    pub step_count: u64,
    /// What the workers did, if the options ask for it.
    pub record: Record,
}

impl SimulatedExecutor {
    /// An executor whose workers go on in the order that `options` say; their number is that of
    /// `config`. No block is cancelled, no steps are kept, and the limit of steps is that of each
    /// task.
    #[must_use]
    pub fn new(config: Config, options: simulated::Options) -> Self {
        let options = simulated::Options { workers: config.workers.get(), ..options };
        let fibers = Fibers::new(evm_simulator(), options);
        let team = FiberPool { fibers, memory: Memory::default() };
        Self { config, team, mutant: EvmMutant::None }
    }

    /// The same executor with a seeded bug, for tests of the tests.
    #[must_use]
    pub const fn with_mutant(mut self, mutant: EvmMutant) -> Self {
        self.mutant = mutant;
        self
    }

    /// Number of workers.
    #[must_use]
    pub const fn workers(&self) -> NonZeroU16 {
        self.config.workers
    }

    /// Executes `block` on the state of `source`.
    ///
    /// # Errors
    /// The block came to no end. That is always a bug of ours.
    ///
    /// # Panics
    /// With the payload of a panic in the database that recurs on the real state.
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
        let (config, extensions, mutant) = (self.config, Extensions::default(), self.mutant);
        let options =
            Options { config, extensions, parent: None, on_commit: None, cancel: None, mutant };
        let _ = self.team.fibers.take_totals();
        let begun = self.team.fibers.now();
        let run = || execute(&mut self.team, block, source, options);
        let run = catch_unwind(AssertUnwindSafe(run));
        let took = self.team.fibers.now().saturating_sub(begun);
        let record = self.team.fibers.take_record();
        let tasks = self.team.fibers.take_totals();
        // What the caller does between two tasks is shared by no worker.
        let between = took.saturating_sub(tasks.took);
        let (makespan, busy) = (between + tasks.makespan, between + tasks.busy);
        match run {
            Ok(result) => {
                Ok(VirtualRun { result, makespan, busy, step_count: tasks.step_count, record })
            }
            Err(payload) => match payload.downcast::<Endless>() {
                Ok(endless) => Err(endless.0),
                Err(payload) => resume_unwind(payload),
            },
        }
    }
}
