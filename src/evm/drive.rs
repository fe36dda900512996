//! Drives a block through its steps: pre-block calls, transactions, post-block calls, bundle.

use super::block::committed::{OnCommit, reborrow};
use super::block::error::{BlockError, BlockErrorKind, Cause, cancelled};
use super::block::output::BlockOutput;
use super::block::replay::CommitRecorder;
use super::block_execution::{BlockExecution, SegmentEnd};
use super::bundle::block_effects::BlockEffects;
use super::engine::workload::EvmWorkload;
use super::exec::activity::DatabaseActivity;
use super::exec::any::AnySource;
use super::exec::base::StateSource;
use super::exec::block_context::BlockContext;
use super::exec::extensions::Extensions;
use super::exec::input::Block;
use super::finish::{FinishInput, finish};
use super::plan::Strategy;
use super::plan::chooser::StrategyChooser;
use super::plan::features::{Features, ListUse, Setting};
use super::plan::progress::SegmentOutcome;
use super::prepare::begin;
use super::pull::{BuiltBlock, TransactionPool, drop_unexecuted, pull, report_skipped};
use super::segment;
use super::worker_pool::{LimitedPool, WorkerPool};
use crate::config::{Config, Mode};
use crate::mv::Store;
use crate::runtime::CallerStage;
use crate::spans::span;
use crate::worker::CancellationToken;
use revm::database::BundleState;
use revm::database_interface::ErasedError;
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

/// Arguments of an execution, besides the block and the source of state.
pub(crate) struct Options<'f> {
    pub(crate) config: Config,
    pub(crate) extensions: Extensions,
    /// State changes of earlier blocks that the source does not have yet.
    pub(crate) parent: Option<Arc<BundleState>>,
    /// Callback after each commit; `None` costs nothing.
    pub(crate) on_commit: Option<OnCommit<'f>>,
    /// Ends the block early when cancelled.
    pub(crate) cancel: Option<CancellationToken>,
}

/// Executes a block. See [`Executor`](crate::Executor).
pub(crate) fn execute<'env, C: WorkerPool<'env>>(
    worker_pool: &mut C,
    block: Arc<Block>,
    source: AnySource<'env>,
    options: Options<'_>,
) -> Result<BlockOutput, BlockError<ErasedError>> {
    let Options { config, extensions, parent, on_commit, cancel } = options;
    let _span =
        span!(DEBUG, "block", number = %block.env.number, transactions = block.transactions.len());
    worker_pool.enter_stage(CallerStage::Before);
    let (mut context, effects, overlay) =
        begin(block, false, &source, extensions, parent, &config)?;
    let mut chooser = StrategyChooser::new(features(&context, &config, worker_pool, false));
    context.reads_list = chooser.features.reads_list();
    let choice = chooser.choose_first(worker_pool.feedback(), &context.block);
    // The calling thread runs sequential transactions.
    if choice.strategy != Strategy::Sequential {
        worker_pool.wake(choice.workers.min(context.block.transactions.len()));
    }
    let sequential = choice.runs_to_end || chooser.features.sequential_reason().is_some();
    // With shared journals and more than two workers, a block that begins sequentially may still be
    // tried in batches.
    let stays_sequential = sequential && !(context.shares_journals && worker_pool.workers() > 2);
    let activity = activity(&source, worker_pool.workers(), stays_sequential);
    let mut workload = EvmWorkload::new(context, source, overlay, activity);
    workload.cancel = cancel;
    let mut execution = BlockExecution::new(workload, Store::new(1));
    execution.known_dependencies = chooser.features.declared.take();
    let mut commit_recorder = CommitRecorder::new(config.keep_changes);
    let failure = commit_recorder.record(on_commit, |on_commit| {
        run(worker_pool, &mut execution, &mut chooser, &config, &effects, on_commit)
    });
    let replay =
        commit_recorder.end(&execution.workload.block_context, &execution.workload.overlay);
    let input = FinishInput { effects, config, ran: chooser.end(), replay };
    worker_pool.enter_stage(CallerStage::After);
    finish(worker_pool, execution, failure, input)
}

