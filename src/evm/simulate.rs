//! Executes blocks in the simulated runtime: the shipped Ethereum layer, one step at a time, in an
//! order given by a seed.

use super::block::error::BlockError;
use super::block::output::BlockOutput;
use super::block_execution::BlockExecution;
use super::engine::batches::EvmBatches;
use super::engine::group::BatchGroup;
use super::engine::ledger::EvmLedger;
use super::engine::workload::EvmWorkload;
use super::exec::any::AnySource;
use super::exec::base::{DbError, StateSource};
use super::exec::extensions::Extensions;
use super::exec::input::Block;
use super::exec::location::EvmLocation;
use super::exec::machine::EvmMachine;
use super::exec::rejection::Rejection;
use super::exec::tx_output::TxOutput;
use super::fees::reward::Reward;
use super::finish::{FinishInput, finish};
use super::plan::chooser::HasRun;
use super::plan::{Reason, Segment, Strategy};
use super::prepare::begin;
use super::worker_pool::Scoped;
use super::worker_pool::empty_store;
use crate::config::Config;
use crate::ids::{TxIndex, WorkerId};
use crate::mv::{ReadSet, Store};
use crate::protocol::Protocol;
use crate::runtime::simulated::{Options, Simulated, SimulationError, Simulator, Step};
use crate::worker::{BlockEnd, Context, Effects, Machine, Setup, Shared, Stop, Workload};
use core::num::NonZeroU16;
use revm::DatabaseRef;
use revm::database_interface::ErasedError;
use std::sync::Arc;

/// Stack of a fiber that runs an EVM, in bytes. Unused pages cost nothing.
const EVM_STACK: usize = 2 << 20;

/// Creates a simulator whose fibers have enough stack for an EVM.
#[must_use]
pub fn evm_simulator() -> Simulator {
    Simulator::with_stack_size(EVM_STACK)
}

/// Settings of a simulated block.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// Configuration of the executor; the number of workers is taken from `options`.
    pub config: Config,
    /// Workers and their schedule.
    pub options: Options,
}

impl Simulation {
    /// Creates a simulation.
    #[must_use]
    pub const fn new(config: Config, options: Options) -> Self {
        Self { config, options }
    }
}

/// Result of a simulated block.
#[derive(Debug)]
pub struct SimulatedBlock<E> {
    /// The result that an [`Executor`](crate::Executor) would return.
    pub result: Result<BlockOutput, BlockError<E>>,
    /// Number of steps of the transactions. System calls before and after them take no steps.
    pub step_count: u64,
    /// Digest of the steps: equal for equal sequences.
    pub digest: u64,
    /// All steps, if the options request them.
    pub steps: Vec<Step>,
    /// Virtual time at which the last worker finished.
    pub makespan: u64,
}

/// Executes `block` on `source` in one speculative segment, whatever the policy, on simulated
/// workers.
///
/// # Errors
/// Returns an error if the block does not terminate, which is always a bug in Braid.
///
/// # Panics
/// Re-raises a panic of the database that recurs on the real state.
pub fn simulate<S: StateSource + 'static>(
    simulator: &mut Simulator,
    block: impl Into<Arc<Block>>,
    source: S,
    simulation: &Simulation,
) -> Result<SimulatedBlock<DbError<S>>, SimulationError> {
    let simulated = run(simulator, block.into(), AnySource::new(source), simulation)?;
    let SimulatedBlock { result, step_count, digest, steps, makespan } = simulated;
    let result = result.map_err(BlockError::typed);
    Ok(SimulatedBlock { result, step_count, digest, steps, makespan })
}

