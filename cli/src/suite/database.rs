//! The state of a test as a database.

use super::read::{self, Number};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, map::B256Map};
use braid_testkit::state_root::{PlainAccount, PlainState};
use revm::{
    DatabaseRef,
    state::{AccountInfo, Bytecode},
};
use serde::Deserialize;
use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

/// Accounts as a test lists them.
pub(super) type Accounts = BTreeMap<Address, Account>;

/// An account as a test lists it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Account {
    #[serde(default)]
    balance: Number,
    #[serde(default)]
    nonce: Number,
    #[serde(default, deserialize_with = "read::bytes")]
    code: Bytes,
    #[serde(default, deserialize_with = "read::storage")]
    storage: Vec<(U256, U256)>,
}

/// The whole state that `accounts` list.
pub(super) fn state(accounts: &Accounts) -> PlainState {
    let mut state = PlainState::default();
    for (address, account) in accounts {
        // Code that looks like a broken delegation was not made by one and is plain code.
        let code = Bytecode::new_raw_checked(account.code.clone());
        let plain = PlainAccount {
            balance: account.balance.saturating(),
            nonce: account.nonce.to_u64().unwrap_or(u64::MAX),
            code: code.unwrap_or_else(|_| Bytecode::new_legacy(account.code.clone())),
            storage: account.storage.iter().copied().collect(),
        };
        state.insert(*address, plain);
    }
    state
}

/// A whole state and the hashes of earlier blocks, shared by cloning.
#[derive(Clone, Debug)]
pub struct SuiteDatabase {
    inner: Arc<Inner>,
    yields: bool,
}

#[derive(Debug)]
struct Inner {
    state: PlainState,
    hashes_of_code: BTreeMap<Address, B256>,
    codes: B256Map<Bytecode>,
    block_hashes: BlockHashes,
}

/// Hashes of earlier blocks.
#[derive(Clone, Debug)]
pub enum BlockHashes {
    /// Those of a chain, by number; 0 for all others.
    Of(BTreeMap<u64, B256>),
    /// Of state tests, which have no chain: the hash of the number in decimal.
    MadeUp,
}

impl SuiteDatabase {
    /// A database of `state`.
    #[must_use]
    pub fn new(state: PlainState, block_hashes: BlockHashes) -> Self {
        let mut codes = B256Map::default();
        let mut hashes_of_code = BTreeMap::new();
        for (address, account) in state.iter().filter(|(_, account)| !account.code.is_empty()) {
            let hash = account.code_hash();
            codes.insert(hash, account.code.clone());
            hashes_of_code.insert(*address, hash);
        }
        let inner = Arc::new(Inner { state, hashes_of_code, codes, block_hashes });
        Self { inner, yields: false }
    }

    /// The same database, which gives way to other threads at every read. Transactions then meet
    /// in the middle, also where there are fewer cores than workers.
    #[must_use]
    pub fn yielding(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), yields: true }
    }

    fn give_way(&self) {
        if self.yields {
            std::thread::yield_now();
        }
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> &PlainState {
        &self.inner.state
    }
}

impl DatabaseRef for SuiteDatabase {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        self.give_way();
        let code_hash = self.inner.hashes_of_code.get(&address).copied();
        Ok(self.inner.state.get(&address).map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: code_hash.unwrap_or(KECCAK256_EMPTY),
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.inner.codes.get(&code_hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, Infallible> {
        self.give_way();
        let account = self.inner.state.get(&address);
        Ok(account.and_then(|account| account.storage.get(&index)).copied().unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok(match &self.inner.block_hashes {
            BlockHashes::Of(hashes) => hashes.get(&number).copied().unwrap_or_default(),
            BlockHashes::MadeUp => alloy_primitives::keccak256(number.to_string()),
        })
    }
}
