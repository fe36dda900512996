//! The state of a block file as a database.

use super::{BlockFile, FieldError};
use alloy_primitives::{
    Address, B256, KECCAK256_EMPTY, U256, keccak256,
    map::{AddressMap, B256Map, HashMap, U256Map},
};
use revm::{
    DatabaseRef,
    state::{AccountInfo, Bytecode},
};
use std::{convert::Infallible, sync::Arc};

/// The state before a block, read only, shared by cloning.
///
/// It answers as a node's database does: accounts come without code, which is asked for by hash.
/// What the file does not have does not exist: a missing account is `None`, a missing slot 0. A
/// code that nobody knows is empty; only an execution on a wrong path can ask for one, or for one
/// that the file declares absent.
#[derive(Clone, Debug)]
pub struct FileDatabase {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    accounts: AddressMap<Account>,
    codes: B256Map<Bytecode>,
    block_hashes: HashMap<u64, B256>,
}

#[derive(Debug)]
struct Account {
    balance: U256,
    nonce: u64,
    code_hash: B256,
    storage: U256Map<U256>,
}

impl FileDatabase {
    /// Takes the state out of `file` after checking that each code has the hash it is listed under
    /// and that no account names a code which is neither there nor declared absent.
    ///
    /// # Errors
    /// The first field that breaks one of these rules.
    pub fn new(file: &BlockFile) -> Result<Self, FieldError> {
        let codes = check_codes(file)?;
        let mut accounts = AddressMap::default();
        for (address, account) in &file.pre_state {
            let code_hash = account.code_hash.unwrap_or(KECCAK256_EMPTY);
            let known = code_hash == KECCAK256_EMPTY
                || codes.contains_key(&code_hash)
                || file.meta.absent_codes.contains(&code_hash);
            if !known {
                return Err(FieldError::new(
                    format!("pre_state.{address:?}.code_hash"),
                    "a hash that `codes` has or `meta.absent_codes` lists",
                    code_hash.to_string(),
                ));
            }
            let storage = account.storage.iter().map(|(slot, value)| (*slot, *value)).collect();
            let entry =
                Account { balance: account.balance, nonce: account.nonce, code_hash, storage };
            accounts.insert(*address, entry);
        }
        let mut block_hashes: HashMap<u64, B256> =
            file.block_hashes.iter().map(|(number, hash)| (*number, *hash)).collect();
        if let Some(parent) = file.block.header.inner.number.checked_sub(1) {
            block_hashes.entry(parent).or_insert(file.block.header.inner.parent_hash);
        }
        Ok(Self { state: Arc::new(State { accounts, codes, block_hashes }) })
    }
}

/// The codes of `file`, analysed once, after comparing them with their hashes.
fn check_codes(file: &BlockFile) -> Result<B256Map<Bytecode>, FieldError> {
    let mut codes = B256Map::default();
    for (hash, code) in &file.codes {
        let found = keccak256(code);
        if found != *hash {
            return Err(FieldError::new(
                format!("codes.{hash}"),
                "a code with that Keccak-256 hash",
                format!("one with hash {found}"),
            ));
        }
        let bytecode = Bytecode::new_raw_checked(code.clone()).map_err(|error| {
            FieldError::new(format!("codes.{hash}"), "EVM code", error.to_string())
        })?;
        codes.insert(*hash, bytecode);
    }
    Ok(codes)
}

impl DatabaseRef for FileDatabase {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Self::Error> {
        Ok(self.state.accounts.get(&address).map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Self::Error> {
        Ok(self.state.codes.get(&code_hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, Self::Error> {
        let account = self.state.accounts.get(&address);
        Ok(account.and_then(|account| account.storage.get(&index)).copied().unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Self::Error> {
        Ok(self.state.block_hashes.get(&number).copied().unwrap_or_default())
    }
}
