//! Steps after the transactions: post-block calls, balance changes, receipts, bundle.

use super::access_list::{access_list, accesses_after, compare_end};
use super::after::AfterLast;
use super::bal::mismatch::AccessListError;
use super::block::error::{BlockError, BlockErrorKind, BlockPosition, Cause};
use super::block::output::{BlockOutput, Stats};
use super::block::replay::Replay;
use super::block::requests::push_deposits;
use super::block::system::{SystemCalls, SystemError, balance_increments, rewards};
use super::block_execution::BlockExecution;
use super::bundle::block_effects::BlockEffects;
use super::closing::{close, empty_store};
use super::closing_task::ClosingInput;
use super::engine::pending_writes::Unmerged;
use super::exec::base::{DbError, StateSource};
use super::exec::input::Block;
use super::exec::view::EvmView;
use super::plan::chooser::HasRun;
use super::worker_pool::WorkerPool;
use crate::config::Config;
use crate::error::Invariant;
use crate::ids::{TxIndex, WorkerId};
use crate::worker::Stop;
use alloy_eips::eip7685::Requests;
use revm::database_interface::bal::EvmDatabaseError;
use revm::primitives::hardfork::SpecId;
use revm::state::EvmState;
use std::sync::Arc;

/// Input of [`finish`], in addition to the [`BlockExecution`].
pub(super) struct FinishInput {
    /// Effects of the pre-block calls.
    pub(super) effects: BlockEffects,
    pub(super) config: Config,
    /// How the transactions ran.
    pub(super) ran: HasRun,
    /// Data for replaying the transactions, if kept.
    pub(super) replay: Option<Replay>,
}

/// Runs the steps after the transactions and builds the output.
pub(super) fn finish<'env, S, C>(
    worker_pool: &mut C,
    mut execution: BlockExecution<S>,
    mut failure: Option<Cause<S>>,
    input: FinishInput,
) -> Result<BlockOutput, BlockError<DbError<S>>>
where
    S: StateSource,
    C: WorkerPool<'env>,
{
    let FinishInput {
        mut effects,
        config,
        ran: HasRun { segments, workers, is_sequential },
        replay,
    } = input;
    // If the caller ran the last transactions alone, the other workers are probably asleep.
    let is_last_sequential = execution
        .pending
        .as_ref()
        .is_some_and(|pending| pending.has_writes_below(execution.frontier));
    worker_pool.report_activity(&execution.workload.activity, workers);
    let gas = execution.ledger.gas();
    let block = Arc::clone(&execution.workload.block_context.block);
    let mut output = BlockOutput {
        gas_used: gas.used(&block),
        blob_gas_used: gas.blob,
        segments,
        replay,
        stats: Stats::new(workers, is_sequential, execution.frontier.0, execution.counters),
        ..BlockOutput::default()
    };
    effects.outcomes_builder = execution.ledger.output_builder.take_outcomes_builder();
    let mut spent = EvmState::default();
    if failure.is_none() {
        let after = after_transactions(&mut execution, &mut effects, &mut spent);
        match after {
            Ok(requests) => output.requests = requests,
            Err(kind) => failure = Some((BlockPosition::PostBlock, kind)),
        }
    }
    let accesses = core::mem::take(&mut execution.ledger.accesses);
    let marks = core::mem::take(&mut execution.ledger.marks);
    output.undeclared = core::mem::take(&mut execution.ledger.undeclared);
    let context = Arc::clone(&execution.workload.block_context);
    let mut after = None;
    if failure.is_none() && context.uses_list() {
        let after = &*after.insert(accesses_after(&context, &mut effects));
        if let Err(wrong) = compare_end(&context, &effects, marks, after) {
            let wrong = BlockErrorKind::AccessList(AccessListError::Mismatch(wrong));
            failure = Some((BlockPosition::PostBlock, wrong));
            output.requests = Requests::default();
        }
    }
    let after = after.filter(|_| failure.is_none());
    output.access_list = access_list(&context, &effects, accesses.into_iter(), after.as_ref());
    let returns_changes = context.extensions.returns_changes();
    drop(context);
    if failure.is_some() {
        // The output of a committed prefix has the changes of its transactions only.
        effects.after.clear();
        effects.increments.clear();
        effects.drained.clear();
    }
    let BlockExecution { workload, store, ledger, .. } = execution;
    effects.outcomes = ledger.outcomes;
    effects.shard_masks = ledger.shard_masks;
    let builder = ledger.output_builder.into_bundle();
    let bundle_shards = workload.block_context.bundle_shards.clone();
    // No reads follow. Release the workload's reference to the parent.
    drop(workload);
    let parent = effects.parent.take();
    let closing = ClosingInput {
        block,
        effects,
        builder,
        bundle_shards,
        parent,
        reverts: config.reverts,
        is_sequential: is_last_sequential,
        store,
        spent,
    };
    if returns_changes {
        (output.bundle, (output.outcomes, output.receipts)) = close(closing, worker_pool);
    } else {
        empty_store(closing.store, worker_pool);
    }
    match failure {
        None => Ok(output),
        Some((at, kind)) => Err(BlockError { at, kind, committed: Box::new(output) }),
    }
}