/// Builds a block from transactions of `pool`, in rounds of a fixed size so that the result does
/// not depend on the number of workers. See [`BlockRequest::build`](crate::BlockRequest::build).
pub(crate) fn build<'env, C: WorkerPool<'env>>(
    worker_pool: &mut C,
    block: Block,
    source: AnySource<'env>,
    pool: &mut dyn TransactionPool,
    options: Options<'_>,
) -> Result<BuiltBlock, BlockError<ErasedError>> {
    let Options { mut config, extensions, parent, mut on_commit, cancel } = options;
    let _span = span!(DEBUG, "block", number = %block.env.number, is_built = true);
    config.engine.mode = Mode::Build;
    let begun = begin(block.into(), true, &source, extensions, parent, &config);
    let (context, effects, overlay) = begun?;
    // The pool's transactions are not known yet.
    let mut chooser = StrategyChooser::new(features(&context, &config, worker_pool, true));
    let sequential = chooser.features.sequential_reason().is_some();
    let activity = activity(&source, worker_pool.workers(), sequential);
    let mut workload = EvmWorkload::new(context, source, overlay, activity);
    workload.cancel = cancel;
    let mut execution = BlockExecution::new(workload, Store::new(1));
    let mut failure = None;
    let mut commit_recorder = CommitRecorder::new(config.keep_changes);
    while failure.is_none() && !execution.workload.is_cancelled() && pull(&mut execution, pool) {
        let first = execution.frontier;
        failure = commit_recorder.record(reborrow(&mut on_commit), |on_commit| {
            run(worker_pool, &mut execution, &mut chooser, &config, &effects, on_commit)
        });
        report_skipped(&execution, first, pool);
    }
    // A cancelled token only stops the filling: the transactions that have run are a complete
    // block. If the caller ends its stream, the block ends with an error.
    if execution.workload.is_cancelled()
        && !commit_recorder.has_ended()
        && failure.take_if(|(_, why)| matches!(why, BlockErrorKind::Cancelled)).is_some()
    {
        drop_unexecuted(&mut execution);
    }
    let block = Arc::clone(&execution.workload.block_context.block);
    let replay =
        commit_recorder.end(&execution.workload.block_context, &execution.workload.overlay);
    let input = FinishInput { effects, config, ran: chooser.end(), replay };
    let output = finish(worker_pool, execution, failure, input)?;
    Ok(BuiltBlock { block, output })
}

/// Computes the features of a block before it runs.
fn features<'env>(
    context: &BlockContext,
    config: &Config,
    worker_pool: &impl WorkerPool<'env>,
    is_pool: bool,
) -> Features {
    // Before EIP-6780, a transaction may clear storage without the list containing the slots.
    let names_all =
        context.block.cfg.spec.is_enabled_in(SpecId::CANCUN) || mutant!(ToldBeforeCancun);
    let list = match &context.access_list {
        None => ListUse::Nothing,
        Some(_) if names_all => ListUse::Read,
        Some(_) => ListUse::Compared,
    };
    let setting = Setting {
        workers: worker_pool.workers(),
        is_wide: worker_pool.is_wide(),
        shares_journals: context.shares_journals,
        list,
        is_pool,
    };
    Features::of(&context.block, context.batch_payees(), config, setting)
}

