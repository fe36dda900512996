use crate::{
    Limits, NodeConfig,
    testing::{Client, address, begun, begun_with, node},
};
use alloy_primitives::{Address, hex};
use serde_json::{Value, json};

const OTHER: Address = Address::repeat_byte(0xbb);

/// Returns the result for a creation whose code reads slot 0, writes slot 2, reads the balance of
/// `OTHER` and calls a precompile.
fn listed(is_declared: bool) -> Value {
    let store = begun_with(|genesis| {
        let config = &mut genesis.config;
        config.extra_fields.insert(braid_chain::DECLARED_ACCESSES.to_owned(), is_declared.into());
    });
    let node = node(&store, NodeConfig::default());
    let client = Client::new(&node.shared(), Limits::default());
    let looks = [&hex!("5f5450 6001600255 73")[..], OTHER.as_slice(), &hex!("3150")].concat();
    let calls = hex!("5f5f5f5f60045afa00");
    let data = hex::encode_prefixed([looks, calls.to_vec()].concat());
    client.result("eth_createAccessList", json!([{"from": address(0), "data": data}]))
}

fn entry(of: Address, slots: &[u8]) -> Value {
    let slots = slots.iter().map(|slot| format!("0x{slot:064x}"));
    json!({"address": of, "storageKeys": slots.collect::<Vec<_>>()})
}

fn sorted(mut entries: Vec<Value>) -> Vec<Value> {
    entries.sort_by_key(|entry| entry["address"].to_string().to_lowercase());
    entries
}

#[test]
fn a_list_has_what_is_not_warm_anyway() {
    let found = listed(false);
    let created = address(0).create(0);
    let expected = sorted(vec![entry(created, &[0, 2]), entry(OTHER, &[])]);
    let list = found["accessList"].as_array().expect("a list").clone();
    assert_eq!(sorted(list), expected);
    assert!(found.get("error").is_none(), "{found}");
}

#[test]
fn where_accesses_are_declared_it_says_which_only_read() {
    let found = listed(true);
    let list = found["accessList"].as_array().expect("a list").clone();
    let created = address(0).create(0);
    let precompile = Address::with_last_byte(4);
    let divider = list.iter().position(|it| *it == entry(address(0), &[])).expect("a divider");
    let reads = sorted(vec![entry(created, &[0]), entry(OTHER, &[]), entry(precompile, &[])]);
    assert_eq!(sorted(list[..divider].to_vec()), reads);
    assert_eq!(list[divider + 1..], [entry(created, &[2])]);
}

/// A failed transaction has accessed state, too.
#[test]
fn what_fails_has_a_list_and_says_why() {
    let store = begun();
    let node = node(&store, NodeConfig::default());
    let client = Client::new(&node.shared(), Limits::default());
    let request = json!([{"from": address(0), "data": "0x5f54505f5ffd"}]);
    let found = client.result("eth_createAccessList", request);
    assert!(found["error"].as_str().is_some_and(|error| error.contains("revert")), "{found}");
    assert_eq!(found["accessList"], json!([entry(address(0).create(0), &[0])]));
}