/// Runs withdrawals, post-block calls and rewards on the state after the last transaction. Moves
/// the journal, which is then no longer needed, to `spent`, because dropping it takes time.
fn after_transactions<S: StateSource>(
    execution: &mut BlockExecution<S>,
    effects: &mut BlockEffects,
    spent: &mut EvmState,
) -> Result<Requests, BlockErrorKind<DbError<S>>> {
    let BlockExecution { workload, store, ledger, pending, .. } = execution;
    let context = &workload.block_context;
    let block = &*context.block;
    let mut deposits = Requests::default();
    if block.cfg.spec.is_enabled_in(SpecId::PRAGUE)
        && let Some(contract) = block.rules.deposit_contract
    {
        let outcomes_builder = &effects.outcomes_builder;
        let later = ledger.outcomes.iter().skip(outcomes_builder.end()).flatten().flatten();
        let later = later.flat_map(|output| output.result.logs());
        push_deposits(&mut deposits, contract, outcomes_builder.logs_with(contract).chain(later))
            .map_err(BlockErrorKind::SystemCall)?;
    }
    store.set_frontier(TxIndex(u32::MAX));
    let mut pending = pending.take();
    loop {
        let base = workload.base(WorkerId(0)).map_err(BlockErrorKind::Base)?;
        let (mut below, unmerged) = match &mut pending {
            Some(pending) => {
                let latest = core::mem::take(&mut pending.latest);
                let mut below = EvmView::of_prefix(context, store, base, None);
                below.begin_sequential(latest, pending.first);
                below.set_complete(pending.is_complete(ledger.outcomes.len()));
                (below, core::mem::take(&mut pending.unmerged))
            }
            None => (EvmView::new(context, store, base, None), Unmerged::Nothing),
        };
        below.begin(TxIndex(u32::MAX));
        let receivers = context.receivers().collect();
        let after = AfterLast { unmerged, below, refused: None, receivers };
        let mut calls = SystemCalls::new(context, after);
        calls.warm_precompiles = ledger.outcomes.iter().any(Result::is_ok);
        let mut requests = deposits.clone();
        let called = calls.after_transactions(&mut requests).and_then(|()| {
            balance_changes(block, &mut calls, effects).map_err(SystemError::Database)
        });
        let (after, changes, accessed) = calls.into_parts();
        effects.after = changes;
        let [_, step_accesses] = &mut effects.step_accesses;
        *step_accesses = accessed;
        let AfterLast { mut unmerged, mut below, refused, .. } = after;
        if let Unmerged::Journal(journal) = &mut unmerged {
            *spent = core::mem::take(&mut journal.state);
        }
        return match (called, below.end().1) {
            (_, Some(Stop::TooEarly)) => {
                // The calls read a change of a private batch, or needed the writer of a value, and
                // some writes are still unmerged.
                let (Some(pending), Some(latest)) = (&mut pending, below.latest_mut()) else {
                    return Err(BlockErrorKind::Internal(Invariant::ValueKind));
                };
                effects.drained = Vec::new();
                effects.increments = Vec::new();
                pending.latest = core::mem::take(latest);
                pending.unmerged = unmerged;
                let others = balance_increments(block).into_keys();
                pending.complete_for(refused, others, ledger, context);
                continue;
            }
            (Ok(()), _) => Ok(requests),
            (Err(SystemError::Contract(message)), _) => Err(BlockErrorKind::SystemCall(message)),
            (_, Some(Stop::Base(error))) => Err(BlockErrorKind::Base(error)),
            (Err(SystemError::Database(_)), _) => {
                Err(BlockErrorKind::Internal(Invariant::ValueKind))
            }
        };
    }
}

/// Reads the accounts whose balances change after all calls.
fn balance_changes<DB: revm::Database>(
    block: &Block,
    calls: &mut SystemCalls<'_, DB>,
    effects: &mut BlockEffects,
) -> Result<(), EvmDatabaseError<DB::Error>> {
    // If there are post-block calls, withdrawals are paid before them.
    let paid_first = calls.has_calls_after();
    let mut increments = if paid_first { rewards(block) } else { balance_increments(block) };
    if let Some(dao) = &block.rules.dao_fork {
        let mut sum: u128 = 0;
        for address in &dao.drained {
            let info = calls.account(*address)?;
            let balance = info.as_ref().map_or(0, |info| info.balance.saturating_to());
            sum = sum.saturating_add(balance);
            effects.drained.push((*address, info));
        }
        let total = increments.entry(dao.beneficiary).or_default();
        *total = total.saturating_add(sum);
    }
    for (address, amount) in increments {
        effects.increments.push((address, amount, calls.account(address)?));
    }
    Ok(())
}
