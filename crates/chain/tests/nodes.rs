//! Trie nodes that are written only every few blocks.

use crate::{
    streams::{begun, block, config},
    support::{Stream, contents},
};
use braid_chain::{
    Chain, Entry, Keep, MemoryStore, PastState, SCHEMA, Snapshot, StateStore, StateTries,
    StoreError, Table, Writes, open, prune, unwind, verify,
};

const SEED: u64 = 5;

/// Executes one block, and closes the chain.
fn execute(store: &MemoryStore, stream: &Stream, index: usize, keep: Keep) {
    let mut config = config(1);
    config.keep = keep;
    let mut chain = Chain::open(store.clone(), config).expect("a chain");
    chain.execute(block(&stream.blocks[index])).expect("a valid block");
    chain.flush().expect("it is written");
}

fn every(blocks: u64) -> Keep {
    keeping(128, blocks)
}

fn keeping(undo_blocks: u64, node_flush_blocks: u64) -> Keep {
    let mut keep = Keep::blocks(undo_blocks);
    keep.node_flush_blocks = node_flush_blocks;
    keep
}

/// Returns a chain of five blocks, all of whose nodes are in memory only.
fn unflushed(stream: &Stream) -> MemoryStore {
    let store = begun(stream);
    (0..5).for_each(|index| execute(&store, stream, index, every(16)));
    store
}

fn nodes(store: &MemoryStore) -> Vec<Entry> {
    let snapshot = store.snapshot().expect("readable");
    snapshot.scan(Table::Nodes, &[]).collect::<Result<_, _>>().expect("readable")
}

fn is_after(store: &MemoryStore, stream: &Stream, blocks: usize) {
    let (reader, state) = (open(store).expect("a chain"), &stream.states[blocks]);
    assert_eq!(contents(&reader), state.contents());
    assert_eq!(reader.state_root().expect("reads"), Some(state.root()));
    assert_eq!(verify(&reader).expect("all is as it must be").state_root, state.root());
}

/// Each chain is closed after one block, so all but the nodes of that block are computed again.
#[test]
fn nodes_are_written_every_few_blocks() {
    let stream = Stream::new(SEED, 7);
    for (keep, flushed) in [
        (every(0), [true; 7]),
        (every(1), [true; 7]),
        (every(3), [false, false, true, false, false, true, false]),
        (every(16), [false; 7]),
        (keeping(2, 16), [false, true, false, true, false, true, false]),
        (keeping(0, 16), [true; 7]),
    ] {
        let store = begun(&stream);
        let mut before = nodes(&store);
        for (index, is_flushed) in flushed.into_iter().enumerate() {
            execute(&store, &stream, index, keep);
            let after = nodes(&store);
            assert_eq!(before != after, is_flushed, "block {index} of {keep:?}");
            before = after;
            is_after(&store, &stream, index + 1);
        }
    }
}

#[test]
fn proofs_do_not_depend_on_what_is_written() {
    let stream = Stream::new(SEED, 5);
    let (lazy, eager) = (unflushed(&stream), begun(&stream));
    (0..5).for_each(|index| execute(&eager, &stream, index, every(1)));
    assert_ne!(nodes(&lazy), nodes(&eager));
    let proofs = |store: &MemoryStore| {
        let chain = Chain::open(store.clone(), config(1)).expect("a chain");
        let state = chain.state().expect("readable");
        let none = |_: &_, _| Ok::<_, StoreError>(None);
        let state = PastState::after(&state, state.head().number, none).expect("readable");
        let tries = StateTries::of(&state.expect("the head")).expect("readable").expect("roots");
        let of = |address| tries.prove_account(address).expect("readable");
        stream.states[5].accounts.keys().copied().map(of).collect::<Vec<_>>()
    };
    assert_eq!(proofs(&lazy), proofs(&eager));
}

#[test]
fn unwinding_and_pruning_need_no_nodes_in_the_store() {
    let stream = Stream::new(SEED, 6);
    let store = unflushed(&stream);
    unwind(&store, 2, Keep::default().root_threads).expect("it is kept");
    is_after(&store, &stream, 3);
    (3..5).for_each(|index| execute(&store, &stream, index, every(16)));
    is_after(&store, &stream, 5);
    // Without these undo records, nodes could not be computed.
    prune(&store, 1, None).expect("it can be written");
    is_after(&store, &stream, 5);
    execute(&store, &stream, 5, every(16));
    is_after(&store, &stream, 6);
}

#[test]
fn a_store_of_the_former_schema_goes_on() {
    let stream = Stream::new(SEED, 5);
    let store = begun(&stream);
    (0..3).for_each(|index| execute(&store, &stream, index, every(1)));
    let put = |schema: u32| {
        let mut writes = Writes::default();
        writes.put(Table::Meta, b"schema", schema.to_be_bytes());
        writes.remove(Table::Meta, b"nodes-head");
        store.write(writes).expect("written");
    };
    put(2);
    is_after(&store, &stream, 3);
    (3..5).for_each(|index| execute(&store, &stream, index, every(16)));
    is_after(&store, &stream, 5);
    let schema = store.snapshot().expect("readable").get(Table::Meta, b"schema");
    assert_eq!(schema.expect("readable"), Some(SCHEMA.to_be_bytes().to_vec()));
    put(1);
    let refused = open(&store).expect_err("too old");
    assert!(matches!(refused, StoreError::Schema { found: 1, expected: SCHEMA }));
}

#[test]
fn nodes_that_cannot_be_computed_are_an_error() {
    let stream = Stream::new(SEED, 6);
    let fails = |spoil: &dyn Fn(&mut Writes), why: &str| {
        let store = unflushed(&stream);
        let mut writes = Writes::default();
        spoil(&mut writes);
        store.write(writes).expect("written");
        let mut chain = Chain::open(store.clone(), config(1)).expect("a chain");
        let executed = chain.execute(block(&stream.blocks[5]));
        let refused = executed.and_then(|_| chain.flush()).expect_err("no nodes").to_string();
        assert!(refused.contains(why), "{refused}");
        let refused = verify(&open(&store).expect("a chain")).expect_err("no nodes").to_string();
        assert!(refused.contains(why), "{refused}");
    };
    let number = stream.head.number + 2;
    fails(
        &|writes| writes.remove(Table::Undo, number.to_be_bytes()),
        &format!("the undo record of block {number} is missing"),
    );
    let (first, last) = (stream.head.number, stream.head.number + 5);
    fails(
        &|writes| writes.put(Table::Meta, b"state-root", [7; 32]),
        &format!("the trie nodes of block {first} do not lead to the state root of block {last}"),
    );
}
