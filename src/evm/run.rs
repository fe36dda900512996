//! The path of a block: pre-block calls, transactions, post-block calls, bundle.

use super::base::{BlockBase, Overlay, StateSource};
use super::block::Block;
use super::bundle::{BlockEffects, build};
use super::crew::Crew;
use super::error::{At, BlockError, BlockErrorKind, Rejection};
use super::ledger::{Committed, EvmLedger};
use super::location::EvmLocation;
use super::machine::{Recipe, TxOutput};
use super::output::{BlockOutput, Executed, ExecutedStatus, Outcome, Stats};
use super::plan::plan_block;
use super::precompile::Precompile;
use super::requests::push_deposits;
use super::system::{SystemCalls, SystemError, balance_increments};
use super::view::EvmView;
use super::workload::EvmWorkload;
use crate::config::Config;
use crate::error::Invariant;
use crate::ids::{TxIndex, WorkerId};
use crate::mv::Store;
use crate::protocol::Halt;
use crate::runtime::{Caller, Task, Threads};
use crate::sync::bounded;
use crate::worker::{BlockEnd, Setup, Shared, Stop, TxError, work};
use alloy_consensus::{EthereumReceipt, TxType};
use alloy_eips::eip7685::Requests;
use core::ops::ControlFlow;
use revm::context::result::ExecutionResult;
use revm::database::BundleState;
use revm::database_interface::bal::EvmDatabaseError;
use revm::primitives::hardfork::SpecId;
use revm::{Database as _, DatabaseRef};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// What a call of the executor takes beside the block and the source of state.
pub(crate) struct Options<F> {
    pub(crate) config: Config,
    pub(crate) precompiles: Arc<[Arc<dyn Precompile>]>,
    /// State changes of blocks before this one that the source does not have yet.
    pub(crate) parent: Option<BundleState>,
    /// Hears of each commit, on the calling thread; `None` costs nothing.
    pub(crate) on_commit: Option<F>,
}

type DbError<S> = <<S as StateSource>::State as DatabaseRef>::Error;
type RunEnd<S> = BlockEnd<EvmWorkload<S>, EvmLedger>;

/// Locations of a plain transfer; the store grows where there are more.
const LOCATIONS_PER_TRANSACTION: usize = 4;

/// The part of the other workers.
struct RunTask<S: StateSource>(Shared<EvmWorkload<S>, EvmLedger>);

impl<S: StateSource> Task for RunTask<S> {
    fn run(&self, worker: WorkerId) {
        work(&self.0, worker, &Threads);
    }
}

/// Executes a block. See [`Executor`](crate::Executor).
pub(crate) fn execute<'env, S, F, C>(
    crew: &mut C,
    block: Arc<Block>,
    source: S,
    options: Options<F>,
) -> Result<BlockOutput, BlockError<DbError<S>>>
where
    S: StateSource + 'env,
    F: FnMut(Committed) -> ControlFlow<()>,
    C: Crew<'env>,
{
    let Options { config, precompiles, parent, on_commit } = options;
    let mut effects = BlockEffects {
        touch_creates: !block.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON),
        ..BlockEffects::default()
    };
    let prepared = prepare(&block, &source, precompiles, parent.as_ref(), &mut effects);
    let (recipe, overlay) = prepared.map_err(|kind| BlockError {
        at: At::PreBlock,
        kind,
        committed: Box::default(),
    })?;
    let workload = EvmWorkload { recipe, source, overlay: Arc::new(overlay) };
    let end = run_transactions(crew, workload, &config, on_commit);
    finish(crew, end, effects, parent, &config)
}

/// Runs the pre-block calls and looks at the beneficiary.
fn prepare<S: StateSource>(
    block: &Arc<Block>,
    source: &S,
    precompiles: Arc<[Arc<dyn Precompile>]>,
    parent: Option<&BundleState>,
    effects: &mut BlockEffects,
) -> Result<(Recipe, Overlay), BlockErrorKind<DbError<S>>> {
    let mut overlay = Overlay::default();
    if let Some(parent) = parent {
        overlay.push(parent.clone());
    }
    let mut recipe =
        Recipe { block: Arc::clone(block), precompiles, defers: false, blank: Default::default() };
    let state = source.open(WorkerId(0)).map_err(BlockErrorKind::Base)?;
    let overlay = Arc::new(overlay);
    let mut base = BlockBase::new(state, Arc::clone(&overlay));
    let beneficiary = block.env.beneficiary;
    let info = base.account(beneficiary).map_err(BlockErrorKind::Base)?;
    // EIP-161 deletes an empty account that is touched, and with it what it may have stored: a
    // reward is no plain addition then.
    recipe.defers = effects.touch_creates || !info.as_ref().is_some_and(|info| info.is_empty());
    effects.beneficiary = (beneficiary, info);
    let mut calls = SystemCalls::new(&recipe, base);
    calls.before_transactions().map_err(|error| match error {
        SystemError::Database(EvmDatabaseError::Database(error)) => BlockErrorKind::Base(error),
        SystemError::Database(EvmDatabaseError::Bal(error)) => {
            BlockErrorKind::SystemCall(error.to_string())
        }
        SystemError::Contract(message) => BlockErrorKind::SystemCall(message),
    })?;
    let SystemCalls { mut state, effects: before, .. } = calls;
    effects.before = before;
    state.merge_transitions(revm::database::states::bundle_state::BundleRetention::PlainState);
    let system = state.take_bundle();
    drop(state);
    let mut overlay = Arc::into_inner(overlay).unwrap_or_default();
    overlay.push(system);
    Ok((recipe, overlay))
}

