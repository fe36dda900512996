//! Features of a block, its executor and its caller before any transaction runs.

use super::choice::Choice;
use super::known::KnownDependencies;
use super::partition::first_batch;
use super::strategy::{Reason, Strategy};
use super::tx::{looks_independent, mean_gas, probable_gas, starts_disjoint, weigh};
use crate::config::Config;
use crate::config::{Forced, Policy};
use crate::evm::exec::input::Block;
use crate::evm::exec::payees::Payees;
use crate::thresholds::{
    LARGE_BLOCK_TXS, MAX_CONCURRENT_FOLD_WORKERS, MIN_BATCHES_PER_WORKER, MIN_BUNDLE_THREAD_TXS,
    MIN_PARALLEL_GAS, SHORT_TX_GAS_LIMIT,
};

/// Use of the block's access list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::evm) enum ListUse {
    /// The block has no list.
    Nothing,
    /// Each transaction is compared with the list.
    Compared,
    /// Transactions are compared with the list and read from it.
    Read,
}

/// Settings of the executor and the caller.
#[derive(Clone, Copy, Debug)]
pub(in crate::evm) struct Setting {
    pub(in crate::evm) workers: usize,
    /// Whether storage is slow and there are more workers than cores.
    pub(in crate::evm) is_wide: bool,
    /// Whether transactions of a private batch can share a journal.
    pub(in crate::evm) shares_journals: bool,
    pub(in crate::evm) list: ListUse,
    /// Whether a pool provides the transactions round by round, so that most are not known yet.
    pub(in crate::evm) is_pool: bool,
}

/// Features of a block before it runs.
#[derive(Debug)]
pub(in crate::evm) struct Features {
    pub(in crate::evm) policy: Policy,
    pub(in crate::evm) setting: Setting,
    /// Whether feedback from earlier blocks is used.
    pub(in crate::evm) learns: bool,
    pub(in crate::evm) transactions: usize,
    /// Probable gas, in total and per transaction.
    pub(in crate::evm) gas: u64,
    pub(in crate::evm) mean_gas: u64,
    /// Whether one sender has most of the probable gas.
    pub(in crate::evm) has_one_sender: bool,
    /// Dependencies by the declared accesses, until the execution of the block takes them.
    pub(in crate::evm) declared: Option<Box<KnownDependencies>>,
    /// Whether one chain of declared dependencies has most of the probable gas.
    pub(in crate::evm) is_declared_chain: bool,
    /// Number of transactions of each first contiguous batch.
    pub(in crate::evm) first_batch: usize,
    /// Reason to expect that contiguous batches do not conflict, if there is one.
    pub(in crate::evm) contiguous: Option<Reason>,
}

impl Features {
    /// Computes the features of `block`; payments to `payees` are blind credits. If the policy or a
    /// single worker leaves nothing to decide, features of the transactions are not computed.
    pub(in crate::evm) fn of(
        block: &Block,
        payees: &Payees,
        config: &Config,
        setting: Setting,
    ) -> Self {
        let transactions = &block.transactions;
        let mut features = Self {
            policy: config.policy,
            setting,
            learns: config.learn,
            transactions: transactions.len(),
            gas: 0,
            mean_gas: 0,
            has_one_sender: false,
            declared: None,
            is_declared_chain: false,
            first_batch: 0,
            contiguous: None,
        };
        if !features.has_choice() || setting.is_pool {
            return features;
        }
        let weight = |tx| (tx, probable_gas(block, tx));
        let weights = transactions.iter().map(weight);
        let weights = weights.map(|(tx, gas)| (tx.caller, u128::from(gas)));
        let (gas, leader) = weigh(weights);
        features.gas = u64::try_from(gas).unwrap_or(u64::MAX);
        features.has_one_sender = leader.is_some();
        // With a list to read or compare, transactions do not wait for declared dependencies.
        let is_unlisted = matches!(setting.list, ListUse::Nothing);
        let declared = is_unlisted.then(|| KnownDependencies::declared(block)).flatten();
        features.declared = declared.map(Box::new);
        features.is_declared_chain =
            features.declared.as_ref().is_some_and(|known| known.is_chain(features.gas));
        features.mean_gas = mean_gas(block);
        features.first_batch = first_batch(block);
        features.contiguous = features.contiguous_reason(block, payees);
        features
    }

