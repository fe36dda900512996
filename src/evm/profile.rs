//! Observes where the time of a block goes, on real threads. The observer provides the clock, as
//! the library has none.

use super::block::error::BlockError;
use super::block::output::BlockOutput;
use super::block_execution::{BlockExecution, Ended};
use super::engine::workload::EvmWorkload;
use super::exec::any::AnySource;
use super::exec::base::{DbError, StateSource};
use super::exec::extensions::Extensions;
use super::exec::input::Block;
use super::finish::{Surroundings, finish};
use super::plan::chooser::HasRun;
use super::plan::features::{Features, ListUse, Setting};
use super::plan::{Reason, Segment, Strategy};
use super::prepare::begin;
use super::worker_pool::{Scoped, empty_store};
use crate::config::Config;
use crate::ids::WorkerId;
use crate::mv::Store;
use crate::runtime::Threads;
use crate::sync::Receiver;
use crate::worker::{Context, Interrupt, Point, Shared, work};
use revm::database_interface::ErasedError;
use std::sync::Arc;

/// What a worker is doing, until it begins another stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The caller runs the pre-block calls.
    PreBlock,
    /// The caller partitions the block and sets up store and channels.
    Plan,
    /// A point in the execution of transactions.
    At(Point),
    /// Waiting for a message.
    Wait,
    /// The caller runs the post-block calls and builds receipts and bundle.
    Finish,
    /// The worker is done.
    End,
}

/// Receives the stages of workers.
pub trait Observer: Sync {
    /// Called when `worker` begins `stage`, on its thread, many times per transaction.
    fn begins(&self, worker: WorkerId, stage: Stage);
}

struct Observed<'o> {
    observer: &'o dyn Observer,
    worker: WorkerId,
    threads: Threads,
}

impl Interrupt for Observed<'_> {
    fn yield_at(&self, point: Point) {
        self.observer.begins(self.worker, Stage::At(point));
    }
}

impl Context for Observed<'_> {
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        self.observer.begins(self.worker, Stage::Wait);
        let message = self.threads.recv(channel);
        self.observer.begins(self.worker, Stage::At(Point::Message));
        message
    }
}

/// Executes `block` on `source` as an executor with its own threads would, and reports the stages
/// of each worker to `observer`. Private batches are not used, because they have no stages to
/// report.
///
/// # Errors
/// As [`BlockRequest::execute`](crate::BlockRequest::execute).
///
/// # Panics
/// As [`BlockRequest::execute`](crate::BlockRequest::execute).
pub fn observe<S: StateSource, O: Observer>(
    config: Config,
    block: impl Into<Arc<Block>>,
    source: S,
    observer: &O,
) -> Result<BlockOutput, BlockError<DbError<S>>> {
    watch(config, block.into(), AnySource::new(source), observer).map_err(BlockError::typed)
}

fn watch(
    config: Config,
    block: Arc<Block>,
    source: AnySource<'_>,
    observer: &dyn Observer,
) -> Result<BlockOutput, BlockError<ErasedError>> {
    let caller = WorkerId(0);
    observer.begins(caller, Stage::PreBlock);
    let (block_context, effects, overlay) =
        begin(block, false, &source, Extensions::default(), None, &config)?;
    observer.begins(caller, Stage::Plan);
    let workers = usize::from(config.workers.get());
    let setting = Setting {
        workers,
        is_wide: false,
        shares_journals: true,
        list: ListUse::Nothing,
        is_pool: false,
    };
    let payees = block_context.paid_in_batches();
    let features = Features::of(&block_context.block, payees, &config, setting);
    let alone = features.runs_in_order();
    let transactions = block_context.block.transactions.len();
    let workload = EvmWorkload::new(block_context, source, overlay, Arc::default());
    let worker_pool = &mut Scoped(config.workers);
    let store = match alone {
        Some(_) => Store::new(1),
        None => empty_store(worker_pool, &config, transactions),
    };
    let mut execution = BlockExecution::new(workload, store);
    let (ended, strategy) = if alone.is_some() {
        if features.has_bundle_thread() {
            execution.make_bundle_meanwhile(&effects, &config);
        }
        observer.begins(caller, Stage::At(Point::Begin));
        let ended = execution.run_with_bundle_thread(transactions, worker_pool, &config, None);
        observer.begins(caller, Stage::Finish);
        (ended, Strategy::Sequential)
    } else {
        (run(&mut execution, config, observer), Strategy::Speculative)
    };
    let reason = alone.unwrap_or(Reason::Default);
    let segments = vec![Segment { first: 0, end: execution.frontier.0, strategy, reason }];
    let ran = HasRun { segments, workers, alone: alone.is_some() };
    let rest = Surroundings { effects, config, ran, replay: None };
    let result = finish(&mut Scoped(config.workers), execution, ended.failure, rest);
    observer.begins(caller, Stage::End);
    result
}

/// Runs the transactions on new threads.
fn run<'a>(
    execution: &mut BlockExecution<AnySource<'a>>,
    config: Config,
    observer: &dyn Observer,
) -> Ended<AnySource<'a>> {
    let caller = WorkerId(0);
    let transactions = execution.workload.block_context.block.transactions.len();
    let workers = usize::from(config.workers.get());
    let setup = execution.set_up(transactions, &config, workers, None, false);
    let shared = Shared::new(setup);
    let threads = Threads::for_workers(workers);
    std::thread::scope(|scope| {
        let work = |worker| work(&shared, worker, &Observed { observer, worker, threads });
        for worker in 1..config.workers.get() {
            scope.spawn(move || {
                work(WorkerId(worker));
                observer.begins(WorkerId(worker), Stage::End);
            });
        }
        work(caller);
        observer.begins(caller, Stage::Wait);
    });
    observer.begins(caller, Stage::Finish);
    let Some(end) = shared.end() else { unreachable!("only this takes the end of the block") };
    execution.after(end, false)
}
