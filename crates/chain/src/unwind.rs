//! Unwinding of blocks.

use crate::{
    AccountChange, DurableBatch, Head, SlotChange, Snapshot, StateReader, StateStore, StoreError,
    Table, Undo, Writes, archive, block_index,
    commit::{put_root, put_state},
    trie::NodeOverlay,
};
use std::{collections::BTreeMap, num::NonZeroUsize};

/// Unwinds the last `blocks` blocks, each in its own transaction, and returns the new last block.
/// State roots are computed on `root_threads` threads: see
/// [`Keep::root_threads`](crate::Keep::root_threads).
///
/// # Errors
/// The undo record of one of the blocks is missing: then no block is unwound. Or the store failed:
/// then blocks already unwound stay so.
pub fn unwind<S: StateStore>(
    store: &S,
    blocks: u64,
    root_threads: NonZeroUsize,
) -> Result<Head, StoreError> {
    let reader = StateReader::new(store.snapshot()?)?;
    let head = reader.head();
    for back in 0..blocks {
        let number = head.number.saturating_sub(back);
        if reader.undo(number)?.is_none() && !mutant!(UnwoundInPart) {
            return Err(StoreError::NoUndo { number, kept: back });
        }
    }
    for _ in 0..blocks {
        unwind_one(store, root_threads)?;
    }
    Ok(StateReader::new(store.snapshot()?)?.head())
}

fn unwind_one<S: StateStore>(store: &S, root_threads: NonZeroUsize) -> Result<(), StoreError> {
    let reader = StateReader::new(store.snapshot()?)?;
    let Head { number, .. } = reader.head();
    let undo = reader.undo(number)?.ok_or(StoreError::NoUndo { number, kept: 0 })?;
    let mut writes = Writes::default();
    archive::unwind(&reader, &mut writes, &undo)?;
    let batch = inverse(&reader, undo)?;
    put_state(&mut writes, &batch, &BTreeMap::new());
    if reader.state_root()?.is_some() {
        put_root(NodeOverlay::of_head(&reader, root_threads)?, &mut writes, &batch, root_threads)?;
    }
    writes.remove(Table::Undo, number.to_be_bytes());
    writes.remove(Table::BlockHashes, number.to_be_bytes());
    if !mutant!(UnwoundReceiptsKept) {
        writes.remove(Table::Receipts, number.to_be_bytes());
    }
    block_index::unwind(&reader, &mut writes, batch.head)?;
    store.write(writes)
}

/// Returns the changes that lead from the reader's state back to the state in `undo`.
fn inverse<S: Snapshot>(reader: &StateReader<S>, undo: Undo) -> Result<DurableBatch, StoreError> {
    let mut batch = DurableBatch { head: undo.parent, ..DurableBatch::default() };
    for (address, after) in undo.accounts {
        let before = reader.account(address)?;
        batch.accounts.push(AccountChange { address, before, after, cleared: false });
    }
    for (address, slot, after) in undo.slots {
        use revm::DatabaseRef;
        if after.is_zero() && mutant!(UnwoundSlotsKept) {
            continue;
        }
        let before = reader.storage_ref(address, slot)?;
        batch.slots.push(SlotChange { address, slot, before, after });
    }
    // An account also changes if only its slots do: its storage root differs.
    for slot in batch.slots.iter().filter(|_| !mutant!(UnwoundStorageUnrooted)) {
        let found = batch.accounts.binary_search_by_key(&slot.address, |change| change.address);
        if let Err(at) = found {
            let account = reader.account(slot.address)?;
            let (address, before, after) = (slot.address, account, account);
            batch.accounts.insert(at, AccountChange { address, before, after, cleared: false });
        }
    }
    Ok(batch)
}
