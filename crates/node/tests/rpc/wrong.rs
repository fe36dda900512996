//! Invalid calls.

use super::node::{RpcNode, SENDER, raw};
use serde_json::json;

#[test]
fn what_is_wrong_has_a_code_and_the_node_goes_on() {
    let node = RpcNode::new();
    let send = |raw: String| node.error("eth_sendRawTransaction", json!([raw]));
    let zero = "0x0000000000000000000000000000000000000000000000000000000000000000";
    let cases = [
        (send("0x".into()), -32602, "no signed transaction"),
        (send("0xc0".into()), -32602, "no signed transaction"),
        (send(format!("{}00", raw(0, 1, 7_008, 21_000))), -32602, "bytes follow"),
        (send("0x03c0".into()), -32602, "no signed transaction"),
        (send(raw(0, 1, 1, 21_000)), -32003, "invalid chain ID"),
        (send(raw(0, 1, 7_008, 20_999)), -32003, "gas"),
        (send(raw(0, 1, 7_008, 17_000_000)), -32003, "gas"),
        (send(raw(256, 1, 7_008, 21_000)), -32003, "nonce too high"),
        (send("0xzz".into()), -32602, ""),
        (node.error("eth_nothing", json!([])), -32601, "the method eth_nothing does not exist"),
        (node.error("eth_getBalance", json!([])), -32602, "missing value for required argument 0"),
        (node.error("eth_getBalance", json!(["0x12"])), -32602, ""),
        (node.error("eth_getBalance", json!([SENDER, "0x1"])), -32000, "header not found"),
        (
            node.error("eth_getBalance", json!([SENDER, {"blockHash": zero}])),
            -32000,
            "header not found",
        ),
        (
            node.error("eth_getLogs", json!([{"fromBlock": "0x2", "toBlock": "0x1"}])),
            -32602,
            "after",
        ),
        (node.error("eth_feeHistory", json!(["0x1", "latest", [9, 1]])), -32602, "must rise"),
        (node.error("eth_feeHistory", json!(["0x1", "0x9", []])), -32000, "header not found"),
        (node.error("eth_call", json!([{"from": SENDER, "data": "0x5f5ffd"}])), 3, "reverted"),
        (node.error("eth_call", json!([{"data": "0xfe"}])), -32000, "invalid opcode: INVALID"),
        (
            node.error("eth_call", json!([{"to": SENDER, "value": "0x1"}])),
            -32000,
            "insufficient funds",
        ),
        (node.error("eth_estimateGas", json!([{"data": "0x5b5f56"}])), -32000, "exceeds allowance"),
        (
            node.error("eth_call", json!([{}, "latest", {SENDER: {"state": {}, "stateDiff": {}}}])),
            -32000,
            "has both 'state' and 'stateDiff'",
        ),
        (
            node.error("eth_call", json!([{}, "latest", {}, {"withdrawals": []}])),
            -32000,
            "not supported for this RPC method",
        ),
        (
            node.error("eth_call", json!([{}, "latest", {SENDER: {"balance": []}}])),
            -32602,
            "invalid argument 2: ",
        ),
    ];
    for (at, ((code, message), expected, words)) in cases.into_iter().enumerate() {
        assert_eq!(code, expected, "case {at}: {message}");
        assert!(message.contains(words), "case {at}: {message}");
    }
    let hash = node.transfer(0, 5);
    assert_eq!(node.receipt(&hash)["status"], "0x1");
    let again = node.error("eth_sendRawTransaction", json!([raw(0, 5, 7_008, 21_000)]));
    assert_eq!(again.0, -32003);
    assert!(again.1.starts_with("nonce too low"), "{again:?}");
    let before = node.call("eth_getBalance", json!([SENDER, "0x0"]));
    assert_eq!(before, "0x3635c9adc5dea00000");
    assert_eq!(node.call("eth_getBlockByNumber", json!(["0x9", false])), json!(null));
    assert_eq!(node.call("eth_getTransactionReceipt", json!([zero])), json!(null));
    assert_eq!(node.call("eth_estimateGas", json!([{"from": SENDER, "to": SENDER}])), "0x5208");
}
