//! What every worker of a block needs to build its EVM.

use super::balances::Moved;
use super::bundle_shards::BundleShards;
use super::extensions::Extensions;
use super::input::Block;
use super::payees::Payees;
use super::tx_output::TxOutput;
use crate::config::Mode;
use crate::evm::bal::accesses::{Accesses, Kept};
use crate::evm::bal::claims::{Claims, index_of};
use crate::evm::bal::mismatch::AccessListMismatch;
use crate::evm::fees::deferred::Deferred;
use crate::evm::fees::reward::Reward;
use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use crate::ids::TxIndex;
use alloy_primitives::Address;
use revm::context::TxEnv;
use revm::context_interface::Transaction;
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

/// What all workers of a block need to build their EVM.
#[derive(Clone, Debug)]
pub(in crate::evm) struct BlockContext {
    pub(in crate::evm) block: Arc<Block>,
    pub(in crate::evm) extensions: Extensions,
    /// Whether rewards are deferred.
    pub(in crate::evm) defers: bool,
    /// Accounts that transactions can pay without a look at their balances.
    pub(in crate::evm) payees: Payees,
    /// Whether surcharges are.
    pub(in crate::evm) defers_surcharge: bool,
    /// Whether the transactions of a chunk share a journal.
    pub(in crate::evm) shares: bool,
    /// Whether KECCAK256 remembers.
    pub(in crate::evm) caches_keccak: bool,
    /// Whether an access list is asked for.
    pub(in crate::evm) lists: bool,
    /// The list that the block comes with.
    pub(in crate::evm) claims: Option<Arc<Claims>>,
    /// Whether private batches read what the list says of the state below each transaction.
    pub(in crate::evm) reads_claims: bool,
    /// How accounts are shared out when the bundle is built.
    pub(in crate::evm) bundle_shards: BundleShards,
    /// Whose balance transactions of the block have changed, of accounts with code.
    pub(in crate::evm) moved: Arc<Moved>,
    /// The transaction that the EVM holds before its first one.
    pub(in crate::evm) blank: TxEnv,
    /// A bug to seed, for tests of the tests.
    pub(in crate::evm) mutant: EvmMutant,
}

impl BlockContext {
    /// Whether transactions of private batches pay without a look, too: whatever looks says so, and
    /// no list tells the balances.
    pub(in crate::evm) fn pays_unseen_in_batches(&self) -> bool {
        !self.payees.is_empty() && self.extensions.is_announced() && !self.records_accesses()
    }

    /// Whom private batches pay like that.
    pub(in crate::evm) fn paid_in_batches(&self) -> &Payees {
        if self.pays_unseen_in_batches() { &self.payees } else { Payees::NONE }
    }

    /// Those of the payees that are not the beneficiary.
    pub(in crate::evm) fn other_payees(&self) -> impl Iterator<Item = Address> {
        self.payees.iter().filter(|payee| *payee != self.block.env.beneficiary)
    }

    /// Whether the first transaction pays the beneficiary a fee, or the block is invalid.
    pub(in crate::evm) fn first_pays(&self, mode: Mode) -> bool {
        let Self { block, extensions, .. } = self;
        let is_burnt = block.cfg.spec.is_enabled_in(SpecId::LONDON);
        let base_fee = if is_burnt { u128::from(block.env.basefee) } else { 0 };
        let tip = |tx: &TxEnv| tx.effective_gas_price(base_fee).saturating_sub(base_fee);
        let tip = block.transactions.first().map_or(0, tip);
        // The fee of a higher tip may be zero: revm multiplies modulo 2^128.
        let is_fee = tip > 0 && tip <= u128::from(u64::MAX);
        is_fee && mode == Mode::Validate && !extensions.has_own_evm()
    }

    /// Whether transactions declare what they access.
    pub(in crate::evm) fn is_declared(&self) -> bool {
        self.block.rules.declared_accesses
    }

    /// Whether it is recorded what transactions access.
    pub(in crate::evm) fn records_accesses(&self) -> bool {
        self.uses_list() || self.is_declared()
    }

    /// Whether the block's access list is asked for, or it comes with one.
    pub(in crate::evm) const fn uses_list(&self) -> bool {
        self.lists || self.claims.is_some()
    }

    /// The list that the block comes with, if it tells private batches the state.
    pub(in crate::evm) fn told_claims(&self) -> Option<&Claims> {
        self.claims.as_deref().filter(|_| self.reads_claims)
    }

    /// What `tx` has accessed, if that is what the block's list says of it: all of it if an access
    /// list is asked for, else what has to be kept.
    pub(in crate::evm) fn compared(
        &self,
        tx: TxIndex,
        accesses: &Accesses,
    ) -> Result<Kept, Box<AccessListMismatch>> {
        let is_checked = !is_evm_mutant!(self.mutant, ClaimUnchecked);
        let marks = match self.claims.as_ref().filter(|_| is_checked) {
            Some(claims) => claims.compare(index_of(tx), accesses)?,
            None => Vec::new(),
        };
        let accesses = self.lists.then(|| Box::new(accesses.clone()));
        Ok(Kept { accesses, marks: marks.into(), undeclared: None })
    }

    /// Accounts for which something may be deferred. They are known before the block.
    pub(in crate::evm) fn receivers(&self) -> impl Iterator<Item = Address> {
        let beneficiary = Some(self.block.env.beneficiary).filter(|_| self.defers);
        let surcharge = self.extensions.surcharge.as_ref().filter(|_| self.defers_surcharge);
        let surcharge = surcharge.map(|surcharge| surcharge.receiver());
        [beneficiary, surcharge].into_iter().flatten().chain(self.other_payees())
    }

    /// What `output` has deferred, and for whom: no account twice.
    pub(in crate::evm) fn rewards(
        &self,
        output: &TxOutput,
    ) -> impl Iterator<Item = (Address, Reward)> {
        let touch_creates = !self.block.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        let Deferred { rewards, surcharges, payments } = &output.deferred;
        let receiver = self.extensions.surcharge.as_ref().map(|surcharge| surcharge.receiver());
        let rewards = rewards.iter().map(|amount| (self.block.env.beneficiary, *amount));
        let surcharges = surcharges.iter().filter_map(move |amount| Some((receiver?, *amount)));
        let mutant = self.mutant;
        let reward = move |(to, amount)| (to, Reward { amount, touch_creates, mutant });
        rewards.chain(surcharges).chain(payments.iter().copied()).map(reward)
    }
}
