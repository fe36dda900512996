//! A whole state in memory.

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use revm::{database::BundleState, state::Bytecode};
use std::{collections::BTreeMap, sync::Arc};

/// An account with its code and storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainAccount {
    /// Balance in wei.
    pub balance: U256,
    /// Number of transactions sent or, for a contract, of contracts created plus one.
    pub nonce: u64,
    /// Code; empty if there is none.
    pub code: Bytecode,
    /// Slots that are not 0.
    pub storage: BTreeMap<U256, U256>,
}

impl PlainAccount {
    /// Returns whether the account is empty as defined by EIP-161.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.balance.is_zero() && self.nonce == 0 && self.code.is_empty()
    }

    /// Returns the Keccak-256 hash of the code.
    #[must_use]
    pub fn code_hash(&self) -> B256 {
        if self.code.is_empty() { KECCAK256_EMPTY } else { self.code.hash_slow() }
    }

    /// Returns the account's leaf in the state trie.
    fn leaf(&self) -> TrieAccount {
        let slots = self.storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
        TrieAccount {
            nonce: self.nonce,
            balance: self.balance,
            storage_root: storage_root_unhashed(slots),
            code_hash: self.code_hash(),
        }
    }
}

/// All accounts. Copies share the accounts that do not differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainState {
    accounts: BTreeMap<Address, Arc<PlainAccount>>,
}

impl PlainState {
    /// Returns the account at `address`, if there is one.
    #[must_use]
    pub fn get(&self, address: &Address) -> Option<&PlainAccount> {
        self.accounts.get(address).map(AsRef::as_ref)
    }

    /// Inserts an account, without slots of 0, which a trie does not have.
    pub fn insert(&mut self, address: Address, mut account: PlainAccount) {
        account.storage.retain(|_, value| !value.is_zero());
        self.accounts.insert(address, Arc::new(account));
    }

    /// Changes the account at `address`; a missing one starts empty. Slots of 0 are removed
    /// afterwards.
    pub fn update(&mut self, address: Address, change: impl FnOnce(&mut PlainAccount)) {
        let account = Arc::make_mut(self.accounts.entry(address).or_default());
        change(account);
        account.storage.retain(|_, value| !value.is_zero());
    }

    /// Removes an account.
    pub fn remove(&mut self, address: &Address) {
        self.accounts.remove(address);
    }

    /// Returns all accounts, by address.
    pub fn iter(&self) -> impl Iterator<Item = (&Address, &PlainAccount)> {
        self.accounts.iter().map(|(address, account)| (address, account.as_ref()))
    }

    /// Applies the changes of the block with this `bundle`.
    pub fn apply(&mut self, bundle: &BundleState) {
        for (address, changed) in &bundle.state {
            let Some(info) = &changed.info else {
                self.accounts.remove(address);
                continue;
            };
            let account = Arc::make_mut(self.accounts.entry(*address).or_default());
            account.balance = info.balance;
            account.nonce = info.nonce;
            if account.code_hash() != info.code_hash {
                let code = bundle.contracts.get(&info.code_hash).or(info.code.as_ref());
                account.code = code.cloned().unwrap_or_default();
            }
            if changed.was_destroyed() {
                account.storage.clear();
            }
            for (slot, value) in &changed.storage {
                if value.present_value.is_zero() {
                    account.storage.remove(slot);
                } else {
                    account.storage.insert(*slot, value.present_value);
                }
            }
        }
    }

    /// Returns the root of the state trie.
    #[must_use]
    pub fn root(&self) -> B256 {
        let leaves = self.accounts.iter().map(|(address, account)| (*address, account.leaf()));
        state_root_unhashed(leaves)
    }
}
