//! A database in memory: the state before a generated block.

use crate::database::{Account, BlockHashes, StateDatabase};
use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256,
    map::{AddressMap, B256Map},
};
use core::convert::Infallible;
use revm::bytecode::Bytecode;
use std::collections::BTreeMap;

/// One account before the block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryAccount {
    /// Balance in wei.
    pub balance: U256,
    /// Number of transactions sent, or contracts created.
    pub nonce: u64,
    /// Code; empty if there is none.
    pub code: Bytes,
    /// Slots that are not zero.
    pub storage: BTreeMap<U256, U256>,
}

/// A state before a block, in which the hash of a block is a function of its number.
pub type MemoryDatabase = StateDatabase<HashOfNumber>;

/// Block hashes that are the hash of the number.
#[derive(Clone, Copy, Debug)]
pub struct HashOfNumber;

impl BlockHashes for HashOfNumber {
    type Error = Infallible;

    fn hash_of(&self, number: u64) -> Result<B256, Infallible> {
        Ok(keccak256(number.to_be_bytes()))
    }
}

impl MemoryDatabase {
    /// Creates a state with exactly these accounts.
    #[must_use]
    pub fn new(listed: BTreeMap<Address, MemoryAccount>) -> Self {
        let (mut accounts, mut codes) = (AddressMap::default(), B256Map::default());
        for (address, account) in listed {
            let code_hash = if account.code.is_empty() {
                KECCAK256_EMPTY
            } else {
                let hash = keccak256(&account.code);
                codes.insert(hash, Bytecode::new_raw(account.code));
                hash
            };
            let (balance, nonce) = (account.balance, account.nonce);
            let storage = account.storage.into_iter().collect();
            accounts.insert(address, Account { balance, nonce, code_hash, storage });
        }
        Self::of_parts(accounts, codes, HashOfNumber)
    }

    /// Sets the code hash of `address`, without changing its code.
    #[must_use]
    pub fn with_code_hash(mut self, address: Address, hash: B256) -> Self {
        if let Some(account) = self.account_mut(address) {
            account.code_hash = hash;
        }
        self
    }

    /// Returns the hash of the block with this number.
    #[must_use]
    pub fn hash_of_block(number: u64) -> B256 {
        keccak256(number.to_be_bytes())
    }
}

impl Default for MemoryDatabase {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}