    /// Whether there is a choice of strategy.
    pub(super) const fn has_choice(&self) -> bool {
        matches!(self.policy, Policy::Auto) && self.setting.workers > 1
    }

    /// Whether private batches may be tried without a list. Not on slow storage: with more workers
    /// than cores, a worker that waits for another blocks no core.
    pub(super) const fn may_batch(&self) -> bool {
        let Setting { is_wide, shares_journals, is_pool, list, .. } = self.setting;
        let is_listed = !matches!(list, ListUse::Nothing);
        self.has_choice() && !is_wide && shares_journals && !is_pool && !is_listed
    }

    fn contiguous_reason(&self, block: &Block, payees: &Payees) -> Option<Reason> {
        let transactions = &block.transactions;
        let first = self.first_batch;
        let least = MIN_BATCHES_PER_WORKER * self.setting.workers * first;
        match transactions.len() {
            _ if !self.may_batch() => None,
            LARGE_BLOCK_TXS.. => {
                starts_disjoint(transactions, payees, first).then_some(Reason::DisjointStart)
            }
            short if short < least => None,
            _ => looks_independent(transactions, payees).then_some(Reason::Independent),
        }
    }

    /// Whether transactions read from the block's access list.
    pub(in crate::evm) fn reads_list(&self) -> bool {
        let may = matches!(self.policy, Policy::Auto | Policy::Forced(Forced::AccessList));
        may && self.setting.list == ListUse::Read && self.sequential_reason().is_none()
    }

    /// Reason to run all transactions outside private batches sequentially, if there is one.
    pub(in crate::evm) fn sequential_reason(&self) -> Option<Reason> {
        match self.policy {
            Policy::Sequential => Some(Reason::Policy),
            Policy::Auto if self.setting.workers < 2 => Some(Reason::OneWorker),
            Policy::Auto => self.reason_not_to_share(),
            _ => None,
        }
    }

    /// Whether the policy forces batches and sequential segments to alternate.
    const fn alternates(&self) -> bool {
        matches!(self.policy, Policy::Forced(Forced::ContiguousBatches))
    }

    /// Whether the bundle is built while the transactions of `choice` run; `None` continues as
    /// before.
    pub(in crate::evm) fn builds_bundle(&self, choice: &Choice) -> Option<bool> {
        match choice.strategy {
            _ if self.alternates() => self.folds_concurrently().then_some(true),
            Strategy::ContiguousBatches | Strategy::AccessList => {
                self.folds_concurrently().then_some(true)
            }
            Strategy::Sequential if !choice.runs_to_end => None,
            Strategy::Speculative => Some(false),
            // Transactions outside batches will run sequentially.
            Strategy::Sequential => Some(self.has_bundle_thread()),
        }
    }

    /// Whether the transactions of `choice`, or later transactions, need a store.
    pub(in crate::evm) fn needs_store(&self, choice: &Choice) -> bool {
        match choice.strategy {
            Strategy::ContiguousBatches | Strategy::AccessList => self.alternates(),
            Strategy::Sequential => {
                choice.runs_to_end
                    || (self.policy == Policy::Forced(Forced::AccessList) && !self.reads_list())
            }
            Strategy::Speculative => true,
        }
    }

    /// Whether another worker folds the changes of transactions that the caller runs sequentially.
    pub(in crate::evm) const fn has_bundle_thread(&self) -> bool {
        self.setting.workers > 1 && self.transactions >= MIN_BUNDLE_THREAD_TXS
    }

    /// Whether a worker also folds the changes of contiguous batches.
    const fn folds_concurrently(&self) -> bool {
        self.setting.workers <= MAX_CONCURRENT_FOLD_WORKERS
    }

    /// Whether `transactions` transactions with this total `gas` are not worth a second worker.
    pub(super) const fn are_cheap(gas: u64, transactions: usize) -> bool {
        gas < SHORT_TX_GAS_LIMIT.saturating_mul(transactions as u64)
    }

