//! The changes of a block.

use crate::{AccountRecord, Head};
use alloy_consensus::EthereumReceipt;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use revm::database::{BundleAccount, BundleState};
use std::sync::Arc;

/// An account before and after a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChange {
    /// Address of the account.
    pub address: Address,
    /// The account before the block; `None` if it did not exist.
    pub before: Option<AccountRecord>,
    /// The account after the block; `None` if it does not exist.
    pub after: Option<AccountRecord>,
    /// Whether the block cleared the account's storage by destroying the account.
    pub cleared: bool,
}

/// A slot before and after a block. For a cleared account, `before` is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotChange {
    /// Address of the account.
    pub address: Address,
    /// Number of the slot.
    pub slot: U256,
    /// Value before the block.
    pub before: U256,
    /// Value after the block.
    pub after: U256,
}

/// All changes of a block. [`commit`](crate::commit) writes them in one transaction of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DurableBatch {
    /// The block.
    pub head: Head,
    /// Accounts that the block touched, sorted by address, each once.
    pub accounts: Vec<AccountChange>,
    /// Slots whose value changed, sorted by address and slot number, each once.
    pub slots: Vec<SlotChange>,
    /// Codes that the block created, with their hashes.
    pub codes: Vec<(B256, Bytes)>,
    /// State root after the block, as its header states it.
    pub state_root: Option<B256>,
    /// Receipts of the block. They are written if [`Keep`](crate::Keep) says so.
    pub receipts: Arc<[EthereumReceipt]>,
    /// The block in RLP, including its transactions. It is written if [`Keep`](crate::Keep) says
    /// so.
    pub rlp: Bytes,
    /// Header of the block in RLP; empty if unknown. The store keeps it while the block is the last
    /// one.
    pub header: Bytes,
}

impl DurableBatch {
    /// Collects the changes of the block `head` from `bundle`, which must hold no other block's
    /// changes.
    #[must_use]
    pub fn new(head: Head, bundle: &BundleState) -> Self {
        let mut batch = Self { head, ..Self::default() };
        batch.accounts.reserve(bundle.state.len());
        for (address, account) in &bundle.state {
            batch.add(*address, account);
        }
        // Writing in key order lets a tree find neighbouring keys in its cache.
        batch.accounts.sort_unstable_by_key(|change| change.address);
        batch.slots.sort_unstable_by_key(|change| (change.address, change.slot));
        let codes = bundle.contracts.iter().filter(|(hash, _)| **hash != KECCAK256_EMPTY);
        batch.codes = codes.map(|(hash, code)| (*hash, code.original_bytes())).collect();
        batch
    }

    fn add(&mut self, address: Address, account: &BundleAccount) {
        let before = account.original_info.as_ref().map(AccountRecord::from);
        let after = account.info.as_ref().map(AccountRecord::from);
        let cleared = account.was_destroyed();
        self.accounts.push(AccountChange { address, before, after, cleared });
        for (slot, value) in &account.storage {
            let before = if cleared { U256::ZERO } else { value.previous_or_original_value };
            let after = value.present_value;
            if before != after {
                self.slots.push(SlotChange { address, slot: *slot, before, after });
            }
        }
    }
}
