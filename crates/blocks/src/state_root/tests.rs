//! Compares a root computed from some nodes with the root of the whole state by another library.

use super::*;
use crate::errors::Made;
use alloy_primitives::{Address, B256, U256, keccak256, map::HashMap};
use alloy_rlp::Encodable;
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use eth_trie::{EthTrie, MemoryDB, Trie};
use proptest::prelude::*;
use revm::{
    database::{AccountStatus, BundleAccount, BundleState, states::StorageSlot},
    state::{AccountInfo, Bytecode},
};
use std::{collections::BTreeMap, sync::Arc};

/// Returns all nodes of the trie with these leaves, and its root.
fn trie_of(leaves: impl IntoIterator<Item = (B256, Vec<u8>)>) -> (B256, Vec<Vec<u8>>) {
    let mut trie = EthTrie::new(Arc::new(MemoryDB::new(false)));
    let mut any = false;
    for (key, value) in leaves {
        trie.insert(key.as_slice(), &value).expect("in memory");
        any = true;
    }
    if !any {
        return (EMPTY_ROOT_HASH, Vec::new());
    }
    let diff = trie.root_hash_with_changed_nodes().expect("in memory");
    (diff.root, diff.trie_diff.into_values().collect())
}

/// Returns the root of `state` and every node of all its tries.
fn all_nodes(state: &PlainState) -> (B256, Vec<Vec<u8>>) {
    let mut nodes = Vec::new();
    let mut leaves = Vec::new();
    for (address, account) in state.iter() {
        let slots = account.storage.iter();
        let slots =
            slots.map(|(slot, value)| (keccak256(B256::from(*slot)), alloy_rlp::encode(value)));
        let (storage_root, more) = trie_of(slots);
        nodes.extend(more);
        let (nonce, balance, code_hash) = (account.nonce, account.balance, account.code_hash());
        let mut leaf = Vec::new();
        TrieAccount { nonce, balance, storage_root, code_hash }.encode(&mut leaf);
        leaves.push((keccak256(address), leaf));
    }
    let (root, more) = trie_of(leaves);
    nodes.extend(more);
    (root, nodes)
}

/// A change to one account: its new balance, or its deletion; whether it is destroyed first; its
/// slots.
type Change = (Option<u64>, bool, BTreeMap<u8, u64>);

fn bundle_of(before: &PlainState, changes: &BTreeMap<u8, Change>) -> BundleState {
    let mut bundle = BundleState::default();
    for (place, (balance, destroyed, slots)) in changes {
        let address = Address::with_last_byte(*place);
        let old = before.get(&address);
        let info = |balance: u64| AccountInfo::from_balance(U256::from(balance));
        let present = balance.map(info);
        let storage: HashMap<U256, StorageSlot> = slots
            .iter()
            .filter(|_| present.is_some())
            .map(|(slot, value)| {
                let slot = U256::from(*slot);
                let old = old.and_then(|old| old.storage.get(&slot)).copied().unwrap_or_default();
                let old = if *destroyed { U256::ZERO } else { old };
                (slot, StorageSlot::new_changed(old, U256::from(*value)))
            })
            .collect();
        let status = match (&present, destroyed) {
            (None, _) => AccountStatus::Destroyed,
            (Some(_), true) => AccountStatus::DestroyedChanged,
            (Some(_), false) => AccountStatus::Changed,
        };
        let original = old.map(|old| AccountInfo::from_balance(old.balance));
        let account = BundleAccount::new(original, present, storage.into_iter().collect(), status);
        bundle.state.insert(address, account);
    }
    bundle
}

fn state_of(accounts: &BTreeMap<u8, (u64, BTreeMap<u8, u64>)>) -> PlainState {
    let mut state = PlainState::default();
    for (place, (balance, slots)) in accounts {
        let storage =
            slots.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value))).collect();
        let balance = U256::from(*balance);
        let account = PlainAccount { balance, storage, ..PlainAccount::default() };
        state.insert(Address::with_last_byte(*place), account);
    }
    state
}

fn slots() -> impl Strategy<Value = BTreeMap<u8, u64>> {
    prop::collection::btree_map(0_u8..24, prop_oneof![Just(0_u64), 1_u64..4], 0..12)
}

fn accounts() -> impl Strategy<Value = BTreeMap<u8, (u64, BTreeMap<u8, u64>)>> {
    prop::collection::btree_map(0_u8..40, (1_u64..4, slots()), 0..24)
}