fn run(
    simulator: &mut Simulator,
    block: Arc<Block>,
    source: AnySource<'static>,
    simulation: &Simulation,
) -> Result<SimulatedBlock<ErasedError>, SimulationError> {
    let Simulation { config, options } = simulation;
    let workers = NonZeroU16::new(options.workers).unwrap_or(NonZeroU16::MIN);
    let begun = begin(block, false, &source, Extensions::default(), None, config);
    let (block_context, effects, overlay) = match begun {
        Ok(begun) => begun,
        Err(error) => return Ok(SimulatedBlock::before_transactions(error)),
    };
    let transactions = block_context.block.transactions.len();
    let rules = &block_context.block.rules;
    let store = empty_store(&mut Scoped(workers), config, rules, transactions);
    let workload = EvmWorkload::new(block_context, source, overlay, Arc::default());
    let mut execution = BlockExecution::new(workload, store);
    let setup = execution.set_up(transactions, config, workers.get().into(), None, false);
    let Setup { workload, ledger, store, limits, plan, patience } = setup;
    let workload = Ordered(workload);
    let protocol = Protocol::new(limits, &plan);
    let shared = Shared::with_protocol(workload, ledger, store, patience, protocol);
    let simulated = simulator.run(shared, options)?;
    let Simulated { end, step_count, digest, steps, makespan, .. } = simulated;
    let failure = execution.end_segment(end.into(), false).failure;
    let segments = vec![Segment {
        first: 0,
        end: execution.frontier.0,
        strategy: Strategy::Speculative,
        reason: Reason::Default,
    }];
    let ran = HasRun { segments, workers: workers.get().into(), is_sequential: false };
    // The bundle is built without the engine, so there are no steps to interleave.
    let input = FinishInput { effects, config: *config, ran, replay: None };
    let result = finish(&mut Scoped(workers), execution, failure, input);
    Ok(SimulatedBlock { result, step_count, digest, steps, makespan })
}

impl<E> SimulatedBlock<E> {
    const fn before_transactions(error: BlockError<E>) -> Self {
        Self { result: Err(error), step_count: 0, digest: 0, steps: Vec::new(), makespan: 0 }
    }
}

/// A workload whose write sets are sorted by location. Without a shared journal, revm returns
/// changes in the order of a hash map, which differs from run to run, but a seed must reproduce the
/// order of all publications.
struct Ordered<S>(Arc<EvmWorkload<S>>);

impl<S: StateSource> Workload for Ordered<S> {
    type Location = EvmLocation;
    type Output = Arc<TxOutput>;
    type Rejection = Rejection;
    type BaseError = DbError<S>;
    type Machine<'a, X: Context + 'a>
        = OrderedMachine<'a, S::State>
    where
        Self: 'a;
    type Group = BatchGroup;
    type Batches<'a, X: Context + 'a>
        = EvmBatches<'a, S::State>
    where
        Self: 'a;

    fn batches<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<EvmLocation>,
        context: &'a X,
    ) -> Result<EvmBatches<'a, S::State>, DbError<S>> {
        self.0.batches(worker, store, context)
    }

    fn credits(&self, output: &Arc<TxOutput>, credit: impl FnMut(EvmLocation, Reward)) {
        self.0.credits(output, credit);
    }

    fn machine<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<EvmLocation>,
        context: &'a X,
    ) -> Result<OrderedMachine<'a, S::State>, DbError<S>> {
        self.0.machine(worker, store, context).map(OrderedMachine)
    }
}

impl<S: StateSource> From<BlockEnd<Ordered<S>, EvmLedger>> for BlockEnd<EvmWorkload<S>, EvmLedger> {
    fn from(end: BlockEnd<Ordered<S>, EvmLedger>) -> Self {
        Self {
            ledger: end.ledger,
            store: end.store,
            workload: Arc::clone(&end.workload.0),
            frontier: end.frontier,
            published: end.published,
            conflicts: end.conflicts,
            batches: end.batches,
            halt: end.halt,
            error: end.error,
            broken: end.broken,
            counters: end.counters,
            longest: end.longest,
            log: end.log,
        }
    }
}

struct OrderedMachine<'a, D: DatabaseRef>(EvmMachine<'a, D>);

impl<D: DatabaseRef> Machine for OrderedMachine<'_, D> {
    type Location = EvmLocation;
    type Output = Arc<TxOutput>;
    type Rejection = Rejection;
    type BaseError = D::Error;

    fn begin_chunk(&mut self) {
        self.0.begin_chunk();
    }

    fn begin(&mut self, tx: TxIndex) {
        self.0.begin(tx);
    }

    fn begin_second(&mut self, tx: TxIndex) {
        self.0.begin_second(tx);
    }

    fn run(&mut self, tx: TxIndex) -> Result<Effects<EvmLocation, Arc<TxOutput>>, Rejection> {
        let mut effects = self.0.run(tx)?;
        effects.writes.sort_unstable_by_key(|(location, _)| *location);
        Ok(effects)
    }

    fn may_skip(reason: &Rejection) -> bool {
        reason.may_skip()
    }

    fn end(&mut self) -> (ReadSet<EvmLocation>, Option<Stop<D::Error>>) {
        self.0.end()
    }
}
