//! Receipts in the store: for as many blocks as requested, equal to those of sequential execution.

use crate::{
    streams::{begun, block, config},
    support::Stream,
};
use braid_chain::{Chain, MemoryStore, StateStore, Table, Writes, open, prune, unwind, verify};
use std::num::NonZeroUsize;

/// Executes the blocks of `stream` in `range`, and keeps the receipts of the last `kept` blocks.
fn execute(store: &MemoryStore, stream: &Stream, range: core::ops::Range<usize>, kept: u64) {
    let mut config = config(2);
    config.keep.receipt_blocks = kept;
    let mut chain = Chain::open(store.clone(), config).expect("a chain");
    for next in &stream.blocks[range] {
        chain.execute(block(next)).expect("a valid block");
    }
    chain.flush().expect("it is written");
}

/// Asserts that the store has the receipts of exactly these blocks of `stream`.
fn has(store: &MemoryStore, stream: &Stream, blocks: &[usize]) {
    let reader = open(store).expect("a chain");
    for (index, output) in stream.outputs.iter().enumerate() {
        let found = reader.receipts(stream.head_of(index).number).expect("reads");
        let expected = blocks.contains(&index).then(|| output.receipts.clone());
        assert_eq!(found, expected, "block {index}");
    }
    let verified = verify(&reader).expect("all is as it must be");
    assert_eq!(verified.receipt_blocks, blocks.len() as u64);
}

fn has_logs(stream: &Stream) -> bool {
    let receipts = stream.outputs.iter().flat_map(|output| &output.receipts);
    receipts.flat_map(|receipt| &receipt.logs).count() > 3
}

#[test]
fn receipts_are_kept_of_as_many_blocks_as_asked() {
    let mut streams = (30..60).map(|seed| Stream::new(seed, 8));
    let stream = streams.find(has_logs).expect("some stream has logs");
    let store = begun(&stream);
    execute(&store, &stream, 0..2, 0);
    has(&store, &stream, &[]);
    execute(&store, &stream, 2..6, 3);
    has(&store, &stream, &[3, 4, 5]);
    // Without the option, stored receipts stay.
    execute(&store, &stream, 6..7, 0);
    has(&store, &stream, &[3, 4, 5]);
    // Unwinding a block removes its receipts.
    unwind(&store, 2, NonZeroUsize::MIN).expect("they are kept");
    has(&store, &stream, &[3, 4]);
    // Block 5 leaves a gap: earlier receipts stay until they are pruned.
    execute(&store, &stream, 5..6, 0);
    execute(&store, &stream, 6..8, 1);
    has(&store, &stream, &[3, 4, 7]);
    let pruned = prune(&store, 128, Some(1)).expect("in memory");
    assert_eq!((pruned.undo_blocks, pruned.receipt_blocks), (0, 2));
    has(&store, &stream, &[7]);
    // Receipts of a missing block are reported as damage.
    let mut writes = Writes::default();
    writes.put(Table::Receipts, 5_000_u64.to_be_bytes(), [0xc0]);
    store.write(writes).expect("in memory");
    let damage = verify(&open(&store).expect("a chain")).expect_err("it is damaged");
    assert!(damage.to_string().contains("receipts of an unknown block"), "{damage}");
}
