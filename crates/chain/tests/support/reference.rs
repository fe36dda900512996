//! A state in memory to which the sequential oracle's blocks are applied by revm's rules. It shares
//! no code with the chain.

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use braid_blocks::memory::MemoryAccount;
use braid_chain::{
    AccountChange, AccountRecord, DurableBatch, Head, SlotChange, Snapshot, StateReader,
};
use core::{convert::Infallible, fmt::Debug};
use revm::{
    DatabaseRef,
    database::{BundleState, OriginalValuesKnown},
    state::{AccountInfo, Bytecode},
};
use std::collections::BTreeMap;

/// A state, its codes, and the hashes of the blocks that led to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    pub(crate) accounts: BTreeMap<Address, (u64, U256, B256)>,
    pub(crate) slots: BTreeMap<(Address, U256), U256>,
    codes: BTreeMap<B256, Bytecode>,
    hashes: BTreeMap<u64, B256>,
}

/// Accounts and slots of a state.
pub(crate) type Contents = (BTreeMap<Address, (u64, U256, B256)>, BTreeMap<(Address, U256), U256>);

impl Reference {
    /// Creates the state with these accounts, after block `head`.
    pub(crate) fn new(accounts: &BTreeMap<Address, MemoryAccount>, head: Head) -> Self {
        let mut state = Self::default();
        for (address, account) in accounts {
            let hash = if account.code.is_empty() {
                KECCAK256_EMPTY
            } else {
                let hash = keccak256(&account.code);
                state.codes.insert(hash, Bytecode::new_raw(account.code.clone()));
                hash
            };
            state.accounts.insert(*address, (account.nonce, account.balance, hash));
            let slots = account.storage.iter().filter(|(_, value)| !value.is_zero());
            state.slots.extend(slots.map(|(slot, value)| ((*address, *slot), *value)));
        }
        state.hashes.insert(head.number, head.hash);
        state
    }

    /// Returns the batch that creates a chain with this state.
    pub(crate) fn batch(&self, head: Head) -> DurableBatch {
        let account = |(address, (nonce, balance, code_hash)): (&Address, &(u64, U256, B256))| {
            let (nonce, balance, code_hash) = (*nonce, *balance, *code_hash);
            let after = Some(AccountRecord { nonce, balance, code_hash });
            AccountChange { address: *address, before: None, after, cleared: false }
        };
        let slot = |((address, slot), after): (&(Address, U256), &U256)| SlotChange {
            address: *address,
            slot: *slot,
            before: U256::ZERO,
            after: *after,
        };
        let codes = self.codes.iter().map(|(hash, code)| (*hash, code.original_bytes()));
        DurableBatch {
            head,
            accounts: self.accounts.iter().map(account).collect(),
            slots: self.slots.iter().map(slot).collect(),
            codes: codes.collect(),
            ..DurableBatch::default()
        }
    }

    /// Applies `bundle`, the changes of block `head`.
    pub(crate) fn apply(&mut self, head: Head, bundle: &BundleState) {
        let changes = bundle.to_plain_state(OriginalValuesKnown::No);
        for (address, info) in changes.accounts {
            match info {
                Some(info) => {
                    let hash =
                        if info.code_hash.is_zero() { KECCAK256_EMPTY } else { info.code_hash };
                    self.accounts.insert(address, (info.nonce, info.balance, hash));
                }
                None => {
                    self.accounts.remove(&address);
                }
            }
        }
        for changed in changes.storage {
            if changed.wipe_storage {
                self.slots.retain(|(address, _), _| *address != changed.address);
            }
            let slots = changed.storage.into_iter();
            self.slots.extend(slots.map(|(slot, value)| ((changed.address, slot), value)));
        }
        self.slots.retain(|_, value| !value.is_zero());
        self.codes.extend(changes.contracts);
        self.hashes.insert(head.number, head.hash);
    }

    pub(crate) fn nonce(&self, address: Address) -> u64 {
        self.accounts.get(&address).map_or(0, |(nonce, ..)| *nonce)
    }

    /// Returns the state root, by a library's full computation.
    pub(crate) fn root(&self) -> B256 {
        state_root_unhashed(self.accounts.iter().map(|(address, (nonce, balance, code_hash))| {
            let (nonce, balance, code_hash) = (*nonce, *balance, *code_hash);
            let slots = self.slots.range((*address, U256::ZERO)..=(*address, U256::MAX));
            let slots = slots.map(|((_, slot), value)| (B256::from(*slot), *value));
            let storage_root = storage_root_unhashed(slots);
            (*address, TrieAccount { nonce, balance, storage_root, code_hash })
        }))
    }

    pub(crate) fn contents(&self) -> Contents {
        (self.accounts.clone(), self.slots.clone())
    }
}

/// Returns all contents of a store's state.
pub(crate) fn contents<S: Snapshot>(reader: &StateReader<S>) -> Contents {
    let mut found = Contents::default();
    for entry in reader.accounts() {
        let (address, account) = entry.expect("the store reads");
        found.0.insert(address, (account.nonce, account.balance, account.code_hash));
        if account.code_hash != KECCAK256_EMPTY {
            reader.code(account.code_hash).expect("an account's code is there");
        }
    }
    for entry in reader.all_slots() {
        let (address, slot, value) = entry.expect("the store reads");
        found.1.insert((address, slot), value);
    }
    found
}

/// Compares all accounts and slots of `expected` with the values that `state` reads.
pub(crate) fn same<D: DatabaseRef<Error: Debug>>(state: &D, expected: &Reference) {
    let (accounts, slots) = expected.contents();
    for (address, (nonce, balance, _)) in accounts {
        let account = state.basic_ref(address).expect("it reads").expect("an account");
        assert_eq!((account.nonce, account.balance), (nonce, balance), "{address}");
    }
    for ((address, slot), value) in slots {
        assert_eq!(state.storage_ref(address, slot).expect("it reads"), value, "{address}");
    }
}

impl DatabaseRef for Reference {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.accounts.get(&address).map(|(nonce, balance, code_hash)| AccountInfo {
            balance: *balance,
            nonce: *nonce,
            code_hash: *code_hash,
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.codes.get(&code_hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, Infallible> {
        Ok(self.slots.get(&(address, index)).copied().unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok(self.hashes.get(&number).copied().unwrap_or_default())
    }
}
