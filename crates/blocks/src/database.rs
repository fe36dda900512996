//! A state before a block as a database in memory.
//!
//! It answers as a node's database does: accounts come without code, which is read by hash. A
//! missing account is `None`, a missing slot 0, a missing code empty.

use crate::state_root::PlainState;
use alloy_primitives::{
    Address, B256, U256,
    map::{AddressMap, B256Map, U256Map},
};
use core::{convert::Infallible, fmt};
use revm::{
    DatabaseRef,
    context::DBErrorMarker,
    state::{AccountInfo, Bytecode},
};
use std::{collections::BTreeMap, sync::Arc};

/// Hashes of earlier blocks, for `BLOCKHASH`.
pub trait BlockHashes {
    /// Error for an unknown hash.
    type Error: DBErrorMarker + core::error::Error + Send + Sync + 'static;

    /// Returns the hash of the block with this number.
    ///
    /// # Errors
    /// Returns an error if the hash is unknown and the execution must not continue with another
    /// one.
    fn hash_of(&self, number: u64) -> Result<B256, Self::Error>;
}

/// Hashes by number; the hash of every other block is 0.
impl BlockHashes for BTreeMap<u64, B256> {
    type Error = Infallible;

    fn hash_of(&self, number: u64) -> Result<B256, Infallible> {
        Ok(self.get(&number).copied().unwrap_or_default())
    }
}

/// A read-only state before a block, shared by its clones.
pub struct StateDatabase<H> {
    state: Arc<State<H>>,
    /// Answer for an account that does not exist: absent or empty.
    missing: Option<AccountInfo>,
}

#[derive(Clone)]
struct State<H> {
    accounts: AddressMap<Account>,
    codes: B256Map<Bytecode>,
    block_hashes: H,
}

/// An account of the database.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) balance: U256,
    pub(crate) nonce: u64,
    pub(crate) code_hash: B256,
    pub(crate) storage: U256Map<U256>,
}

impl<H> StateDatabase<H> {
    /// Creates a database from accounts, and codes by hash.
    pub(crate) fn of_parts(
        accounts: AddressMap<Account>,
        codes: B256Map<Bytecode>,
        block_hashes: H,
    ) -> Self {
        Self { state: Arc::new(State { accounts, codes, block_hashes }), missing: None }
    }

    /// Creates a database of `state`.
    #[must_use]
    pub fn of(state: &PlainState, block_hashes: H) -> Self {
        let mut codes = B256Map::default();
        let mut accounts = AddressMap::default();
        for (address, account) in state.iter() {
            let code_hash = account.code_hash();
            if !account.code.is_empty() {
                codes.insert(code_hash, account.code.clone());
            }
            let storage = account.storage.iter().map(|(slot, value)| (*slot, *value)).collect();
            let (balance, nonce) = (account.balance, account.nonce);
            accounts.insert(*address, Account { balance, nonce, code_hash, storage });
        }
        Self::of_parts(accounts, codes, block_hashes)
    }

    /// Returns the same state, but with accounts that do not exist returned as empty ones, as many
    /// databases in memory do.
    #[must_use]
    pub fn answering_empty(self) -> Self {
        Self { missing: Some(AccountInfo::default().without_code()), ..self }
    }

    /// Returns the account at `address` for changes; clones of the database keep the old one.
    pub(crate) fn account_mut(&mut self, address: Address) -> Option<&mut Account>
    where
        H: Clone,
    {
        Arc::make_mut(&mut self.state).accounts.get_mut(&address)
    }
}

impl<H> Clone for StateDatabase<H> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), missing: self.missing.clone() }
    }
}

impl<H> fmt::Debug for StateDatabase<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateDatabase")
            .field("accounts", &self.state.accounts.len())
            .field("codes", &self.state.codes.len())
            .finish_non_exhaustive()
    }
}

impl<H: BlockHashes> DatabaseRef for StateDatabase<H> {
    type Error = H::Error;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, H::Error> {
        let found = self.state.accounts.get(&address).map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: None,
            code: None,
        });
        Ok(found.or_else(|| self.missing.clone()))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, H::Error> {
        Ok(self.state.codes.get(&code_hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, H::Error> {
        let account = self.state.accounts.get(&address);
        Ok(account.and_then(|account| account.storage.get(&index)).copied().unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, H::Error> {
        self.state.block_hashes.hash_of(number)
    }
}
