//! A given state as a database.

use alloy_primitives::{Address, B256, U256};
use braid_testkit::state_root::PlainState;
use revm::{
    DatabaseRef,
    context::DBErrorMarker,
    state::{AccountInfo, Bytecode},
};
use std::{collections::BTreeMap, sync::Arc};

/// `BLOCKHASH` asked for a block whose hash was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hash of block {0} was not given")]
pub(super) struct MissingBlockHash(pub(super) u64);

impl DBErrorMarker for MissingBlockHash {}

/// The state before the block, shared by cloning.
#[derive(Clone, Debug)]
pub(super) struct AllocDatabase(Arc<State>);

#[derive(Debug)]
struct State {
    accounts: BTreeMap<Address, (AccountInfo, BTreeMap<U256, U256>)>,
    codes: BTreeMap<B256, Bytecode>,
    hashes: BTreeMap<u64, B256>,
}

impl AllocDatabase {
    pub(super) fn new(state: &PlainState, hashes: &BTreeMap<u64, B256>) -> Self {
        let mut codes = BTreeMap::new();
        let mut accounts = BTreeMap::new();
        for (address, account) in state.iter() {
            let code_hash = account.code_hash();
            if !account.code.is_empty() {
                codes.insert(code_hash, account.code.clone());
            }
            let info = AccountInfo {
                balance: account.balance,
                nonce: account.nonce,
                code_hash,
                account_id: None,
                code: None,
            };
            accounts.insert(*address, (info, account.storage.clone()));
        }
        Self(Arc::new(State { accounts, codes, hashes: hashes.clone() }))
    }
}

impl DatabaseRef for AllocDatabase {
    type Error = MissingBlockHash;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, MissingBlockHash> {
        Ok(self.0.accounts.get(&address).map(|(info, _)| info.clone()))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, MissingBlockHash> {
        Ok(self.0.codes.get(&code_hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, MissingBlockHash> {
        let account = self.0.accounts.get(&address);
        Ok(account.and_then(|(_, storage)| storage.get(&index)).copied().unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, MissingBlockHash> {
        self.0.hashes.get(&number).copied().ok_or(MissingBlockHash(number))
    }
}
