//! The block's access list (EIP-7928) from the node.

use super::{Client, FetchError, block::Found};
use crate::access_list::{self, ListError};
use alloy_eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, CodeChange, NonceChange, SlotChanges,
    StorageChange,
};
use alloy_primitives::{Address, Bytes, U64, U256};
use braid_blocks::block_file::BlockFile;
use braid_evm::AccessList;
use braid_terminal::Transport;
use serde::Deserialize;

/// An account of the list. A node may leave out empty fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    address: Address,
    #[serde(default)]
    storage_changes: Vec<Slot>,
    #[serde(default)]
    storage_reads: Vec<U256>,
    #[serde(default)]
    balance_changes: Vec<Change<U256>>,
    #[serde(default)]
    nonce_changes: Vec<Change<U64>>,
    #[serde(default)]
    code_changes: Vec<NewCode>,
}

#[derive(Deserialize)]
struct Slot {
    key: U256,
    changes: Vec<Change<U256>>,
}

#[derive(Deserialize)]
struct Change<T> {
    index: U64,
    value: T,
}

#[derive(Deserialize)]
struct NewCode {
    index: U64,
    code: Bytes,
}

impl From<Account> for AccountChanges {
    fn from(account: Account) -> Self {
        let at = |index: U64| BlockAccessIndex::new(index.to());
        let slot = |slot: Slot| {
            let changes = slot.changes.into_iter();
            let changes = changes.map(|change| StorageChange::new(at(change.index), change.value));
            SlotChanges::new(slot.key, changes.collect())
        };
        let balance = |change: Change<U256>| BalanceChange::new(at(change.index), change.value);
        let nonce = |change: Change<U64>| NonceChange::new(at(change.index), change.value.to());
        let code = |change: NewCode| CodeChange::new(at(change.index), change.code);
        Self {
            address: account.address,
            storage_changes: account.storage_changes.into_iter().map(slot).collect(),
            storage_reads: account.storage_reads,
            balance_changes: account.balance_changes.into_iter().map(balance).collect(),
            nonce_changes: account.nonce_changes.into_iter().map(nonce).collect(),
            code_changes: account.code_changes.into_iter().map(code).collect(),
        }
    }
}

/// Requests the list of the block, which must match the header, if the header names one, and the
/// execution of `file`.
pub(super) fn of_block<T: Transport>(
    client: &Client<T>,
    found: &Found,
    file: &BlockFile,
) -> Result<AccessList, FetchError> {
    let accounts: Option<Vec<Account>> = client.call("eth_getBlockAccessList", (found.tag(),))?;
    let accounts = accounts.ok_or_else(|| FetchError::NoAccessList { number: found.number() })?;
    let list: AccessList = accounts.into_iter().map(AccountChanges::from).collect();
    let hash = list.compute_hash();
    if let Some(expected) = found.block.header.inner.block_access_list_hash
        && expected != hash
    {
        let wrong = format!("access list: the header's hash {expected}, the node's list {hash}");
        return Err(FetchError::Mismatch(vec![wrong]));
    }
    let (block, database) = file.to_block().map_err(FetchError::Field)?;
    match access_list::compare((&block).into(), database, list.clone()) {
        Ok(()) => Ok(list),
        Err(ListError::Block(wrong)) => Err(FetchError::Mismatch(vec![wrong.to_string()])),
        Err(error) => Err(FetchError::Execution(error.to_string())),
    }
}
