//! Checks that the root after each update equals the root of a full computation.

use super::*;
use crate::{MemoryStore, SlotChange, StateStore};
use alloy_primitives::{KECCAK256_EMPTY, U256};
use alloy_trie::root::{state_root_unhashed, storage_root_unhashed};
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

/// Updates a trie from state to state, and checks the root after each.
fn follow(states: &[(Accounts, Vec<Address>)], threads: usize) -> Result<(), TestCaseError> {
    let store = MemoryStore::new();
    let mut before = Accounts::new();
    for (after, cleared) in states {
        let batch = batch(&before, after, cleared);
        let mut writes = Writes::default();
        let snapshot = store.snapshot().unwrap();
        let threads = NonZeroUsize::new(threads).unwrap();
        let root = update_state(&snapshot, &batch, threads, &mut writes).unwrap();
        let mut keys: Vec<_> = writes.0.iter().map(|write| &write.key).collect();
        keys.sort();
        prop_assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "a node is written twice");
        store.write(writes).unwrap();
        prop_assert_eq!(root, full_root(after));
        // No obsolete node remains, and each node has the hash that its parent states.
        let hashes = after.keys().map(|address| Ok(keccak256(address)));
        prop_assert!(walk(&store.snapshot().unwrap(), hashes).is_ok());
        before = after.clone();
    }
    Ok(())
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
    let check = |cases, addresses, slots, threads| {
        let mut runner = TestRunner::new(config(cases));
        let follows = |states: Vec<_>| follow(&states, threads);
        runner.run(&states(addresses, slots), follows).unwrap_or_else(|why| panic!("{why}"));
    };
    check(300, 6, 4, 1);
    check(100, 60, 40, 1);
    check(12, 1_000, 3, 3);
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
    follow(&states.map(|accounts| (accounts, Vec::new())), 3).unwrap();
}
