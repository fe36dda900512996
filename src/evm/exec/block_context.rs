//! Everything that the workers of a block need to build their EVMs.

use super::balances::ChangedBalances;
use super::bundle_shards::BundleShards;
use super::extensions::Extensions;
use super::input::Block;
use super::payees::Payees;
use super::tx_output::TxOutput;
use crate::config::Mode;
use crate::evm::bal::accesses::{AccessRecords, Accesses};
use crate::evm::bal::mismatch::AccessListMismatch;
use crate::evm::bal::prepared_list::{PreparedList, index_of};
use crate::evm::fees::blind_credits::BlindCredits;
use crate::evm::fees::reward::Reward;
use crate::ids::TxIndex;
use alloy_primitives::Address;
use revm::context::TxEnv;
use revm::context_interface::Transaction;
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

/// Everything that the workers of a block need to build their EVMs.
#[derive(Clone, Debug)]
pub(in crate::evm) struct BlockContext {
    pub(in crate::evm) block: Arc<Block>,
    pub(in crate::evm) extensions: Extensions,
    /// Whether the beneficiary's rewards are blind credits.
    pub(in crate::evm) has_blind_rewards: bool,
    /// Accounts that transactions can pay without reading their balances.
    pub(in crate::evm) payees: Payees,
    /// Whether surcharges are blind credits.
    pub(in crate::evm) has_blind_surcharges: bool,
    /// Whether the transactions of a chunk share a journal.
    pub(in crate::evm) shares_journals: bool,
    /// Whether KECCAK256 uses a cache.
    pub(in crate::evm) caches_keccak: bool,
    /// Whether the caller has requested an access list.
    pub(in crate::evm) builds_list: bool,
    /// The block's access list.
    pub(in crate::evm) access_list: Option<Arc<PreparedList>>,
    /// Whether private batches read the state below each transaction from the block's list.
    pub(in crate::evm) reads_list: bool,
    /// Assignment of accounts to shards for building the bundle.
    pub(in crate::evm) bundle_shards: BundleShards,
    /// Accounts with code whose balances transactions of the block have changed.
    pub(in crate::evm) changed_balances: Arc<ChangedBalances>,
    /// Placeholder transaction that the EVM holds before its first one.
    pub(in crate::evm) blank: TxEnv,
}

impl BlockContext {
    /// Whether private batches, too, pay without reading balances. They do if every balance read is
    /// announced and accesses are not recorded.
    pub(in crate::evm) fn batches_credit_blindly(&self) -> bool {
        !self.payees.is_empty()
            && self.extensions.announces_balance_reads()
            && !self.records_accesses()
    }

    /// The accounts that private batches can pay without reading their balances.
    pub(in crate::evm) fn batch_payees(&self) -> &Payees {
        if self.batches_credit_blindly() { &self.payees } else { Payees::NONE }
    }

    /// The payees other than the beneficiary.
    pub(in crate::evm) fn other_payees(&self) -> impl Iterator<Item = Address> {
        self.payees.iter().filter(|payee| *payee != self.block.env.beneficiary)
    }

    /// Whether the first transaction of a valid block is certain to pay a fee to the beneficiary.
    pub(in crate::evm) fn first_tx_pays_fee(&self, mode: Mode) -> bool {
        let Self { block, extensions, .. } = self;
        let is_burnt = block.cfg.spec.is_enabled_in(SpecId::LONDON);
        let base_fee = if is_burnt { u128::from(block.env.basefee) } else { 0 };
        let tip = |tx: &TxEnv| tx.effective_gas_price(base_fee).saturating_sub(base_fee);
        let tip = block.transactions.first().map_or(0, tip);
        // With a higher tip the fee may be zero, because revm multiplies modulo 2^128.
        let is_fee = tip > 0 && tip <= u128::from(u64::MAX);
        is_fee && mode == Mode::Validate && !extensions.has_custom_evm()
    }

    /// Whether transactions declare their accesses.
    pub(in crate::evm) fn is_declared(&self) -> bool {
        self.block.rules.declared_accesses
    }

    /// Whether the accesses of transactions are recorded.
    pub(in crate::evm) fn records_accesses(&self) -> bool {
        self.uses_list() || self.is_declared()
    }

    /// Whether the caller has requested an access list, or the block comes with one.
    pub(in crate::evm) const fn uses_list(&self) -> bool {
        self.builds_list || self.access_list.is_some()
    }

    /// The block's access list, if private batches read their state from it.
    pub(in crate::evm) fn readable_list(&self) -> Option<&PreparedList> {
        self.access_list.as_deref().filter(|_| self.reads_list)
    }

    /// Compares the accesses of `tx` with the block's list. Returns the marks for the comparison at
    /// the end of the block and, if a list was requested, all accesses.
    pub(in crate::evm) fn compare_accesses(
        &self,
        tx: TxIndex,
        accesses: &Accesses,
    ) -> Result<AccessRecords, Box<AccessListMismatch>> {
        let is_checked = !mutant!(ClaimUnchecked);
        let marks = match self.access_list.as_ref().filter(|_| is_checked) {
            Some(list) => list.compare(index_of(tx), accesses)?,
            None => Vec::new(),
        };
        let accesses = self.builds_list.then(|| Box::new(accesses.clone()));
        Ok(AccessRecords { accesses, marks: marks.into(), undeclared: None })
    }

    /// Accounts that may receive blind credits, as determined before the block runs.
    pub(in crate::evm) fn receivers(&self) -> impl Iterator<Item = Address> {
        let beneficiary = Some(self.block.env.beneficiary).filter(|_| self.has_blind_rewards);
        let surcharge = self.extensions.surcharge.as_ref().filter(|_| self.has_blind_surcharges);
        let surcharge = surcharge.map(|surcharge| surcharge.receiver());
        [beneficiary, surcharge].into_iter().flatten().chain(self.other_payees())
    }

    /// Blind credits of `output` with their recipients, each account at most once.
    pub(in crate::evm) fn rewards(
        &self,
        output: &TxOutput,
    ) -> impl Iterator<Item = (Address, Reward)> {
        let touch_creates = !self.block.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        let BlindCredits { rewards, surcharges, payments } = &output.credits;
        let receiver = self.extensions.surcharge.as_ref().map(|surcharge| surcharge.receiver());
        let rewards = rewards.iter().map(|amount| (self.block.env.beneficiary, *amount));
        let surcharges = surcharges.iter().filter_map(move |amount| Some((receiver?, *amount)));
        let reward = move |(to, amount)| (to, Reward { amount, touch_creates });
        rewards.chain(surcharges).chain(payments.iter().copied()).map(reward)
    }
}