/// Runs all transactions on all workers; the caller is one of them.
fn run_transactions<'env, S, F, C>(
    crew: &mut C,
    workload: EvmWorkload<S>,
    config: &Config,
    on_commit: Option<F>,
) -> RunEnd<S>
where
    S: StateSource + 'env,
    F: FnMut(Committed) -> ControlFlow<()>,
    C: Crew<'env>,
{
    let block = Arc::clone(&workload.recipe.block);
    let workers = crew.workers();
    let alone = workers == 1 || block.transactions.len() < 2;
    // Each outcome is sent once, so sending never waits.
    let capacity = if on_commit.is_some() { block.transactions.len() } else { 1 };
    let (sender, stream) = bounded(capacity.max(1));
    let sender = on_commit.is_some().then_some(sender);
    let shared = Shared::new(Setup {
        plan: plan_block(&block, workers),
        store: Store::<EvmLocation>::with_capacity(
            config.shards(workers, block.transactions.len()),
            LOCATIONS_PER_TRANSACTION * block.transactions.len(),
        ),
        limits: config.limits(workers, alone),
        patience: config.patience,
        ledger: EvmLedger::new(block, sender),
        workload,
    });
    let task = Arc::new(RunTask(shared));
    let mut panicked = None;
    let own = || match on_commit {
        Some(mut on_commit) => {
            let deliver = |committed| {
                if panicked.is_some() {
                    return;
                }
                match catch_unwind(AssertUnwindSafe(|| on_commit(committed))) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => task.0.cancel(),
                    Err(payload) => {
                        panicked = Some(payload);
                        task.0.cancel();
                    }
                }
            };
            let caller = Caller::new(stream, deliver);
            work(&task.0, WorkerId(0), &caller);
            caller.drain();
        }
        None => work(&task.0, WorkerId(0), &Threads),
    };
    if alone {
        own();
    } else {
        let others: Arc<dyn Task + 'env> = task.clone();
        crew.run(&others, own);
    }
    if let Some(payload) = panicked {
        resume_unwind(payload);
    }
    match Arc::into_inner(task) {
        Some(task) => task.0.into_end(),
        // `Crew::run` returns when nobody holds the task.
        None => unreachable!("a worker still holds the block"),
    }
}

/// Runs what follows the transactions and builds the output.
fn finish<'env, S, C>(
    crew: &mut C,
    end: RunEnd<S>,
    mut effects: BlockEffects,
    parent: Option<BundleState>,
    config: &Config,
) -> Result<BlockOutput, BlockError<DbError<S>>>
where
    S: StateSource,
    C: Crew<'env>,
{
    let stats = Stats::new(crew.workers(), end.frontier.0, end.counters);
    let gas = end.ledger.gas();
    let block = &end.workload.recipe.block;
    let mut output = BlockOutput {
        gas_used: gas.used(block),
        blob_gas_used: gas.blob,
        stats,
        ..BlockOutput::default()
    };
    let mut failure = block_failure(end.frontier, end.halt, end.error, end.broken);
    if failure.is_none() {
        let after = after_transactions(&end.workload, &end.store, &end.ledger, &mut effects);
        match after {
            Ok(requests) => output.requests = requests,
            Err(kind) => failure = Some((At::PostBlock, kind)),
        }
    }
    if failure.is_some() {
        // The committed prefix is what the transactions left, no more.
        effects.after.clear();
        effects.increments.clear();
        effects.drained.clear();
    }
    let block = Arc::clone(block);
    let outcomes = end.ledger.outcomes;
    effects.transactions = outcomes.iter().filter_map(|o| o.as_ref().ok().cloned()).collect();
    output.bundle = build(effects, parent, config.reverts, crew);
    (output.outcomes, output.receipts) = receipts(&block, outcomes);
    match failure {
        None => Ok(output),
        Some((at, kind)) => Err(BlockError { at, kind, committed: Box::new(output) }),
    }
}