    /// Reason why running the transactions on several workers cannot pay, if there is one.
    fn reason_not_to_share(&self) -> Option<Reason> {
        let Setting { workers, is_wide, shares_journals, list, is_pool, .. } = self.setting;
        match list {
            _ if is_pool => return None,
            ListUse::Read => return (self.gas < MIN_PARALLEL_GAS).then_some(Reason::TooLittleGas),
            // On slow storage, speculative runs fetch values for later runs.
            _ if is_wide => return None,
            // The beneficiary's balance is compared after each transaction, so each depends on the
            // fees of the earlier ones.
            ListUse::Compared => return Some(Reason::AccessList),
            ListUse::Nothing => {}
        }
        if self.gas < MIN_PARALLEL_GAS {
            return Some(Reason::TooLittleGas);
        }
        if (workers <= 2 || shares_journals) && Self::are_cheap(self.gas, self.transactions) {
            return Some(Reason::ShortTransactions);
        }
        if self.has_one_sender {
            return Some(Reason::OneSender);
        }
        self.is_declared_chain.then_some(Reason::OneChain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;
    use revm::context::TxEnv;
    use std::num::NonZeroU16;

    /// Reason to run transactions of these senders and gas limits sequentially, if there is one.
    fn sequential(
        gas_by_sender: &[(u8, u64)],
        workers: usize,
        has_bundle_thread: bool,
    ) -> Option<Reason> {
        let tx = |(sender, gas_limit): &(u8, u64)| TxEnv {
            caller: Address::repeat_byte(*sender),
            gas_limit: *gas_limit,
            data: vec![0].into(),
            ..TxEnv::default()
        };
        let mut transactions: Vec<_> = gas_by_sender.iter().map(tx).collect();
        if has_bundle_thread {
            let cycle: Vec<_> =
                transactions.iter().cloned().cycle().take(MIN_BUNDLE_THREAD_TXS).collect();
            transactions = cycle;
        }
        features(Block { transactions, ..Block::default() }, workers).reason_not_to_share()
    }

    fn features(block: Block, workers: usize) -> Features {
        let config = Config::with_workers(NonZeroU16::MIN);
        let setting = Setting {
            workers,
            is_wide: false,
            shares_journals: true,
            list: ListUse::Nothing,
            is_pool: false,
        };
        Features::of(&block, Payees::NONE, &config, setting)
    }

    #[test]
    fn one_sender_with_most_of_the_gas_makes_a_block_serial() {
        let two = |gas: &[(u8, u64)]| sequential(gas, 2, false);
        let one_sender = Some(Reason::OneSender);
        assert_eq!(two(&[(1, 3_000_000), (1, 3_000_000), (2, 1_000_000)]), one_sender);
        let shared = [(1, 3_000_000), (2, 1_000_000), (1, 3_000_000), (3, 2_000_000)];
        assert_eq!(two(&shared), None);
        assert_eq!(two(&[(1, 3_000_000), (2, 3_000_000)]), None);
        let shuffled = [(2, 100_000), (1, 3_000_000), (3, 90_000), (1, 50_000), (4, 100_000)];
        assert_eq!(two(&shuffled), one_sender);
    }

    #[test]
    fn a_block_of_little_gas_is_serial() {
        assert_eq!(sequential(&[(1, 21_000), (2, 21_000)], 2, false), Some(Reason::TooLittleGas));
        assert_eq!(sequential(&[], 2, false), Some(Reason::TooLittleGas));
        // Ninety payments use little gas, whatever their gas limits.
        let wallet = TxEnv { gas_limit: 250_000, ..TxEnv::default() };
        let block = Block { transactions: vec![wallet; 90], ..Block::default() };
        assert_eq!(features(block, 2).reason_not_to_share(), Some(Reason::TooLittleGas));
    }

    #[test]
    fn cheap_transactions_are_not_worth_another_worker() {
        let each = |gas, workers, has_bundle_thread| {
            let transactions: Vec<_> = (0..200).map(|sender| (sender, gas)).collect();
            sequential(&transactions, workers, has_bundle_thread) == Some(Reason::ShortTransactions)
        };
        // Native transfers; a little more; token transfers of two kinds.
        for (gas, is_cheap) in [(21_000, true), (34_000, true), (35_000, false), (60_000, false)] {
            for (workers, has_bundle_thread) in [(2, false), (2, true), (3, false), (3, true)] {
                let found = each(gas, workers, has_bundle_thread);
                assert_eq!(found, is_cheap, "{gas}, {workers} workers, {has_bundle_thread}");
            }
        }
    }
}