fn changes() -> impl Strategy<Value = BTreeMap<u8, Change>> {
    let change = (prop::option::weighted(0.7, 0_u64..4), any::<bool>(), slots());
    prop::collection::btree_map(0_u8..40, change, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// With all nodes, the root is that of the whole state; with some missing, it is that root or
    /// an error.
    #[test]
    fn a_root_from_nodes_is_the_root_of_the_whole_state(
        accounts in accounts(),
        changes in changes(),
        kept in prop::collection::vec(prop::bool::weighted(0.9), 1..64),
    ) {
        let mut state = state_of(&accounts);
        let (before, nodes) = all_nodes(&state);
        prop_assert_eq!(before, state.root(), "both libraries agree before");
        let bundle = bundle_of(&state, &changes);
        state.apply(&bundle);
        let expected = state.root();
        prop_assert_eq!(Witness::new(before, &nodes).post_root(&bundle), Ok(expected));

        let some = nodes.iter().zip(kept.iter().cycle()).filter(|(_, kept)| **kept);
        match Witness::new(before, some.map(|(node, _)| node)).post_root(&bundle) {
            Ok(root) => prop_assert_eq!(root, expected),
            Err(PartialRootError::NotCheckable { .. }) => {}
            Err(broken) => prop_assert!(false, "{}", broken),
        }
    }
}

/// Returns a state in which removing the first account leaves a branch with one child.
fn two_accounts() -> (PlainState, B256, Vec<Vec<u8>>) {
    let state = state_of(&(0..2).map(|place| (place, (7, BTreeMap::new()))).collect());
    let (root, nodes) = all_nodes(&state);
    (state, root, nodes)
}

#[test]
fn a_missing_sibling_is_not_checkable() {
    let (state, root, nodes) = two_accounts();
    let bundle = bundle_of(&state, &[(0, (None, false, BTreeMap::new()))].into());
    let mut after = state.clone();
    after.apply(&bundle);
    assert_eq!(Witness::new(root, &nodes).post_root(&bundle), Ok(after.root()));
    // Every node but the root: the one that is removed, and its sibling.
    for missing in nodes.iter().filter(|node| keccak256(node) != root) {
        let some = nodes.iter().filter(|node| *node != missing);
        let error = Witness::new(root, some).post_root(&bundle).expect_err("a node is missing");
        let PartialRootError::NotCheckable { node, .. } = error else { panic!("{error}") };
        assert_eq!(node, keccak256(missing));
    }
    let error = Witness::new(root, [[0_u8; 0]; 0]).post_root(&bundle).expect_err("all is missing");
    assert!(error.to_string().starts_with("not checkable"), "{error}");
}

#[test]
fn another_bundle_gives_another_root() {
    let (state, root, nodes) = two_accounts();
    let witness = Witness::new(root, &nodes);
    let change =
        |balance| bundle_of(&state, &[(0, (Some(balance), false, BTreeMap::new()))].into());
    let roots: Vec<_> = (5..9).map(|balance| witness.post_root(&change(balance))).collect();
    assert_eq!(roots[2], Ok(root), "its old balance");
    for (index, one) in roots.iter().enumerate() {
        assert!(one.is_ok());
        assert!(roots[..index].iter().all(|other| one != other));
    }
}

#[test]
fn rubbish_among_the_nodes_changes_nothing() {
    let (state, root, mut nodes) = two_accounts();
    let bundle = bundle_of(&state, &[(0, (None, false, BTreeMap::new()))].into());
    let expected = Witness::new(root, &nodes).post_root(&bundle);
    nodes.extend([vec![], vec![0xc0], vec![0xff; 40], vec![0xc2, 0x80]]);
    assert_eq!(Witness::new(root, &nodes).post_root(&bundle), expected);
    // A root node that is no trie node.
    let rubbish = vec![0xc3, 0x01, 0x02, 0x03];
    let root = keccak256(&rubbish);
    Witness::new(root, [rubbish]).post_root(&bundle).expect_err("no trie");
}

#[test]
fn code_is_kept_with_the_account() {
    let code = Bytecode::new_raw([0x60, 0x00].into());
    let hash = keccak256(code.original_bytes());
    let mut state = PlainState::default();
    let mut bundle = BundleState::default();
    let info = AccountInfo { code_hash: hash, ..AccountInfo::default() };
    let created = BundleAccount::new(
        None,
        Some(info),
        [].into_iter().collect(),
        AccountStatus::InMemoryChange,
    );
    bundle.state.insert(Address::ZERO, created);
    bundle.contracts.insert(hash, code);
    state.apply(&bundle);
    assert_eq!(state.get(&Address::ZERO).map(PlainAccount::code_hash), Some(hash));
    assert_eq!(Witness::new(EMPTY_ROOT_HASH, [[0_u8; 0]; 0]).post_root(&bundle), Ok(state.root()));
}

#[test]
fn every_reason_for_which_there_is_no_root() {
    let (state, root, _) = two_accounts();
    let bundle = bundle_of(&state, &[(0, (None, false, BTreeMap::new()))].into());
    let mut made = Made::default();
    let error = Witness::new(root, [[0_u8; 0]; 0]).post_root(&bundle).expect_err("no nodes");
    made.add(&error, &["not checkable", "the state trie"]);
    // The leaf is not an account.
    let account = Address::with_last_byte(0);
    let (root, nodes) = trie_of([(keccak256(account), alloy_rlp::encode(7_u64))]);
    let error = Witness::new(root, &nodes).post_root(&bundle).expect_err("no account");
    made.add(&error, &[&account.to_string()]);
    made.has_all_of(include_str!("partial.rs"), "PartialRootError", &[]);

    let mut made = Made::default();
    let path = std::path::Path::new("gone.witness.json");
    let help = "without this file the state root is not compared";
    made.add(&Witness::read(path).expect_err("it is not there"), &["gone.witness.json", help]);
    made.add(&Witness::from_bytes(b"{}", path).expect_err("no witness"), &["nodes", help]);
    made.has_all_of(include_str!("witness.rs"), "WitnessError", &[]);
}
