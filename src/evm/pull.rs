//! Building a block from a pool that is asked for transactions while the block fills.

use super::block::output::BlockOutput;
use super::exec::base::StateSource;
use super::exec::input::Block;
use super::exec::rejection::Rejection;
use super::mutants::is_evm_mutant;
use super::session::Session;
use crate::ids::TxIndex;
use crate::worker::CancellationToken;
use revm::context::TxEnv;
use std::sync::Arc;

/// Transactions that are asked for at a time. It is part of what decides the block, so it does
/// not depend on the number of workers.
pub(super) const ROUND: usize = 256;

/// Gas of the cheapest transaction: with less left the block is full (EIP-2; EIP-2780 lowers it
/// from Amsterdam, by less than this matters).
const CHEAPEST: u64 = 21_000;

/// Where a builder's transactions come from.
///
/// It is asked for up to 256 transactions at a time; they run as if one after the other, and
/// then it hears which of them were left out.
pub trait TransactionPool {
    /// The next transaction, or `None` if there is none worth trying; every pool comes to that end.
    /// `gas_left` is what the block has room for if those before it in this round use all of
    /// their limits.
    fn next(&mut self, gas_left: u64) -> Option<TxEnv>;

    /// `tx` was left out. After [`Rejection::Invalid`] the rest of its sender is probably of no
    /// use either; after [`Rejection::BlockGas`] the block is too full for it.
    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection);
}

/// A block that was built from a pool.
#[derive(Debug)]
#[non_exhaustive]
pub struct BuiltBlock {
    /// The block with all transactions that were pulled, in order, skipped ones
    /// included: [`BlockOutput::outcomes`] tells which. Where a token has ended the filling, what
    /// was pulled and has not run is not there.
    pub block: Arc<Block>,
    /// The result.
    pub output: BlockOutput,
}

impl<S: StateSource> Session<S> {
    /// Asks `pool` for a round of transactions; `false` if there is nothing to run.
    pub(super) fn pull(&mut self, pool: &mut dyn TransactionPool) -> bool {
        // The ledger lets go of the block, so that it is extended in place.
        self.ledger.set_block(Arc::default());
        let workload = Arc::make_mut(&mut self.workload);
        let cancel = workload.cancel.clone();
        let is_cancelled = || cancel.as_ref().is_some_and(CancellationToken::is_cancelled);
        let block = Arc::make_mut(&mut workload.block_context_mut().block);
        let before = block.transactions.len();
        let used = self.ledger.gas().admitted(block);
        let waiting = block.transactions.iter().skip(self.frontier.position());
        let spoken_for = waiting.fold(used, |sum, tx| sum.saturating_add(tx.gas_limit));
        let mut left = block.env.gas_limit.saturating_sub(spoken_for);
        while block.transactions.len() - before < ROUND && left >= CHEAPEST && !is_cancelled() {
            let Some(tx) = pool.next(left) else { break };
            left = left.saturating_sub(tx.gas_limit);
            block.transactions.push(tx);
        }
        let waiting = block.transactions.len() > self.frontier.position();
        self.ledger.set_block(Arc::clone(&self.workload.block_context.block));
        waiting
    }

    /// The block has no transactions but the ones that have run.
    pub(super) fn leave_rest(&mut self) {
        let keeps = is_evm_mutant!(self.workload.block_context.mutant, RestOfPoolKept);
        self.ledger.set_block(Arc::default());
        let workload = Arc::make_mut(&mut self.workload);
        let block = Arc::make_mut(&mut workload.block_context_mut().block);
        if !keeps {
            block.transactions.truncate(self.frontier.position());
        }
        self.ledger.set_block(Arc::clone(&self.workload.block_context.block));
    }

    /// Tells `pool` what was left out from `first` on.
    pub(super) fn tell(&self, first: TxIndex, pool: &mut dyn TransactionPool) {
        let transactions = &self.workload.block_context.block.transactions;
        let outcomes = transactions.iter().zip(&self.ledger.outcomes).skip(first.position());
        for (tx, outcome) in outcomes {
            if let Err(reason) = outcome {
                pool.skipped(tx, reason);
            }
        }
    }
}
