//! Runs a segment: prepares store and bundle, dispatches by strategy, and collects the results.

use super::bal::prefetch::Prefetch;
use super::block::committed::OnCommit;
use super::block_execution::{BlockExecution, SegmentEnd};
use super::bundle::block_effects::BlockEffects;
use super::bundle_thread;
use super::exec::base::StateSource;
use super::exec::trial::Trial;
use super::plan::choice::Choice;
use super::plan::chooser::StrategyChooser;
use super::plan::progress::is_mostly_access;
use super::plan::{Reason, Strategy};
use super::run_task::RunTask;
use super::sequential_segment::run_sequential;
use super::worker_pool::{WorkerPool, empty_store};
use crate::config::{Config, Forced, Policy};
use crate::ids::{Chunk, TxIndex, WorkerId};
use crate::panics::caught;
use crate::protocol::Waste;
use crate::runtime::{Caller, Seat, Task};
use crate::schedule::cut;
use crate::sync::bounded;
use crate::thresholds::BUILD_ROUND;
use crate::worker::{Shared, work};
use core::ops::{ControlFlow, Range};
use std::sync::Arc;

/// How transactions are divided among workers.
enum Division {
    /// In chunks, whose writes other workers may read before they commit. `predicts`: whether
    /// dependencies are predicted from calls.
    Published { predicts: bool },
    /// In these private batches, up to the first one that cannot commit as a whole.
    Private(Vec<Chunk>),
}

/// Prepares a segment: the bundle that grows meanwhile, the store, and the transactions that start
/// before their turn.
pub(super) fn begin<'env, S: StateSource + 'env>(
    execution: &mut BlockExecution<S>,
    worker_pool: &mut impl WorkerPool<'env>,
    chooser: &mut StrategyChooser,
    choice: &Choice,
    config: &Config,
    effects: &BlockEffects,
) {
    let features = &chooser.features;
    let all = execution.workload.block_context.block.transactions.len();
    let first = execution.frontier.position();
    let covers_most = first == 0 || execution.uncommitted(all) > all / 2;
    match features.builds_bundle(choice) {
        Some(true)
            if covers_most
                && execution.workload.block_context.extensions.returns_changes()
                && execution.ledger.output_builder.may_begin(first) =>
        {
            bundle_thread::begin(execution, effects, config);
        }
        // All workers build the bundle at the end of the block.
        Some(false) => execution.ledger.output_builder.drop_bundle(),
        _ => {}
    }
    if features.needs_store(choice) && !core::mem::replace(&mut chooser.has_store, true) {
        let room = if features.setting.is_pool { BUILD_ROUND } else { all };
        let rules = &execution.workload.block_context.block.rules;
        // A sequential segment up to the end of the block can use the empty store.
        if !choice.runs_to_end {
            execution.store = Arc::new(empty_store(worker_pool, config, rules, room));
        }
        if !mutant!(NewStoreUntold) {
            // Contiguous batches may have committed before there was a store.
            execution.store.set_frontier(execution.frontier);
        }
        execution.seed(effects);
    }
    if choice.strategy == Strategy::Speculative {
        execution.longest = chooser.longest(
            worker_pool.feedback(),
            &execution.workload.block_context.block,
            first,
            choice,
        );
        execution.counters.scheduled_early += execution.longest.len() as u64;
    }
}

/// Runs a segment.
pub(super) fn run<'env, S: StateSource + 'env, C: WorkerPool<'env>>(
    execution: &mut BlockExecution<S>,
    worker_pool: &mut C,
    choice: &Choice,
    config: &Config,
    on_commit: Option<OnCommit<'_>>,
) -> SegmentEnd<S> {
    let Choice { end, shortest, .. } = *choice;
    match choice.strategy {
        // The alternating policy uses the bundle thread for every sequential segment, for tests.
        Strategy::Sequential if choice.runs_to_end || choice.reason == Reason::Policy => {
            bundle_thread::run(execution, end, worker_pool, |execution| {
                run_sequential(execution, end, config, on_commit)
            })
        }
        Strategy::Sequential => run_sequential(execution, end, config, on_commit),
        // With one worker, or one transaction left, no run can be speculative. A forced policy
        // speculates nevertheless, for tests.
        Strategy::Speculative
            if config.policy != Policy::Forced(Forced::Speculative)
                && (worker_pool.workers() == 1 || execution.uncommitted(end) < 2) =>
        {
            run_sequential(execution, end, config, on_commit)
        }
        Strategy::Speculative => {
            // The alternating policy uses every kind of speculation.
            let alternates = config.policy == Policy::Forced(Forced::Alternate);
            let predicts = choice.predicts() || alternates;
            let division = Division::Published { predicts };
            run_on_workers(execution, end, worker_pool, config, on_commit, division)
        }
        Strategy::ContiguousBatches | Strategy::AccessList => {
            run_batches(execution, end, worker_pool, config, on_commit, shortest)
        }
    }
}

