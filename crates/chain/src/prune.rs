//! Pruning of old undo records, receipts and block hashes.

use crate::{
    Snapshot, StateStore, StoreError, Table, Writes, block_index::Kept, commit::flush_nodes, open,
};
use std::mem;

/// Number of earlier blocks whose hash the `BLOCKHASH` opcode can read.
const REACH: u64 = 256;

/// Number of records that one transaction of the store removes.
const AT_ONCE: usize = 1_000;

/// Counts of pruned records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Number of removed undo records.
    pub undo_blocks: u64,
    /// Number of blocks whose receipts were removed.
    pub receipt_blocks: u64,
    /// Number of removed block hashes.
    pub block_hashes: u64,
    /// Total size of the removed records, including keys.
    pub bytes: u64,
}

/// Removes the undo records of all but the last `undo_blocks` blocks, and block hashes that no
/// block can read any more, not even after those blocks are unwound or in a state of the archive.
/// Unless `receipt_blocks` is
/// `None`, also removes the receipts of all but the last `receipt_blocks` blocks, but never those
/// of the last block if the store keeps that block. Oldest records are removed first, a thousand
/// per transaction.
///
/// # Errors
/// The store failed. Records already removed stay removed; the rest can be removed later.
pub fn prune<S: StateStore>(
    store: &S,
    undo_blocks: u64,
    receipt_blocks: Option<u64>,
) -> Result<Pruned, StoreError> {
    let reader = open(store)?;
    // Number of the first of the last `blocks` blocks.
    let first = |blocks: u64| {
        let before = reader.head().number.saturating_sub(blocks);
        before.saturating_add(if mutant!(OneMorePruned) { 2 } else { 1 })
    };
    let first_undo = first(undo_blocks);
    if reader.nodes_head()?.number < first_undo.saturating_sub(1) && !mutant!(PrunedUnflushed) {
        flush_nodes(store)?;
    }
    let (mut pruned, mut kept) = (Pruned::default(), Kept::read(&reader)?);
    let mut remove = |table, below| {
        remove(store, reader.snapshot(), (table, below), (&mut kept, &mut pruned.bytes))
    };
    pruned.undo_blocks = remove(Table::Undo, first_undo)?;
    if let Some(blocks) = receipt_blocks {
        // A node answers requests from the last block if the store keeps it, so its receipts stay.
        let is_kept = reader.block(reader.head().number)?.is_some();
        let blocks = blocks.max(u64::from(is_kept));
        pruned.receipt_blocks = remove(Table::Receipts, first(blocks))?;
    }
    // The block that reaches back furthest is `first_undo`: it is the next one after unwinding all
    // blocks that can be unwound.
    // A call in the archive's first state reaches back from that state's block.
    let first_state = reader.archived_since()?.unwrap_or(u64::MAX).min(first_undo);
    pruned.block_hashes = remove(Table::BlockHashes, first_state.saturating_sub(REACH))?;
    Ok(pruned)
}

/// Removes the records of all blocks below `below`, and returns their number. Adds their size to
/// `bytes`, and subtracts the size of receipts from `kept`.
fn remove<S: StateStore>(
    store: &S,
    snapshot: &S::Snapshot,
    (table, below): (Table, u64),
    (kept, bytes): (&mut Option<Kept>, &mut u64),
) -> Result<u64, StoreError> {
    let (mut writes, mut removed) = (Writes::default(), 0_u64);
    for entry in snapshot.scan(table, &[]) {
        let (key, value) = entry?;
        if key[..] >= below.to_be_bytes()[..] {
            break;
        }
        *bytes = bytes.saturating_add((key.len() as u64).saturating_add(value.len() as u64));
        removed = removed.saturating_add(1);
        if let (Table::Receipts, Some(kept), Some(number)) =
            (table, kept.as_mut(), key.first_chunk())
        {
            kept.without_receipts(u64::from_be_bytes(*number), value.len() as u64);
        }
        writes.remove(table, key);
        if writes.0.len() == AT_ONCE {
            write(store, mem::take(&mut writes), *kept)?;
        }
    }
    if !writes.0.is_empty() {
        write(store, writes, *kept)?;
    }
    Ok(removed)
}

/// Writes `writes`, and the record of kept blocks, whose size has changed.
fn write<S: StateStore>(
    store: &S,
    mut writes: Writes,
    kept: Option<Kept>,
) -> Result<(), StoreError> {
    if let Some(kept) = kept {
        kept.put(&mut writes);
    }
    store.write(writes)
}
