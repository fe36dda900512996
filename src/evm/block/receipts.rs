//! Splits what became of the transactions into outcomes and receipts.

use super::output::{Executed, ExecutedStatus, Outcome};
use crate::evm::exec::balances::Moved;
use crate::evm::exec::input::Block;
use crate::evm::exec::rejection::Rejection;
use crate::evm::exec::tx_output::{TxOutcome, TxOutput};
use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use alloy_consensus::{EthereumReceipt, TxType};
use alloy_primitives::{Address, Log};
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;

/// Outcomes of all transactions, receipts of the executed ones.
pub(in crate::evm) type OutcomesAndReceipts = (Vec<Outcome>, Vec<EthereumReceipt>);

/// Outcomes and receipts of the first transactions of a block, or of others that follow each other.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct OutcomesBuilder {
    /// Whose outcome is the first one.
    first: usize,
    outcomes: Vec<Outcome>,
    receipts: Vec<EthereumReceipt>,
    cumulative_gas_used: u64,
    loggers: Loggers,
}

/// Whose logs there are, and others that fall into the same places, which are those of [`Moved`].
#[derive(Clone, Copy, Debug, Default)]
struct Loggers([u64; Moved::WORDS]);

impl Loggers {
    fn add(&mut self, address: Address) {
        let (word, bit) = Moved::place(address);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn add_all(&mut self, others: Self) {
        self.0.iter_mut().zip(others.0).for_each(|(own, others)| *own |= others);
    }

    fn may_have(&self, address: Address) -> bool {
        let (word, bit) = Moved::place(address);
        self.0.get(word).is_none_or(|word| word & bit != 0)
    }
}

impl OutcomesBuilder {
    /// No results yet; reserves room for those of `transactions` transactions from `first` on.
    pub(in crate::evm) fn with_capacity(first: usize, transactions: usize) -> Self {
        Self {
            first,
            outcomes: Vec::with_capacity(transactions),
            receipts: Vec::with_capacity(transactions),
            ..Self::default()
        }
    }

    /// Makes room for those below `end`.
    pub(in crate::evm) fn expect(&mut self, end: usize) {
        let more = end.saturating_sub(self.end());
        self.outcomes.reserve(more);
        self.receipts.reserve(more);
    }

    /// Adds what became of `tx`, which is the next one. Its result is not in `outcome` any more
    /// then.
    pub(in crate::evm) fn take(&mut self, tx: &TxEnv, outcome: &mut TxOutcome, mutant: EvmMutant) {
        match outcome {
            Ok(Some(output)) => self.add_executed(tx, TxOutput::take_result(output)),
            Ok(None) => unreachable!("what has no result there was added before"),
            Err(rejection) => self.add_skipped(rejection.clone(), mutant),
        }
    }

    /// Adds a transaction that was left out.
    pub(in crate::evm) fn add_skipped(&mut self, rejection: Rejection, mutant: EvmMutant) {
        if is_evm_mutant!(mutant, SkipReceiptKept) {
            let cumulative_gas_used = self.cumulative_gas_used;
            self.receipts.push(EthereumReceipt { cumulative_gas_used, ..Default::default() });
        }
        self.outcomes.push(Outcome::Skipped(rejection));
    }

    /// Adds the result of `tx`, which is the next one.
    pub(in crate::evm) fn add_executed(&mut self, tx: &TxEnv, result: ExecutionResult) {
        let Self { outcomes, receipts, cumulative_gas_used, loggers, .. } = self;
        *cumulative_gas_used = cumulative_gas_used.saturating_add(result.tx_gas_used());
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
        // They are in the cache here.
        logs.iter().for_each(|log| loggers.add(log.address));
        let tx_type = TxType::try_from(tx.tx_type).unwrap_or_default();
        let cumulative_gas_used = *cumulative_gas_used;
        receipts.push(EthereumReceipt { tx_type, success, cumulative_gas_used, logs });
        outcomes.push(Outcome::Executed(Executed { status, gas }));
    }

    /// Adds the outcomes and receipts that come next.
    pub(in crate::evm) fn append(&mut self, mut later: Self) {
        // Better than room for both.
        let is_first = self.end() == 0 && later.first == 0;
        if is_first && self.outcomes.capacity() < later.outcomes.len() {
            *self = later;
            return;
        }
        let before = self.cumulative_gas_used;
        for receipt in &mut later.receipts {
            receipt.cumulative_gas_used = receipt.cumulative_gas_used.saturating_add(before);
        }
        self.cumulative_gas_used = before.saturating_add(later.cumulative_gas_used);
        self.loggers.add_all(later.loggers);
        self.outcomes.append(&mut later.outcomes);
        self.receipts.append(&mut later.receipts);
    }

    /// The first transaction.
    pub(in crate::evm) const fn first(&self) -> usize {
        self.first
    }

    /// The transaction after the last one.
    pub(in crate::evm) const fn end(&self) -> usize {
        self.first + self.outcomes.len()
    }

    /// The logs of all of them, in order, if any may be of `address`.
    pub(in crate::evm) fn logs_with(&self, address: Address) -> impl Iterator<Item = &Log> {
        let receipts = self.loggers.may_have(address).then_some(&self.receipts);
        receipts.into_iter().flatten().flat_map(|receipt| &receipt.logs)
    }

    /// Adds those of `results`, which are of all transactions of `block`, that it does not have.
    pub(in crate::evm) fn complete(
        mut self,
        block: &Block,
        results: Vec<TxOutcome>,
        mutant: EvmMutant,
    ) -> OutcomesAndReceipts {
        let first = self.end();
        self.expect(results.len());
        for (tx, mut result) in block.transactions.iter().zip(results).skip(first) {
            self.take(tx, &mut result, mutant);
        }
        (self.outcomes, self.receipts)
    }
}
