//! The state before a block, written directly: no transaction deploys anything.

use crate::block_file::PreAccount;
use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use revm::database::{BundleAccount, BundleState};
use std::collections::BTreeMap;

/// Accounts, storage and codes of a generated state.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Accounts by address; others do not exist.
    pub(super) accounts: BTreeMap<Address, PreAccount>,
    /// Codes by hash.
    pub(super) codes: BTreeMap<B256, Bytes>,
}

impl State {
    /// Returns the account at `address`, which is empty if it is new.
    pub(super) fn account(&mut self, address: Address) -> &mut PreAccount {
        self.accounts.entry(address).or_default()
    }

    /// Creates an account with `balance` wei; an existing one stays as it is.
    pub(super) fn fund(&mut self, address: Address, balance: U256) {
        self.accounts
            .entry(address)
            .or_insert_with(|| PreAccount { balance, ..Default::default() });
    }

    /// Makes `address` a contract with this code, as if it had been deployed: its nonce is 1.
    pub(super) fn deploy(&mut self, address: Address, (hash, code): (B256, Bytes)) {
        self.codes.entry(hash).or_insert(code);
        let account = self.account(address);
        account.nonce = 1;
        account.code_hash = Some(hash);
    }

    /// Makes `address` a contract with code that is in no artifact.
    pub(super) fn deploy_code(&mut self, address: Address, code: &Bytes) {
        self.deploy(address, (keccak256(code), code.clone()));
    }

    /// Sets a slot. Zero removes it: a slot that is not listed is zero.
    pub(super) fn set(&mut self, address: Address, slot: U256, value: U256) {
        let storage = &mut self.account(address).storage;
        if value.is_zero() {
            storage.remove(&slot);
        } else {
            storage.insert(slot, value);
        }
    }

    /// Returns the value of a slot.
    pub(super) fn get(&self, address: Address, slot: U256) -> U256 {
        let account = self.accounts.get(&address);
        account.and_then(|account| account.storage.get(&slot)).copied().unwrap_or_default()
    }
    /// Applies the changes of a block.
    pub(super) fn apply(&mut self, bundle: &BundleState) {
        for (hash, code) in &bundle.contracts {
            self.codes.insert(*hash, code.original_bytes());
        }
        for (address, change) in &bundle.state {
            self.change(*address, change);
        }
    }

    fn change(&mut self, address: Address, change: &BundleAccount) {
        let Some(info) = &change.info else {
            self.accounts.remove(&address);
            return;
        };
        let account = self.account(address);
        account.balance = info.balance;
        account.nonce = info.nonce;
        account.code_hash = (info.code_hash != KECCAK_EMPTY).then_some(info.code_hash);
        if change.was_destroyed() {
            account.storage.clear();
        }
        for (slot, value) in &change.storage {
            self.set(address, *slot, value.present_value);
        }
    }

    /// Returns the root of the state trie.
    pub(super) fn root(&self) -> B256 {
        state_root_unhashed(self.accounts.iter().map(|(address, account)| {
            let slots = account.storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
            let account = TrieAccount {
                nonce: account.nonce,
                balance: account.balance,
                storage_root: storage_root_unhashed(slots),
                code_hash: account.code_hash.unwrap_or(KECCAK_EMPTY),
            };
            (*address, account)
        }))
    }
}
