//! Pruning removes old undo records, and no others.

use crate::{
    streams::{block, config},
    support::{Stream, contents},
};
use alloy_primitives::B256;
use braid_chain::{
    Chain, DurableBatch, Head, Keep, MemoryStore, Pruned, Snapshot, StateRoots, StateStore,
    StoreError, Table, commit, create, open, prune, unwind, verify,
};
use std::num::NonZeroUsize;

/// Returns the number of entries, and of their bytes.
fn size(store: &MemoryStore, table: Table) -> (u64, u64) {
    let snapshot = store.snapshot().expect("in memory");
    let sizes = snapshot.scan(table, &[]).map(|entry| {
        let (key, value) = entry.expect("in memory");
        (key.len() + value.len()) as u64
    });
    sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size))
}

#[test]
fn the_last_blocks_can_still_be_unwound() {
    for keep in [0, 1, 2, 5, 6, 9] {
        let stream = Stream::new(keep, 6);
        let store = crate::streams::begun(&stream);
        let mut chain = Chain::open(store.clone(), config(2)).expect("a chain");
        for next in &stream.blocks {
            chain.execute(block(next)).expect("a valid block");
        }
        drop(chain);
        let before = size(&store, Table::Undo);
        let pruned = prune(&store, keep, None).expect("in memory");
        let after = size(&store, Table::Undo);
        let kept = keep.min(6);
        assert_eq!((after.0, pruned.undo_blocks, pruned.block_hashes), (kept, 6 - kept, 0));
        assert_eq!(pruned.bytes, before.1 - after.1);
        assert_eq!(
            prune(&store, keep, None).expect("in memory"),
            Pruned::default(),
            "a second time"
        );

        let reader = open(&store).expect("a chain");
        assert_eq!(verify(&reader).expect("all is as it must be").undo_blocks, kept);
        let refused = unwind(&store, kept + 1, NonZeroUsize::MIN).expect_err("it was removed");
        let number = 1_005 - kept;
        assert!(matches!(refused, StoreError::NoUndo { number: found, .. } if found == number));
        unwind(&store, kept, NonZeroUsize::MIN).expect("it is kept");
        let reader = open(&store).expect("a chain");
        assert_eq!(contents(&reader), stream.states[6 - kept as usize].contents());
        verify(&reader).expect("all is as it must be");
    }
}

fn head(number: u64) -> Head {
    Head { number, hash: B256::left_padding_from(&(number + 1).to_be_bytes()) }
}

/// In the last case, pruning removes more records than fit in one transaction.
#[test]
fn hashes_that_blocks_can_ask_for_stay() {
    for (last, keep) in [(255, 0), (256, 0), (300, 3), (3_000, 200)] {
        let store = MemoryStore::new();
        let batch = |number| DurableBatch { head: head(number), ..DurableBatch::default() };
        create(&store, b"{}", &batch(0), StateRoots::Computed).expect("an empty store");
        for number in 1..=last {
            commit(&store, &batch(number), Keep::blocks(5_000)).expect("it follows");
        }
        let pruned = prune(&store, keep, None).expect("in memory");
        // The block after the last one that stays, if all blocks that can be unwound are.
        let next = last - keep + 1;
        let oldest = next.saturating_sub(256);
        assert_eq!((pruned.undo_blocks, pruned.block_hashes), (last - keep, oldest));
        unwind(&store, keep, NonZeroUsize::MIN).expect("they are kept");
        let reader = open(&store).expect("a chain");
        assert_eq!(verify(&reader).expect("all is as it must be").block_hashes, next - oldest);
        for number in [0, oldest.saturating_sub(1), oldest, next - 1] {
            let found = reader.block_hash(number).expect("in memory");
            assert_eq!(found, (number >= oldest).then_some(head(number).hash), "{number}");
        }
    }
}
