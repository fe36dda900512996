//! The archive has the states of sequential execution after all blocks, over restarts and unwinding,
//! when its undo records and hashes are pruned, and in a copy.

use crate::{
    streams::{block, config},
    support::Stream,
};
use alloy_primitives::{Address, U256, keccak256};
use braid_chain::{
    Chain, ChainConfig, DurableBatch, EmbeddedStore, Entry, Head, Keep, MemorySnapshot,
    MemoryStore, PastState, Snapshot, StateRoots, StateStore, StoreError, Table, Writes, commit,
    copy, create, open, prune, verify,
};
use revm::DatabaseRef;
use std::{collections::BTreeSet, ops::Range};

const BLOCKS: usize = 12;

/// Returns a configuration with few undo records.
fn keeping(archive: bool) -> ChainConfig {
    let mut config = config(2);
    config.keep.undo_blocks = 3;
    config.keep.archive = archive;
    config
}

/// Returns the block after which the state with this index is.
fn head_after(stream: &Stream, index: usize) -> Head {
    index.checked_sub(1).map_or(stream.head, |block| stream.head_of(block))
}

/// Opens the chain, and executes the blocks in `range`.
fn execute<S: StateStore + Clone>(store: &S, stream: &Stream, archive: bool, range: Range<usize>) {
    let mut chain = Chain::open(store.clone(), keeping(archive)).expect("a chain");
    for next in &stream.blocks[range] {
        chain.execute(block(next)).expect("a valid block");
    }
}

/// Compares the states before and after the first `head` blocks with those of sequential execution.
/// States before `since` must not be readable.
fn compare<S: StateStore + Clone>(store: &S, stream: &Stream, since: usize, head: usize) {
    let chain = Chain::open(store.clone(), keeping(false)).expect("a chain");
    let state = chain.state().expect("readable");
    let mut accounts = BTreeSet::<Address>::new();
    let mut slots = BTreeSet::<(Address, U256)>::new();
    for state in &stream.states {
        let (of_state, slots_of_state) = state.contents();
        accounts.extend(of_state.into_keys());
        slots.extend(slots_of_state.into_keys());
    }
    for (index, expected) in stream.states[..=head].iter().enumerate() {
        let number = stream.head.number + index as u64;
        let past = PastState::archived(&state, number).expect("readable");
        assert_eq!(past.is_some(), index >= since, "state {index}");
        let Some(past) = past else { continue };
        assert_eq!(past.is_archived(), index < head);
        for address in &accounts {
            let (found, expected) = (past.basic_ref(*address), expected.basic_ref(*address));
            let (found, expected) = (found.expect("readable"), expected.expect("a model"));
            assert_eq!(found, expected, "{address} in state {index}");
            if let Some(account) = found {
                let code = past.code_by_hash_ref(account.code_hash).expect("readable");
                assert_eq!(code.hash_slow(), account.code_hash);
            }
        }
        for (address, slot) in &slots {
            let found = past.storage_ref(*address, *slot).expect("readable");
            let expected = expected.storage_ref(*address, *slot).expect("a model");
            assert_eq!(found, expected, "slot {slot} of {address} in state {index}");
        }
        let hash = past.block_hash_ref(number).expect("readable");
        assert_eq!(hash, head_after(stream, index).hash);
        assert!(past.block_hash_ref(number + 1).expect("readable").is_zero());
    }
    let after = PastState::archived(&state, stream.head.number + head as u64 + 1);
    assert!(after.expect("readable").is_none());
    drop(chain);
    verify(&open(store).expect("a chain")).expect("all is as it must be");
}

/// Runs a chain that is an archive from the block `since` on.
fn run<S: StateStore + Clone>(store: &S, seed: u64, since: usize) {
    let stream = Stream::new(seed, BLOCKS as u64);
    create(store, b"{}", &stream.states[0].batch(stream.head), StateRoots::Computed)
        .expect("an empty store");
    execute(store, &stream, false, 0..since);
    execute(store, &stream, true, since..since + 1);
    // Without the option, the chain stays an archive.
    execute(store, &stream, false, since + 1..9);
    compare(store, &stream, since, 9);
    let mut chain = Chain::open(store.clone(), keeping(false)).expect("a chain");
    chain.unwind(3).expect("they are kept");
    drop(chain);
    compare(store, &stream, since, 6);
    execute(store, &stream, false, 6..BLOCKS);
    let pruned = prune(store, 0, Some(0)).expect("pruned");
    assert_eq!(pruned.undo_blocks, 3);
    compare(store, &stream, since, BLOCKS);
    let to = MemoryStore::new();
    copy(&open(store).expect("a chain"), &to, |_| {}).expect("copied");
    compare(&to, &stream, since, BLOCKS);
}