/// Runs all uncommitted transactions, segment by segment.
fn run<'env, S: StateSource + 'env>(
    worker_pool: &mut impl WorkerPool<'env>,
    execution: &mut BlockExecution<S>,
    chooser: &mut StrategyChooser,
    config: &Config,
    effects: &BlockEffects,
    mut on_commit: Option<OnCommit<'_>>,
) -> Option<Cause<S>> {
    let all = execution.workload.block_context.block.transactions.len();
    while execution.uncommitted(all) > 0 {
        if execution.workload.is_cancelled() {
            return Some(cancelled(execution.frontier, all));
        }
        worker_pool.enter_stage(CallerStage::Plan);
        let first = execution.frontier.position();
        let block = Arc::clone(&execution.workload.block_context.block);
        let choice = chooser.choose(worker_pool.feedback(), &block, first);
        let _span = span!(
            DEBUG,
            "segment",
            first,
            strategy = ?choice.strategy,
            reason = ?choice.reason
        );
        segment::begin(execution, worker_pool, chooser, &choice, config, effects);
        worker_pool.enter_stage(CallerStage::Run);
        let pool = &mut LimitedPool { worker_pool: &mut *worker_pool, max_workers: choice.workers };
        let ended = segment::run(execution, pool, &choice, config, reborrow(&mut on_commit));
        let SegmentEnd { failure, fell_back, long_runs, batches } = ended;
        let outcome = SegmentOutcome {
            first,
            next: execution.frontier.position(),
            all,
            fell_back,
            has_failed: failure.is_some(),
        };
        let totals = execution.totals();
        chooser.learn(worker_pool.feedback(), &block, &choice, outcome, long_runs, totals);
        execution.counters.count(choice.strategy, choice.reason, batches);
        if failure.is_some() {
            return failure;
        }
    }
    None
}

