//! The state before the block, as a database that queries the node and records what was read.

use super::{
    Client, RpcError, RpcErrorKind,
    block::{Found, Hashed},
    prestate::{Prestate, Traced},
};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U64, U256, keccak256};
use braid_blocks::block_file::{BlockFile, PreAccount};
use braid_terminal::Transport;
use revm::{
    DatabaseRef,
    state::{AccountInfo, Bytecode},
};
use std::{cell::RefCell, collections::BTreeMap};

/// Everything that an execution has read.
#[derive(Debug, Default)]
struct Read {
    /// Accounts; `None` for one that does not exist.
    accounts: BTreeMap<Address, Option<PreAccount>>,
    slots: BTreeMap<(Address, U256), U256>,
    codes: BTreeMap<B256, Bytes>,
    block_hashes: BTreeMap<u64, B256>,
}

/// The state of the parent block: from the tracer's output, otherwise from the node.
///
/// A node does not distinguish an empty account from an absent one. Since EIP-161 there are no
/// empty accounts; before, an account without content is assumed to be absent.
pub(super) struct NodeState<'a, T> {
    client: &'a Client<T>,
    found: &'a Found,
    prestate: &'a Prestate,
    read: RefCell<Read>,
}

impl<'a, T: Transport> NodeState<'a, T> {
    pub(super) fn new(client: &'a Client<T>, found: &'a Found, prestate: &'a Prestate) -> Self {
        Self { client, found, prestate, read: RefCell::default() }
    }

    /// Moves everything that was read into `file`.
    pub(super) fn move_into(self, file: &mut BlockFile) {
        let Read { accounts, slots, codes, block_hashes } = self.read.into_inner();
        let exist = accounts.into_iter().filter_map(|(address, read)| Some((address, read?)));
        file.pre_state = exist.collect();
        for ((address, slot), value) in slots {
            // Slots that are not listed are zero, as are those of an absent account.
            if let Some(account) = file.pre_state.get_mut(&address)
                && !value.is_zero()
            {
                account.storage.insert(slot, value);
            }
        }
        file.codes = codes;
        file.block_hashes = block_hashes;
    }

    fn ask_account(&self, address: Address) -> Result<Traced, RpcError> {
        let parent = self.found.parent_tag();
        let nonce: U64 = self.client.call("eth_getTransactionCount", (address, parent))?;
        Ok(Traced {
            balance: self.client.call("eth_getBalance", (address, parent))?,
            nonce: nonce.to(),
            code: self.client.call("eth_getCode", (address, parent))?,
            storage: BTreeMap::new(),
        })
    }

    /// Reads the account and adds its code to the recorded codes.
    fn account(&self, address: Address) -> Result<Option<PreAccount>, RpcError> {
        if let Some(known) = self.read.borrow().accounts.get(&address) {
            return Ok(known.clone());
        }
        let Traced { balance, nonce, code, .. } = match self.prestate.accounts.get(&address) {
            Some(traced) => traced.clone(),
            None => self.ask_account(address)?,
        };
        let read = &mut *self.read.borrow_mut();
        let mut account = PreAccount { balance, nonce, ..PreAccount::default() };
        if !code.is_empty() {
            let hash = keccak256(&code);
            account.code_hash = Some(hash);
            read.codes.insert(hash, code);
        }
        let exists = account != PreAccount::default();
        let account = exists.then_some(account);
        read.accounts.insert(address, account.clone());
        Ok(account)
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, RpcError> {
        let key = B256::from(slot);
        let traced = self.prestate.accounts.get(&address);
        if let Some(value) = traced.and_then(|account| account.storage.get(&key)) {
            return Ok((*value).into());
        }
        let value: U256 =
            self.client.call("eth_getStorageAt", (address, key, self.found.parent_tag()))?;
        Ok(value)
    }
}

impl<T: Transport> DatabaseRef for NodeState<'_, T> {
    type Error = RpcError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, RpcError> {
        Ok(self.account(address)?.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash.unwrap_or(KECCAK256_EMPTY),
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, RpcError> {
        let code = self.read.borrow().codes.get(&code_hash).cloned().unwrap_or_default();
        Bytecode::new_raw_checked(code).map_err(|error| RpcError {
            method: "eth_getCode",
            origin: self.client.origin().to_owned(),
            kind: RpcErrorKind::Answer(error.to_string()),
        })
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, RpcError> {
        if let Some(value) = self.read.borrow().slots.get(&(address, index)) {
            return Ok(*value);
        }
        let value = self.slot(address, index)?;
        self.read.borrow_mut().slots.insert((address, index), value);
        Ok(value)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, RpcError> {
        if let Some(hash) = self.read.borrow().block_hashes.get(&number) {
            return Ok(*hash);
        }
        let block: Hashed = self.client.call("eth_getBlockByNumber", (U64::from(number), false))?;
        self.read.borrow_mut().block_hashes.insert(number, block.hash);
        Ok(block.hash)
    }
}
