//! Checks that the root after each update equals the root of a full computation.

use super::*;
use crate::{Head, MemoryStore, SlotChange, StateStore};
use alloy_primitives::{KECCAK256_EMPTY, U256};
use alloy_trie::{
    nodes::RlpNode,
    root::{state_root_unhashed, storage_root_unhashed},
};
use proptest::{collection, prelude::*, test_runner::TestRunner};
use std::collections::BTreeMap;

type Accounts = BTreeMap<Address, (u64, BTreeMap<U256, U256>)>;

/// Computes the root of the whole state with alloy's implementation.
fn full_root(accounts: &Accounts) -> B256 {
    state_root_unhashed(accounts.iter().map(|(address, (nonce, slots))| {
        let slots = slots.iter().map(|(slot, value)| (B256::from(*slot), *value));
        let leaf = TrieAccount {
            nonce: *nonce,
            balance: U256::from(*nonce),
            storage_root: storage_root_unhashed(slots),
            code_hash: KECCAK256_EMPTY,
        };
        (*address, leaf)
    }))
}

fn record(nonce: u64) -> AccountRecord {
    AccountRecord { nonce, balance: U256::from(nonce), code_hash: KECCAK256_EMPTY }
}

/// Returns the batch that leads from one state to another. The storage of accounts in `cleared` is
/// cleared.
fn batch(before: &Accounts, after: &Accounts, cleared: &[Address]) -> DurableBatch {
    let mut batch = DurableBatch::default();
    let mut addresses: Vec<_> = before.keys().chain(after.keys()).copied().collect();
    addresses.sort_unstable();
    addresses.dedup();
    for address in addresses {
        let of = |state: &Accounts| state.get(&address).cloned();
        let (old, new) = (of(before), of(after));
        let gone = new.is_none() || cleared.contains(&address);
        if old == new && !gone {
            continue;
        }
        let account = |state: &Option<(u64, _)>| state.as_ref().map(|(nonce, _)| record(*nonce));
        let (before, after) = (account(&old), account(&new));
        batch.accounts.push(crate::AccountChange { address, before, after, cleared: gone });
        let (old, new) = (old.unwrap_or_default().1, new.unwrap_or_default().1);
        let mut slots: Vec<_> = old.keys().chain(new.keys()).copied().collect();
        slots.sort_unstable();
        slots.dedup();
        for slot in slots {
            let value = |slots: &BTreeMap<_, _>| slots.get(&slot).copied().unwrap_or_default();
            let before = if gone { U256::ZERO } else { value(&old) };
            if before != value(&new) {
                batch.slots.push(SlotChange { address, slot, before, after: value(&new) });
            }
        }
    }
    batch
}

/// Updates the tries from state to state, with a cache of `limit` bytes and a flush of every third
/// state's nodes, and checks the root after each update. Every other update is one of shared tries;
/// before the others, an update of shared tries is dropped.
fn follow(
    states: &[(Accounts, Vec<Address>)],
    threads: usize,
    limit: u64,
) -> Result<(), TestCaseError> {
    let (store, cache) = (MemoryStore::new(), NodeCache::new(limit));
    let threads = NonZeroUsize::new(threads).unwrap();
    let (mut before, mut changed) = (Accounts::new(), ChangedNodes::default());
    for (index, (after, cleared)) in states.iter().enumerate() {
        let batch = batch(&before, after, cleared);
        let nodes = NodeOverlay::new(store.snapshot().unwrap(), changed.clone());
        let update = |tries: Tries| {
            let mut updated = UpdatedTries::new(&nodes, tries, &batch, threads).unwrap();
            updated.nodes.0.sort_by(|one, other| one.key.cmp(&other.key));
            updated
        };
        let mut updated = update(cache.share(&batch));
        agrees(&cache.tries.lock().unwrap(), &nodes);
        if index % 2 == 0 {
            let ahead = (updated.root, updated.nodes);
            drop(updated.tries);
            updated = update(cache.take(&batch));
            prop_assert_eq!((updated.root, &updated.nodes), (ahead.0, &ahead.1));
        }
        let UpdatedTries { root, nodes: writes, tries } = updated;
        let keys: Vec<_> = writes.0.iter().map(|write| &write.key).collect();
        prop_assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "a node is written twice");
        changed.add(writes);
        if index % 3 == 2 {
            let mut writes = Writes::default();
            changed.flush(&mut writes);
            prop_assert_eq!(changed.bytes(), 0);
            store.write(writes).unwrap();
        }
        cache.put(tries, Head::default(), ChangedNodes::default());
        let nodes = NodeOverlay::new(store.snapshot().unwrap(), changed.clone());
        prop_assert_eq!(root, full_root(after));
        prop_assert_eq!(root, state_root(&nodes).unwrap());
        // No obsolete node remains, and each node has the hash that its parent states.
        let hashes = after.keys().map(|address| Ok(keccak256(address)));
        prop_assert!(walk(&nodes, hashes).is_ok());
        agrees(&cache.tries.lock().unwrap(), &nodes);
        before = after.clone();
    }
    Ok(())
}

/// Checks that the store has every node that is in memory.
fn agrees<S: Snapshot>(tries: &Tries, snapshot: &S) {
    if let Some(root) = &tries.state {
        child_agrees(snapshot, Owner::State, &Nibbles::default(), root);
    }
    for (address, root) in &tries.storage {
        let root = root.as_ref().expect("an empty trie is not kept");
        child_agrees(snapshot, Owner::storage(*address), &Nibbles::default(), root);
    }
}