/// Why the transactions did not all commit, if so. Re-raises the panic of user code.
fn block_failure<E>(
    frontier: TxIndex,
    halt: Option<Halt>,
    error: Option<TxError<Rejection, E>>,
    broken: Option<Invariant>,
) -> Option<(At, BlockErrorKind<E>)> {
    if let Some(broken) = broken {
        return Some((At::Transaction(frontier), BlockErrorKind::Internal(broken)));
    }
    let (tx, kind) = match (halt?, error) {
        (Halt::Cancelled, _) => (frontier, BlockErrorKind::Cancelled),
        (Halt::Failed(tx, _) | Halt::NoRoom(tx), Some(error)) => match error {
            TxError::Rejected(rejection) => (tx, BlockErrorKind::Invalid(rejection)),
            TxError::Base(error) => (tx, BlockErrorKind::Base(error)),
            TxError::Panicked(payload) => resume_unwind(payload),
        },
        (Halt::Failed(tx, _) | Halt::NoRoom(tx), None) => {
            (tx, BlockErrorKind::Internal(Invariant::MissingResult { tx }))
        }
    };
    Some((At::Transaction(tx), kind))
}

/// Post-block calls and balance changes, on the state that all transactions leave.
fn after_transactions<S: StateSource>(
    workload: &EvmWorkload<S>,
    store: &Store<EvmLocation>,
    ledger: &EvmLedger,
    effects: &mut BlockEffects,
) -> Result<Requests, BlockErrorKind<DbError<S>>> {
    let block = &*workload.recipe.block;
    let mut requests = Requests::default();
    if block.cfg.spec.is_enabled_in(SpecId::PRAGUE)
        && let Some(contract) = block.rules.deposit_contract
    {
        let results = ledger.outcomes.iter().flatten().map(|output| output.result.logs());
        push_deposits(&mut requests, contract, results.flatten())
            .map_err(BlockErrorKind::SystemCall)?;
    }
    let base = workload.base(WorkerId(0)).map_err(BlockErrorKind::Base)?;
    let mut view = EvmView::new(store, base, &Threads);
    view.begin(TxIndex(u32::MAX));
    let mut calls = SystemCalls::new(&workload.recipe, view);
    let called = calls
        .after_transactions(&mut requests)
        .and_then(|()| balance_changes(block, &mut calls, effects).map_err(SystemError::Database));
    effects.after = core::mem::take(&mut calls.effects);
    match called {
        Ok(()) => Ok(requests),
        Err(SystemError::Contract(message)) => Err(BlockErrorKind::SystemCall(message)),
        Err(SystemError::Database(_)) => Err(match calls.state.database.end().1 {
            Some(Stop::Base(error)) => BlockErrorKind::Base(error),
            _ => BlockErrorKind::Internal(Invariant::ValueKind),
        }),
    }
}

fn balance_changes<DB: revm::Database>(
    block: &Block,
    calls: &mut SystemCalls<'_, DB>,
    effects: &mut BlockEffects,
) -> Result<(), EvmDatabaseError<DB::Error>> {
    let mut increments = balance_increments(block);
    if let Some(dao) = &block.rules.dao_fork {
        let mut sum: u128 = 0;
        for address in &dao.drained {
            let info = calls.state.basic(*address)?;
            let balance = info.as_ref().map_or(0, |info| info.balance.saturating_to());
            sum = sum.saturating_add(balance);
            effects.drained.push((*address, info));
        }
        let total = increments.entry(dao.beneficiary).or_default();
        *total = total.saturating_add(sum);
    }
    for (address, amount) in increments {
        effects.increments.push((address, amount, calls.state.basic(address)?));
    }
    Ok(())
}

/// Splits each result into its outcome and its receipt.
fn receipts(
    block: &Block,
    results: Vec<Result<Arc<TxOutput>, Rejection>>,
) -> (Vec<Outcome>, Vec<EthereumReceipt>) {
    let mut outcomes = Vec::with_capacity(results.len());
    let mut receipts = Vec::with_capacity(results.len());
    let mut cumulative_gas_used: u64 = 0;
    for (tx, result) in block.transactions.iter().zip(results) {
        let output = match result {
            Ok(output) => output,
            Err(rejection) => {
                outcomes.push(Outcome::Skipped(rejection));
                continue;
            }
        };
        // The caller's stream may hold on to it.
        let result = match Arc::try_unwrap(output) {
            Ok(output) => output.result,
            Err(output) => output.result.clone(),
        };
        cumulative_gas_used = cumulative_gas_used.saturating_add(result.tx_gas_used());
        let success = result.is_success();
        let (status, gas, logs) = match result {
            ExecutionResult::Success { reason, gas, logs, output } => {
                (ExecutedStatus::Success { reason, output }, gas, logs)
            }
            ExecutionResult::Revert { gas, logs, output } => {
                (ExecutedStatus::Revert { output }, gas, logs)
            }
            ExecutionResult::Halt { reason, gas, logs } => {
                (ExecutedStatus::Halt { reason }, gas, logs)
            }
        };
        let tx_type = TxType::try_from(tx.tx_type).unwrap_or_default();
        receipts.push(EthereumReceipt { tx_type, success, cumulative_gas_used, logs });
        outcomes.push(Outcome::Executed(Executed { status, gas }));
    }
    (outcomes, receipts)
}