#[test]
fn every_state_is_that_of_sequential_execution() {
    for seed in 0..14 {
        run(&MemoryStore::new(), seed, seed as usize % 3 * 2);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(folder.path()).expect("a store");
    run(&store, 20, 0);
}

/// If blocks from before the archive are unwound, the archive has the states of those that replace
/// them.
#[test]
fn unwinding_can_make_the_archive_begin_earlier() {
    let stream = Stream::new(3, 8);
    let store = MemoryStore::new();
    create(&store, b"{}", &stream.states[0].batch(stream.head), StateRoots::Computed)
        .expect("an empty store");
    execute(&store, &stream, false, 0..5);
    execute(&store, &stream, true, 5..6);
    compare(&store, &stream, 5, 6);
    let mut chain = Chain::open(store.clone(), keeping(false)).expect("a chain");
    chain.unwind(3).expect("they are kept");
    drop(chain);
    compare(&store, &stream, 3, 3);
    execute(&store, &stream, false, 3..8);
    compare(&store, &stream, 3, 8);
}

/// Pruning leaves the hashes of blocks that a call in one of the archive's states can ask for.
#[test]
fn hashes_that_old_states_can_ask_for_stay() {
    let store = MemoryStore::new();
    let head = |number: u64| Head { number, hash: keccak256(number.to_be_bytes()) };
    let batch = |number| DurableBatch { head: head(number), ..DurableBatch::default() };
    create(&store, b"{}", &batch(0), StateRoots::Disabled).expect("an empty store");
    for number in 1..=600 {
        let mut keep = Keep::default();
        keep.archive = number > 300;
        commit(&store, &batch(number), keep).expect("it follows");
    }
    assert_eq!(prune(&store, 5, None).expect("pruned").block_hashes, 44);
    let hash = |number| open(&store).expect("a chain").block_hash(number).expect("readable");
    assert_eq!((hash(43), hash(44)), (None, Some(head(44).hash)));
}

/// A search finds the same in each store as a scan.
fn search(snapshot: &impl Snapshot) {
    let keys = ["", "a", "ab", "ab1", "ab3", "ac", "b"].map(str::as_bytes);
    for first in keys {
        for last in keys {
            let scan = snapshot.scan(Table::Archive, &[]).map(|entry| entry.expect("readable"));
            let expected = scan.into_iter().find(|(key, _)| first <= &**key && &**key <= last);
            let found = snapshot.first_in(Table::Archive, first, last).expect("readable");
            assert_eq!(found, expected, "{first:?} to {last:?}");
        }
    }
}

/// A snapshot with the default methods of the trait.
#[derive(Clone)]
struct Plain(MemorySnapshot);

impl Snapshot for Plain {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        self.0.scan(table, prefix)
    }
}

#[test]
fn the_first_entry_of_a_range_is_found_in_every_store() {
    let mut writes = Writes::default();
    for key in ["a", "ab2", "ab3", "b"] {
        writes.put(Table::Archive, key, key);
    }
    writes.put(Table::Undo, "ab1", "of another table");
    let folder = tempfile::tempdir().expect("a folder");
    let embedded = EmbeddedStore::open(folder.path()).expect("a store");
    let memory = MemoryStore::new();
    search(&memory.snapshot().expect("in memory"));
    memory.write(writes.clone()).expect("in memory");
    embedded.write(writes).expect("written");
    search(&memory.snapshot().expect("in memory"));
    search(&Plain(memory.snapshot().expect("in memory")));
    search(&embedded.snapshot().expect("a snapshot"));
}

/// Entries that are missing, changed, or of no block in the archive.
#[test]
fn damage_is_found() {
    let stream = Stream::new(5, 4);
    let store = MemoryStore::new();
    create(&store, b"{}", &stream.states[0].batch(stream.head), StateRoots::Computed)
        .expect("an empty store");
    execute(&store, &stream, true, 0..4);
    let reader = open(&store).expect("a chain");
    assert_eq!(reader.archived_since().expect("readable"), Some(stream.head.number));
    let first = reader.undo(stream.head.number + 4).expect("readable").expect("kept").accounts[0].0;
    let key = |number: u64| [&[0], first.as_slice(), &number.to_be_bytes()].concat();
    let last = stream.head.number + 4;
    for (number, value) in
        [(last, None), (last, Some(vec![7])), (last + 1, Some(Vec::new())), (3, Some(Vec::new()))]
    {
        let to = MemoryStore::new();
        copy(&reader, &to, |_| {}).expect("copied");
        let mut writes = Writes::default();
        match value {
            Some(value) => writes.put(Table::Archive, key(number), value),
            None => writes.remove(Table::Archive, key(number)),
        }
        to.write(writes).expect("in memory");
        let error = verify(&open(&to).expect("a chain")).expect_err("it is damaged").to_string();
        assert!(error.contains("the archive"), "{error}");
    }
}
