//! Splits the results of transactions into outcomes and receipts.

use super::output::{Executed, ExecutedStatus, Outcome};
use crate::evm::exec::balances::ChangedBalances;
use crate::evm::exec::input::Block;
use crate::evm::exec::rejection::Rejection;
use crate::evm::exec::tx_output::{TxOutcome, TxOutput};
use alloy_consensus::{EthereumReceipt, TxType};
use alloy_primitives::{Address, Log};
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;

/// Outcomes of all transactions, and receipts of the executed ones.
pub(in crate::evm) type OutcomesAndReceipts = (Vec<Outcome>, Vec<EthereumReceipt>);

/// Collects outcomes and receipts of a contiguous range of a block's transactions.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct OutcomesBuilder {
    /// Index of the first transaction in `outcomes`.
    first: usize,
    outcomes: Vec<Outcome>,
    receipts: Vec<EthereumReceipt>,
    cumulative_gas_used: u64,
    loggers: Loggers,
}

/// Bloom filter of the addresses that emitted logs, with the bits of [`ChangedBalances`].
#[derive(Clone, Copy, Debug, Default)]
struct Loggers([u64; ChangedBalances::WORDS]);

impl Loggers {
    fn add(&mut self, address: Address) {
        let (word, bit) = ChangedBalances::word_and_bit(address);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn add_all(&mut self, others: Self) {
        self.0.iter_mut().zip(others.0).for_each(|(own, others)| *own |= others);
    }

    fn may_have(&self, address: Address) -> bool {
        let (word, bit) = ChangedBalances::word_and_bit(address);
        self.0.get(word).is_none_or(|word| word & bit != 0)
    }
}

impl OutcomesBuilder {
    /// Creates an empty builder for transactions from `first` on, with room for `transactions`
    /// transactions.
    pub(in crate::evm) fn with_capacity(first: usize, transactions: usize) -> Self {
        Self {
            first,
            outcomes: Vec::with_capacity(transactions),
            receipts: Vec::with_capacity(transactions),
            ..Self::default()
        }
    }

    /// Reserves room for the transactions below `end`.
    pub(in crate::evm) fn expect(&mut self, end: usize) {
        let more = end.saturating_sub(self.end());
        self.outcomes.reserve(more);
        self.receipts.reserve(more);
    }

    /// Adds the outcome of the next transaction, `tx`. Moves the result out of `outcome`.
    pub(in crate::evm) fn take(&mut self, tx: &TxEnv, outcome: &mut TxOutcome) {
        match outcome {
            Ok(Some(output)) => self.add_executed(tx, TxOutput::take_result(output)),
            Ok(None) => unreachable!("the result was added to this builder before"),
            Err(rejection) => self.add_skipped(rejection.clone()),
        }
    }

    /// Adds a skipped transaction.
    pub(in crate::evm) fn add_skipped(&mut self, rejection: Rejection) {
        if mutant!(SkipReceiptKept) {
            let cumulative_gas_used = self.cumulative_gas_used;
            self.receipts.push(EthereumReceipt { cumulative_gas_used, ..Default::default() });
        }
        self.outcomes.push(Outcome::Skipped(rejection));
    }

    /// Adds the result of the next transaction, `tx`.
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
        // Record the emitters now, while the logs are in the processor's cache.
        logs.iter().for_each(|log| loggers.add(log.address));
        let tx_type = TxType::try_from(tx.tx_type).unwrap_or_default();
        let cumulative_gas_used = *cumulative_gas_used;
        receipts.push(EthereumReceipt { tx_type, success, cumulative_gas_used, logs });
        outcomes.push(Outcome::Executed(Executed { status, gas }));
    }

    /// Appends the outcomes and receipts of the next transactions.
    pub(in crate::evm) fn append(&mut self, mut later: Self) {
        // Moving the other builder is cheaper than growing this one.
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

    /// Index of the first transaction.
    pub(in crate::evm) const fn first(&self) -> usize {
        self.first
    }

    /// Index after the last transaction.
    pub(in crate::evm) const fn end(&self) -> usize {
        self.first + self.outcomes.len()
    }

    /// Logs of all transactions in block order, or none if no log can be from `address`.
    pub(in crate::evm) fn logs_with(&self, address: Address) -> impl Iterator<Item = &Log> {
        let receipts = self.loggers.may_have(address).then_some(&self.receipts);
        receipts.into_iter().flatten().flat_map(|receipt| &receipt.logs)
    }

    /// Adds the missing transactions and returns all outcomes and receipts. `results` has an entry
    /// for every transaction of `block`.
    pub(in crate::evm) fn complete(
        mut self,
        block: &Block,
        results: Vec<TxOutcome>,
    ) -> OutcomesAndReceipts {
        let first = self.end();
        self.expect(results.len());
        for (tx, mut result) in block.transactions.iter().zip(results).skip(first) {
            self.take(tx, &mut result);
        }
        (self.outcomes, self.receipts)
    }
}