fn child_agrees<S: Snapshot>(snapshot: &S, owner: Owner, path: &Nibbles, child: &Child) {
    let Some(node) = &child.node else { return };
    let stored = owner.node(snapshot, path).unwrap().expect("the store has it").encode();
    assert!(!child.changed && node.encode() == stored);
    assert_eq!(child.reference, RlpNode::from_rlp(&stored));
    let agrees_below = |path: &Nibbles, below: &Child| {
        assert!(child.used >= below.used, "a node is older than one below it");
        child_agrees(snapshot, owner, path, below);
    };
    match &**node {
        Node::Leaf { .. } => {}
        Node::Extension { key, child } => agrees_below(&path.join(key), child),
        Node::Branch(children) => {
            assert!(children.len() > 1);
            children.iter().for_each(|(nibble, child)| agrees_below(&below(path, nibble), child));
        }
    }
}

fn states(addresses: u64, slots: u64) -> impl Strategy<Value = Vec<(Accounts, Vec<Address>)>> {
    let address = (0..addresses).prop_map(|index| Address::left_padding_from(&index.to_be_bytes()));
    let slot = (0..slots).prop_map(U256::from);
    let value = prop_oneof![1_u64..3, any::<u64>()].prop_map(|value| U256::from(value.max(1)));
    let storage = collection::btree_map(slot, value, 0..(slots as usize).min(12));
    let most = (addresses as usize).min(400);
    let accounts = collection::btree_map(address.clone(), (0_u64..3, storage), 0..most);
    collection::vec((accounts, collection::vec(address, 0..3)), 1..5)
}

#[test]
fn each_state_has_the_root_of_a_full_computation() {
    let config = |cases| ProptestConfig { cases, failure_persistence: None, ..<_>::default() };
    let check = |cases, addresses, slots, threads, limit| {
        let mut runner = TestRunner::new(config(cases));
        let follows = |states: Vec<_>| follow(&states, threads, limit);
        runner.run(&states(addresses, slots), follows).unwrap_or_else(|why| panic!("{why}"));
    };
    check(300, 6, 4, 1, 1 << 20);
    check(100, 6, 4, 1, 2_000);
    check(100, 60, 40, 1, 20_000);
    check(100, 60, 40, 1, 0);
    check(12, 1_000, 3, 3, 1 << 20);
}

/// The children of the root are updated on several threads, and then the root is no longer a
/// branch.
#[test]
fn a_wide_trie_shrinks_to_one_entry_and_to_none() {
    let address = |index: u64| Address::left_padding_from(&index.to_be_bytes());
    let account = |index: u64| (address(index), (index, BTreeMap::new()));
    let wide: Accounts = (0..1_000).map(account).collect();
    let one: Accounts = (7..8).map(account).collect();
    let states = [wide.clone(), one, wide.clone(), Accounts::new(), wide];
    follow(&states.map(|accounts| (accounts, Vec::new())), 3, 1 << 20).unwrap();
}

/// A storage trie that is updated on several threads, beside small ones.
#[test]
fn one_storage_trie_is_wide() {
    let account = |index: u64, slots: u64, value: u64| {
        let slots = (0..slots).map(|slot| (U256::from(slot), U256::from(value)));
        (Address::left_padding_from(&index.to_be_bytes()), (1, slots.collect()))
    };
    let state = |wide, value| -> Accounts {
        let small = (1..200).map(|index| account(index, 3, value));
        small.chain([account(0, wide, value)]).collect()
    };
    let states = [state(1_000, 1), state(1_000, 2), state(1, 3), state(2_000, 4), state(0, 5)];
    for threads in [1, 3] {
        follow(&states.clone().map(|accounts| (accounts, Vec::new())), threads, 1 << 20).unwrap();
    }
}

/// The cache evicts the nodes that have not been used for the longest time, and no more of them
/// than it must.
#[test]
fn the_oldest_nodes_are_evicted_first() {
    let address = |index: u64| Address::left_padding_from(&index.to_be_bytes());
    let state = |changed: u64| -> Accounts {
        (0..1_000)
            .map(|index| (address(index), (u64::from(index < changed), BTreeMap::new())))
            .collect()
    };
    let (store, cache) = (MemoryStore::new(), NodeCache::new(1 << 30));
    let update = |before: &Accounts, after: &Accounts| {
        let batch = batch(before, after, &[]);
        let snapshot = store.snapshot().unwrap();
        let tries = cache.take(&batch);
        let updated = UpdatedTries::new(&snapshot, tries, &batch, NonZeroUsize::MIN).unwrap();
        store.write(updated.nodes).unwrap();
        cache.put(updated.tries, Head::default(), ChangedNodes::default());
        cache.counts().get()
    };
    let all = || cache.tries.lock().unwrap().measure();
    update(&Accounts::new(), &state(0));
    assert_eq!(update(&state(0), &state(100)).misses, 0, "all nodes were in memory");
    let sizes = all();
    assert_eq!(sizes.keys().copied().collect::<Vec<_>>(), [1, 2]);
    cache.tries.lock().unwrap().evict(sizes[&2]);
    assert_eq!(all().into_iter().collect::<Vec<_>>(), [(2, sizes[&2])]);
    let misses = update(&state(100), &state(0)).misses;
    assert_eq!(misses, 0, "the nodes of the last update were still there");
    assert!(update(&state(0), &state(200)).misses > 0);
    cache.tries.lock().unwrap().evict(0);
    assert!(all().is_empty());
}
