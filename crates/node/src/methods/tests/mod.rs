//! Tests of arguments at their limits, and of the meaning of "pending".

mod execution;

use crate::{
    Limits, Node, NodeConfig,
    testing::{Client, address, begun, node, payment},
};
use alloy_primitives::{B256, U256};
use braid_chain::MemoryStore;
use serde_json::{Value, json};

/// Gas price of all transactions, which exceeds every base fee in these tests.
const PRICE: u128 = 10_000_000_000;

/// Makes a node after two blocks, and a client of it.
fn two_blocks() -> (Node<MemoryStore>, Client) {
    let mut node = node(&begun(), NodeConfig::default());
    for nonce in 0..2 {
        node.shared().send(payment(0, nonce, PRICE)).expect("admitted");
        node.step(0).expect("a block").expect("made");
    }
    node.chain().flush().expect("durable");
    let client = Client::new(&node.shared(), Limits::default());
    (node, client)
}

/// Calls code at "pending" that returns the result of this instruction.
fn pending(client: &Client, instruction: &str) -> U256 {
    let data = format!("0x{instruction}5f5260205ff3");
    let request = json!({"from": address(0), "data": data, "gasPrice": "0x2540be400"});
    quantity(&client.result("eth_call", json!([request, "pending"])))
}

fn quantity(value: &Value) -> U256 {
    value.as_str().expect("a quantity").parse().expect("a number")
}

#[test]
fn the_pending_block_is_the_one_that_pending_calls_run_in() {
    let (node, client) = two_blocks();
    let block = client.result("eth_getBlockByNumber", json!(["pending", true]));
    let head = client.result("eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!((&block["number"], &head["number"]), (&json!("0x3"), &json!("0x2")));
    assert_eq!(block["parentHash"], head["hash"]);
    for (instruction, field) in [("43", "number"), ("48", "baseFeePerGas"), ("45", "gasLimit")] {
        assert_eq!(pending(&client, instruction), quantity(&block[field]), "{field}");
    }
    let least = quantity(&head["timestamp"]) + U256::from(1);
    assert!(quantity(&block["timestamp"]) >= least && pending(&client, "42") >= least);
    // Waiting transactions are not part of the pending block.
    node.shared().send(payment(0, 2, PRICE)).expect("admitted");
    let block = client.result("eth_getBlockByNumber", json!(["pending", true]));
    assert_eq!((&block["transactions"], &block["gasUsed"]), (&json!([]), &json!("0x0")));
    let count = client.result("eth_getBlockTransactionCountByNumber", json!(["pending"]));
    assert_eq!(count, "0x0");
    assert_eq!(client.result("eth_getBlockReceipts", json!(["pending"])), json!([]));
    // The next block has the same fields, except those that depend on transactions.
    let next = client.result("eth_getBlockByNumber", json!(["pending", false]));
    for field in ["requestsHash", "withdrawalsRoot", "parentBeaconBlockRoot", "blobGasUsed"] {
        assert_eq!(next[field], head[field], "{field}");
    }
}

#[test]
fn no_blocks_of_fees_begin_at_zero() {
    let (_node, client) = two_blocks();
    for params in [json!(["0x0", "latest", []]), json!(["0x0", "latest", [50]])] {
        let fees = client.result("eth_feeHistory", params);
        assert_eq!(fees["oldestBlock"], "0x0", "{fees}");
        assert_eq!(fees["gasUsedRatio"], json!([]), "{fees}");
    }
    let fees = client.result("eth_feeHistory", json!(["0x1", "latest", []]));
    assert_eq!(fees["oldestBlock"], "0x2", "{fees}");
}

#[test]
fn logs_of_blocks_that_are_not_there_yet_are_an_error() {
    let (_node, client) = two_blocks();
    for range in [
        json!({"fromBlock": "0x3", "toBlock": "0x4"}),
        json!({"fromBlock": "0x1", "toBlock": "0x3"}),
        json!({"fromBlock": "0x1", "toBlock": "0xffffffffffffffff"}),
    ] {
        let (code, message) = client.error("eth_getLogs", json!([range]));
        assert_eq!(code, -32_602, "{range}: {message}");
        assert!(message.starts_with("block range extends beyond current head block"), "{message}");
    }
    for range in [json!({"fromBlock": "0x2", "toBlock": "0x2"}), json!({"fromBlock": "0x0"})] {
        assert_eq!(client.result("eth_getLogs", json!([range])), json!([]));
    }
}

#[test]
fn a_slot_is_hexadecimal_and_has_32_bytes_at_most() {
    let (_node, client) = two_blocks();
    let of = |slot: &Value| json!([address(0), slot, "latest"]);
    let digits = |count: usize| json!(format!("0x{}", "0".repeat(count)));
    for slot in [digits(0), digits(1), digits(63), digits(64), json!("0xAb")] {
        let value = client.result("eth_getStorageAt", of(&slot));
        assert_eq!(value, json!(B256::ZERO), "{slot}");
    }
    for slot in [
        digits(65),
        json!("00"),
        json!("12"),
        json!(""),
        json!("0xasdf"),
        json!("0x+1"),
        json!("0x_1"),
        json!(1),
        Value::Null,
    ] {
        let (code, message) = client.error("eth_getStorageAt", of(&slot));
        assert_eq!(code, -32_602, "{slot}: {message}");
    }
}

#[test]
fn data_and_input_that_differ_are_refused() {
    let (_node, client) = two_blocks();
    for method in ["eth_call", "eth_estimateGas", "eth_createAccessList"] {
        let request = json!([{"data": "0x00", "input": "0x01"}]);
        let (code, message) = client.error(method, request);
        assert_eq!(code, -32_602, "{method}: {message}");
        assert!(message.contains("data") && message.contains("input"), "{message}");
        client.result(method, json!([{"data": "0x00", "input": "0x00"}]));
    }
}