/// Runs the uncommitted transactions below `end` in contiguous batches of at least `shortest`
/// transactions, up to the first batch that cannot commit as a whole.
fn run_batches<'env, S: StateSource + 'env, C: WorkerPool<'env>>(
    execution: &mut BlockExecution<S>,
    end: usize,
    worker_pool: &mut C,
    config: &Config,
    on_commit: Option<OnCommit<'_>>,
    shortest: usize,
) -> SegmentEnd<S> {
    execution.ledger.catch_up();
    set_up_prefetch(execution, worker_pool, config);
    let tx = |index: usize| TxIndex(u32::try_from(index).unwrap_or(u32::MAX));
    let batch = |range: Range<usize>| Chunk { first: tx(range.start), end: tx(range.end) };
    let ranges = cut(execution.frontier.position()..end, worker_pool.workers(), shortest);
    let batches = ranges.into_iter().map(batch).collect();
    run_on_workers(execution, end, worker_pool, config, on_commit, Division::Private(batches))
}

/// On slow storage, sets up the prefetch of the accounts and slots in the block's access list by
/// the extra workers.
fn set_up_prefetch<'env, S: StateSource + 'env>(
    execution: &mut BlockExecution<S>,
    worker_pool: &impl WorkerPool<'env>,
    config: &Config,
) {
    let usual = usize::from(config.workers.get());
    let has_prefetchers = worker_pool.is_wide()
        && worker_pool.workers() > usual
        && execution.workload.prefetch.is_none();
    let block_context = &execution.workload.block_context;
    let is_seeded = mutant!(NothingReadAhead);
    if let Some(list) = block_context.readable_list().filter(|_| has_prefetchers && !is_seeded) {
        let prefetch = Prefetch::new(list.list(), WorkerId(config.workers.get()));
        execution.workload.prefetch = Some(Arc::new(prefetch));
    }
}

/// Runs the transactions below `end` on the pool's workers, including the caller, until all have
/// run or the segment ends early.
fn run_on_workers<'env, S: StateSource + 'env, C: WorkerPool<'env>>(
    execution: &mut BlockExecution<S>,
    end: usize,
    worker_pool: &mut C,
    config: &Config,
    on_commit: Option<OnCommit<'_>>,
    division: Division,
) -> SegmentEnd<S> {
    let uncommitted = execution.uncommitted(end);
    let workers = if uncommitted < 2 { 1 } else { worker_pool.workers() };
    // The channel has room for every outcome, so sending never blocks.
    let (sender, stream) = bounded(if on_commit.is_some() { uncommitted.max(1) } else { 1 });
    execution.ledger.stream_to(on_commit.is_some().then_some(sender));
    let task = Arc::new(create_task(execution, end, worker_pool, config, division));
    let mut panicked = None;
    let mut ended = false;
    let own = |seat: Seat<'_>| match on_commit {
        Some(on_commit) => {
            let deliver = |committed| {
                if panicked.is_some() {
                    return;
                }
                match caught(|| on_commit(committed)) {
                    Ok(ControlFlow::Continue(())) => return,
                    Ok(ControlFlow::Break(())) => {}
                    Err(payload) => panicked = Some(payload),
                }
                ended = true;
                task.shared.cancel();
            };
            let caller = Caller::new(seat, stream, deliver);
            work(&task.shared, WorkerId(0), &caller);
            caller.drain();
        }
        None => task.run(WorkerId(0), seat),
    };
    let others: Arc<dyn Task + 'env> = task.clone();
    worker_pool.run_on(workers, &others, own);
    if let Some(payload) = panicked {
        payload.resume();
    }
    let Some(end) = task.shared.end() else {
        unreachable!("only the caller takes the end of the block")
    };
    // Other workers may still hold the task, but its contents are no longer needed.
    execution.end_segment(end, ended)
}

/// Creates the task that all workers run.
fn create_task<'env, S: StateSource + 'env>(
    execution: &mut BlockExecution<S>,
    end: usize,
    worker_pool: &impl WorkerPool<'env>,
    config: &Config,
    division: Division,
) -> RunTask<S> {
    let setup = match division {
        Division::Published { predicts } => {
            let waste = match config.policy {
                Policy::Forced(Forced::Alternate) => Some(Waste::AFTER_TWO),
                _ => (!worker_pool.is_wide()).then(|| Waste::on(worker_pool.workers())),
            };
            let watches = waste.is_some() && config.policy == Policy::Auto;
            let activity = &execution.workload.activity;
            let trial =
                watches.then(|| Trial::new(is_mostly_access, worker_pool.workers(), activity));
            execution.ledger.trial = trial;
            execution.set_up(end, config, worker_pool.workers(), waste, predicts)
        }
        Division::Private(batches) => {
            execution.set_up_private(config, worker_pool.workers(), batches)
        }
    };
    let is_unheard = mutant!(TokenUnheard);
    let token = execution.workload.cancel.clone().filter(|_| !is_unheard);
    RunTask { shared: Shared::new(setup).with_token(token) }
}
