//! Builds a block from a pool that provides transactions while the block fills.

use super::block::output::BlockOutput;
use super::block_execution::BlockExecution;
use super::exec::base::StateSource;
use super::exec::input::Block;
use super::exec::rejection::Rejection;
use crate::ids::TxIndex;
use crate::thresholds::BUILD_ROUND;
use crate::worker::CancellationToken;
use revm::context::TxEnv;
use std::sync::Arc;

/// Gas of the cheapest transaction: with less gas left, the block is full (EIP-2; from Amsterdam,
/// EIP-2780 lowers it by too little to matter here).
const MIN_TRANSACTION_GAS: u64 = 21_000;

/// Source of transactions for a block builder.
///
/// The builder pulls up to 256 transactions at a time, executes them with the same result as
/// sequential execution, and then reports the ones that it skipped.
pub trait TransactionPool {
    /// Returns the next transaction, or `None` if no other is worth trying; every pool must return
    /// `None` eventually. `gas_left` is the gas left in the block if the transactions before it in
    /// this round use their whole gas limits.
    fn next(&mut self, gas_left: u64) -> Option<TxEnv>;

    /// Reports that `tx` was skipped. After [`Rejection::Invalid`], later transactions of the same
    /// sender are probably invalid, too; after [`Rejection::BlockGas`], the block is too full for
    /// `tx`.
    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection);
}

/// The empty pool: the block is built from its own transactions, without the invalid ones.
impl TransactionPool for () {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        None
    }

    fn skipped(&mut self, _: &TxEnv, _: &Rejection) {}
}

/// A block that was built from a pool.
#[derive(Debug)]
#[non_exhaustive]
pub struct BuiltBlock {
    /// The block with all pulled transactions, in the order in which they were pulled, including
    /// skipped ones: see [`BlockOutput::outcomes`]. Transactions that had not run when a token
    /// stopped the building are not included.
    pub block: Arc<Block>,
    /// The result of the block.
    pub output: BlockOutput,
}

/// Pulls a round of transactions from `pool`. Returns `false` if there is no transaction to run.
pub(super) fn pull<S: StateSource>(
    execution: &mut BlockExecution<S>,
    pool: &mut dyn TransactionPool,
) -> bool {
    // Drop the ledger's reference, so that the block can be extended in place.
    execution.ledger.set_block(Arc::default());
    let cancel = execution.workload.cancel.clone();
    let is_cancelled = || cancel.as_ref().is_some_and(CancellationToken::is_cancelled);
    let block = Arc::make_mut(&mut execution.workload.block_context_mut().block);
    let before = block.transactions.len();
    let used = execution.ledger.gas().admitted(block);
    let waiting = block.transactions.iter().skip(execution.frontier.position());
    let reserved = waiting.fold(used, |sum, tx| sum.saturating_add(tx.gas_limit));
    let mut gas_left = block.env.gas_limit.saturating_sub(reserved);
    while block.transactions.len() - before < BUILD_ROUND
        && gas_left >= MIN_TRANSACTION_GAS
        && !is_cancelled()
    {
        let Some(tx) = pool.next(gas_left) else { break };
        gas_left = gas_left.saturating_sub(tx.gas_limit);
        block.transactions.push(tx);
    }
    let waiting = block.transactions.len() > execution.frontier.position();
    execution.ledger.set_block(Arc::clone(&execution.workload.block_context.block));
    waiting
}

/// Removes from the block the transactions that have not run.
pub(super) fn drop_unexecuted<S: StateSource>(execution: &mut BlockExecution<S>) {
    let keeps = mutant!(RestOfPoolKept);
    execution.ledger.set_block(Arc::default());
    let block = Arc::make_mut(&mut execution.workload.block_context_mut().block);
    if !keeps {
        block.transactions.truncate(execution.frontier.position());
    }
    execution.ledger.set_block(Arc::clone(&execution.workload.block_context.block));
}

/// Reports the skipped transactions from `first` on to `pool`.
pub(super) fn report_skipped<S: StateSource>(
    execution: &BlockExecution<S>,
    first: TxIndex,
    pool: &mut dyn TransactionPool,
) {
    let transactions = &execution.workload.block_context.block.transactions;
    let outcomes = transactions.iter().zip(&execution.ledger.outcomes).skip(first.position());
    for (tx, outcome) in outcomes {
        if let Err(reason) = outcome {
            pool.skipped(tx, reason);
        }
    }
}
