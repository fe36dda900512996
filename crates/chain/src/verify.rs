//! Verification of a store: recomputes every root and hash, and compares it with the stored one.

use crate::{
    Snapshot, StateReader, StoreError, Table, archive, block_index,
    rlp::decode_head,
    trie::{EMPTY_ROOT, NodeOverlay, encode_account, storage_root, walk},
};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, keccak256};
use alloy_trie::{HashBuilder, Nibbles, root::storage_root_unhashed};
use std::{collections::BTreeSet, num::NonZeroUsize};

/// Summary of a verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Number of accounts.
    pub accounts: u64,
    /// Number of slots that are not zero.
    pub slots: u64,
    /// Number of codes of accounts, each counted once.
    pub codes: u64,
    /// Number of blocks whose hash is stored, without a gap up to the head.
    pub block_hashes: u64,
    /// Number of undo records.
    pub undo_blocks: u64,
    /// Number of blocks whose receipts are stored.
    pub receipt_blocks: u64,
    /// Number of trie nodes; zero if the chain has no state roots.
    pub nodes: u64,
    /// The state root, computed from all accounts and slots.
    pub state_root: B256,
    /// Whether the computed root was compared with a stored one, and is equal. False if the chain
    /// has no state roots.
    pub is_compared: bool,
}

/// Computes the state root from all accounts and slots, and compares it with the stored one. Also
/// compares the hash of each trie node with the one in its parent, and of each code with the one in
/// its accounts. Takes time proportional to the state, and memory proportional to the number of
/// accounts.
///
/// # Errors
/// Returns the first inconsistency, or an error of the store.
pub fn verify<S: Snapshot>(reader: &StateReader<S>) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    let stored = reader.state_root()?;
    let nodes = stored.map(|_| NodeOverlay::of_head(reader, NonZeroUsize::MIN)).transpose()?;
    let mut leaves = Vec::new();
    let mut codes = BTreeSet::new();
    for entry in reader.accounts() {
        let (address, account) = entry?;
        let hash = keccak256(address);
        let root = storage(reader, address, &mut verified)?;
        if let Some(nodes) = &nodes
            && storage_root(nodes, hash)? != root
        {
            return Err(StoreError::damaged(format!("the storage trie of {address}")));
        }
        if account.code_hash != KECCAK256_EMPTY {
            codes.insert(account.code_hash);
        }
        leaves.push((hash, encode_account(account, root)));
        verified.accounts = verified.accounts.saturating_add(1);
    }
    let mut all = reader.all_slots();
    let slots = all.try_fold(0_u64, |sum, slot| slot.map(|_| sum.saturating_add(1)))?;
    if slots != verified.slots {
        return Err(StoreError::damaged("a slot belongs to no account"));
    }
    for hash in &codes {
        if keccak256(reader.code(*hash)?) != *hash {
            return Err(StoreError::damaged(format!("the code {hash} has another hash")));
        }
    }
    verified.codes = codes.len() as u64;
    blocks(reader, &mut verified)?;
    verified.receipt_blocks = receipts(reader)?;
    kept_blocks(reader)?;
    block_index::verify(reader)?;
    archive::verify(reader)?;
    leaves.sort_unstable_by_key(|(hash, _)| *hash);
    verified.state_root = root_of(&leaves);
    if let (Some(stored), Some(nodes)) = (stored, &nodes) {
        if stored != verified.state_root {
            let found = verified.state_root;
            let what = format!("the state root is {found}, the store has {stored}");
            return Err(StoreError::damaged(what));
        }
        let hashes = leaves.iter().map(|(hash, _)| Ok(*hash));
        verified.is_compared = true;
        verified.nodes = walk(nodes, hashes)?;
    }
    Ok(verified)
}

/// Computes the storage root of an account from its slots, and counts them.
fn storage<S: Snapshot>(
    reader: &StateReader<S>,
    address: Address,
    verified: &mut Verified,
) -> Result<B256, StoreError> {
    let slots: Vec<_> = reader.slots(address).collect::<Result<_, _>>()?;
    if slots.iter().any(|(_, value)| value.is_zero()) {
        return Err(StoreError::damaged(format!("a slot of {address} is zero")));
    }
    verified.slots = verified.slots.saturating_add(slots.len() as u64);
    if slots.is_empty() {
        return Ok(EMPTY_ROOT);
    }
    Ok(storage_root_unhashed(slots.into_iter().map(|(slot, value)| (B256::from(slot), value))))
}

/// Checks that block hashes have no gap down from the head, and that undo records name the right
/// parents.
fn blocks<S: Snapshot>(reader: &StateReader<S>, verified: &mut Verified) -> Result<(), StoreError> {
    let head = reader.head();
    if reader.block_hash(head.number)? != Some(head.hash) {
        return Err(StoreError::damaged("the hash of the last block"));
    }
    let mut number = head.number;
    loop {
        verified.block_hashes = verified.block_hashes.saturating_add(1);
        let Some(parent) = number.checked_sub(1) else { break };
        let hash = reader.block_hash(parent)?;
        if let Some(undo) = reader.undo(number)? {
            verified.undo_blocks = verified.undo_blocks.saturating_add(1);
            if Some(undo.parent.hash) != hash || undo.parent.number != parent {
                return Err(StoreError::damaged(format!("the undo record of block {number}")));
            }
        }
        if hash.is_none() {
            break;
        }
        number = parent;
    }
    Ok(())
}

/// Checks that each stored block has the number and the hash that the chain records for it. A hash
/// that `prune` removed is not compared.
fn kept_blocks<S: Snapshot>(reader: &StateReader<S>) -> Result<(), StoreError> {
    for entry in reader.snapshot().scan(Table::Blocks, &[]) {
        let (key, rlp) = entry?;
        let head = decode_head(&rlp).ok().filter(|head| head.number.to_be_bytes() == key[..]);
        let head = head.filter(|head| head.number <= reader.head().number);
        let head = head.ok_or_else(|| StoreError::damaged("a block that is kept"))?;
        if reader.block_hash(head.number)?.is_some_and(|hash| hash != head.hash) {
            return Err(StoreError::damaged(format!("block {}", head.number)));
        }
    }
    Ok(())
}

/// Counts the blocks whose receipts are stored, and checks that they can be decoded.
fn receipts<S: Snapshot>(reader: &StateReader<S>) -> Result<u64, StoreError> {
    let mut blocks = 0_u64;
    for entry in reader.snapshot().scan(Table::Receipts, &[]) {
        let (key, _) = entry?;
        let number = key.try_into().map(u64::from_be_bytes).ok();
        let number = number.filter(|number| *number <= reader.head().number);
        let number = number.ok_or_else(|| StoreError::damaged("receipts of an unknown block"))?;
        reader.receipts(number)?;
        blocks = blocks.saturating_add(1);
    }
    Ok(blocks)
}

fn root_of(leaves: &[(B256, Vec<u8>)]) -> B256 {
    let mut builder = HashBuilder::default();
    for (hash, account) in leaves {
        builder.add_leaf(Nibbles::unpack(hash), account);
    }
    builder.root()
}
