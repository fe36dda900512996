//! A state before a block, in memory.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use core::convert::Infallible;
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::state::AccountInfo;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One account before the block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryAccount {
    /// Wei.
    pub balance: U256,
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Code; empty for none.
    pub code: Bytes,
    /// Slots that are not zero.
    pub storage: BTreeMap<U256, U256>,
}

/// A state before a block, shared by cloning.
///
/// As a node's database it gives accounts without their code, which is asked for by hash. The
/// hash of a block is a function of its number.
#[derive(Clone, Debug, Default)]
pub struct MemoryDatabase {
    state: Arc<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    accounts: BTreeMap<Address, (MemoryAccount, B256)>,
    codes: BTreeMap<B256, Bytecode>,
}

impl MemoryDatabase {
    /// The state with these accounts and no others.
    #[must_use]
    pub fn new(accounts: BTreeMap<Address, MemoryAccount>) -> Self {
        let mut state = State::default();
        for (address, account) in accounts {
            let hash = if account.code.is_empty() {
                KECCAK256_EMPTY
            } else {
                let hash = keccak256(&account.code);
                state.codes.insert(hash, Bytecode::new_raw(account.code.clone()));
                hash
            };
            state.accounts.insert(address, (account, hash));
        }
        Self { state: Arc::new(state) }
    }

    /// The same, where the code of `address` is said to have this hash.
    #[must_use]
    pub fn with_code_hash(mut self, address: Address, hash: B256) -> Self {
        if let Some((_, known)) = Arc::make_mut(&mut self.state).accounts.get_mut(&address) {
            *known = hash;
        }
        self
    }

    /// The hash that the block with this number is said to have.
    #[must_use]
    pub fn hash_of_block(number: u64) -> B256 {
        keccak256(number.to_be_bytes())
    }
}

impl DatabaseRef for MemoryDatabase {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.state.accounts.get(&address).map(|(account, code_hash)| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: *code_hash,
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.state.codes.get(&code_hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, Infallible> {
        let account = self.state.accounts.get(&address);
        Ok(account
            .and_then(|(account, _)| account.storage.get(&index))
            .copied()
            .unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok(Self::hash_of_block(number))
    }
}