/// Creates the tracker of which workers are inside the database. It counts only if several workers
/// may read at the same time.
fn activity(source: &impl StateSource, workers: usize, sequential: bool) -> Arc<DatabaseActivity> {
    let counts = !sequential && source.reads_overlap();
    Arc::new(DatabaseActivity::new(if counts { workers } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Forced, Policy};
    use crate::evm::exec::base::Cloned;
    use crate::evm::exec::rejection::Rejection;
    use crate::evm::worker_pool::{BLOCKING, ThreadPool};
    use crate::runtime::{Seat, Task};
    use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
    use revm::bytecode::Bytecode;
    use revm::context::TxEnv;
    use revm::database::{CacheDB, EmptyDB};
    use revm::state::AccountInfo;
    use std::num::NonZeroU16;

    const COUNTER: Address = Address::repeat_byte(0xcc);

    /// Calls of a contract that counts its calls, so that each depends on the previous one.
    fn chain(calls: u64) -> (Block, Cloned<CacheDB<EmptyDB>>) {
        let mut state = CacheDB::new(EmptyDB::new());
        let code = Bytecode::new_raw(hex!("600054600101600055").into());
        state.insert_account_info(COUNTER, AccountInfo::default().with_code(code));
        let call = |sender: u64| TxEnv {
            caller: Address::left_padding_from(&(sender + 1_000).to_be_bytes()),
            kind: TxKind::Call(COUNTER),
            data: Bytes::from([7; 4]),
            gas_limit: 50_000,
            chain_id: Some(1),
            ..TxEnv::default()
        };
        let mut block = Block { transactions: (0..calls).map(call).collect(), ..Block::default() };
        block.rules.system_calls = false;
        (block, Cloned(state))
    }

    fn team() -> (ThreadPool, Config) {
        let team = ThreadPool::new(2, 2, true).expect("a thread");
        let two = NonZeroU16::new(2).expect("not zero");
        (team, Config { learn: true, ..Config::with_workers(two) })
    }

    fn taught(team: &mut ThreadPool, calls: &[TxEnv]) {
        for _ in 0..3 {
            team.feedback().expect("a team remembers").learn_fallback(calls);
        }
    }

    fn options(config: Config) -> Options<'static> {
        let extensions = Extensions::default();
        Options { config, extensions, parent: None, on_commit: None, cancel: None }
    }

    fn run(team: &mut ThreadPool, config: Config, calls: u64) -> BlockOutput {
        let (block, state) = chain(calls);
        let done = execute(team, block.into(), AnySource::new(state), options(config));
        done.expect("a valid block")
    }

    fn assert_same(found: &BlockOutput, expected: &BlockOutput, calls: u64) {
        assert_eq!((&found.outcomes, &found.receipts), (&expected.outcomes, &expected.receipts));
        assert_eq!(found.bundle, expected.bundle);
        let counter = found.bundle.account(&COUNTER);
        let counted = counter.and_then(|account| account.storage.get(&U256::ZERO));
        assert_eq!(counted.map(|slot| slot.present_value), Some(U256::from(calls)));
    }

    #[test]
    fn what_was_learned_changes_how_a_block_runs_and_nothing_else() {
        let (mut team, config) = team();
        let first = run(&mut team, config, 60);
        assert!(!first.stats.sequential && first.stats.learned_conflict_segments == 0);
        taught(&mut team, &chain(60).0.transactions);
        // Neither a forced policy nor `learn: false` is overruled.
        for policy in [Policy::Forced(Forced::Speculative), Policy::Forced(Forced::Alternate)] {
            let config = Config { policy, ..config };
            assert_eq!(run(&mut team, config, 60).stats.learned_conflict_segments, 0);
        }
        let config_without = Config { learn: false, ..config };
        assert_eq!(run(&mut team, config_without, 60).stats.learned_conflict_segments, 0);
        let later = run(&mut team, config, 60);
        assert!(later.stats.sequential && later.stats.learned_conflict_segments == 1);
        assert_same(&later, &first, 60);
    }

    /// The executor does not learn from segments that are too short to fall back.
    #[test]
    fn a_short_segment_forgives_nothing() {
        let (mut team, config) = team();
        taught(&mut team, &chain(60).0.transactions);
        // Too few calls are of the learned kind, so the whole block is shared.
        let (mut block, state) = chain(31);
        block.transactions.iter_mut().skip(20).for_each(|tx| tx.gas_limit = 1_000_000);
        block.transactions.iter_mut().skip(20).for_each(|tx| tx.data = Bytes::from([8; 4]));
        let done = execute(&mut team, block.into(), AnySource::new(state), options(config));
        assert_eq!(done.expect("a valid block").stats.learned_conflict_segments, 0);
        assert_eq!(run(&mut team, config, 60).stats.learned_conflict_segments, 1);
    }

    /// Records the numbers of workers for which threads were woken.
    struct Woken(Vec<usize>);

    impl WorkerPool<'static> for Woken {
        fn workers(&self) -> usize {
            2
        }

        fn wake(&mut self, workers: usize) {
            self.0.push(workers);
        }

        fn run_on<R>(&mut self, _: usize, _: &Arc<dyn Task>, own: impl FnOnce(Seat<'_>) -> R) -> R {
            own(BLOCKING)
        }
    }

    #[test]
    fn threads_are_woken_for_a_block_that_is_shared() {
        for (calls, woken) in [(1, vec![]), (60, vec![2])] {
            let mut pool = Woken(Vec::new());
            let config = Config::with_workers(NonZeroU16::new(2).expect("not zero"));
            let (block, state) = chain(calls);
            let done = execute(&mut pool, block.into(), AnySource::new(state), options(config));
            assert!(done.is_ok());
            assert_eq!(pool.0, woken, "{calls} calls");
        }
    }

    struct Calls(std::vec::IntoIter<TxEnv>);

    impl TransactionPool for Calls {
        fn next(&mut self, _: u64) -> Option<TxEnv> {
            self.0.next()
        }

        fn skipped(&mut self, _: &TxEnv, reason: &Rejection) {
            panic!("all are valid: {reason}");
        }
    }

    /// The first round always speculates; later rounds use its result.
    #[test]
    fn what_was_learned_holds_for_the_later_rounds_of_a_pool() {
        let calls = 600;
        let is_predicted = |_| {
            let (mut team, config) = team();
            let expected = run(&mut team, Config { policy: Policy::Sequential, ..config }, calls);
            let (block, state) = chain(calls);
            taught(&mut team, &block.transactions);
            let mut pool = Calls(block.transactions.clone().into_iter());
            let block = Block { transactions: Vec::new(), ..block };
            let state = AnySource::new(state);
            let built = build(&mut team, block, state, &mut pool, options(config));
            let output = built.expect("a block").output;
            assert!(!output.stats.sequential, "{:?}", output.stats);
            assert_same(&output, &expected, calls);
            // On a busy machine the other worker may have started late, and little speculation was
            // wasted.
            output.stats.learned_conflict_segments >= 1
        };
        assert!((0..100).any(is_predicted), "no other worker has come in a hundred blocks");
    }
}
