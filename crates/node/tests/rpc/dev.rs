//! `braid-node dev`: accounts, mining, control of the chain, web pages, and clients that are not
//! ours.

use super::{clients, node::RpcNode, run_client};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The first account of the development mnemonic.
const FIRST: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const OTHER: &str = "0x00000000000000000000000000000000000000bb";

fn number(value: &Value) -> u64 {
    let text = value.as_str().expect("a quantity").trim_start_matches("0x");
    u64::from_str_radix(text, 16).expect("a number")
}

fn head(node: &RpcNode) -> (u64, u64) {
    let block = node.call("eth_getBlockByNumber", json!(["latest", false]));
    (number(&block["number"]), number(&block["timestamp"]))
}

fn pay(node: &RpcNode, value: &str) -> Value {
    let request = json!([{"from": FIRST, "to": OTHER, "value": value}]);
    node.call("eth_sendTransaction", request)
}

fn balance(node: &RpcNode, address: &str) -> Value {
    node.call("eth_getBalance", json!([address, "latest"]))
}

#[test]
fn a_transaction_is_mined_at_once_and_the_clock_stays_right() {
    let node = RpcNode::dev(&[]);
    assert_eq!(node.call("eth_chainId", json!([])), "0x7a69");
    let accounts = node.call("eth_accounts", json!([]));
    assert_eq!(accounts.as_array().map(Vec::len), Some(10));
    assert_eq!(balance(&node, FIRST), "0x21e19e0c9bab2400000");
    let begun = Instant::now();
    for sent in 1..=20_u64 {
        let hash = pay(&node, "0x1");
        // The receipt is there when the call returns.
        let receipt = node.call("eth_getTransactionReceipt", json!([hash]));
        assert_eq!((&receipt["status"], number(&receipt["blockNumber"])), (&json!("0x1"), sent));
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(head(&node).1.abs_diff(now) <= 2, "{} is not {now}", head(&node).1);
}

#[test]
fn the_node_signs_for_its_accounts_alone() {
    let node = RpcNode::dev(&[]);
    // As anvil signs it.
    let signature = "0xa114c834af73872c6c9efe918d85b0b1b34a486d10f9011e2630e28417c828c060dbd65cda67e73d52ebb7c555260621dbc1b0b4036acb61086bba091ac3f1641b";
    assert_eq!(node.call("eth_sign", json!([FIRST, "0xdeadbeef"])), signature);
    assert_eq!(node.call("personal_sign", json!(["0xdeadbeef", FIRST])), signature);
    for (method, params) in [
        ("eth_sign", json!([OTHER, "0x00"])),
        ("personal_sign", json!(["0x00", OTHER])),
        ("eth_signTypedData_v4", json!([OTHER, typed_data()])),
        ("eth_sendTransaction", json!([{"from": OTHER, "to": FIRST}])),
        ("eth_signTransaction", json!([{"from": OTHER, "to": FIRST}])),
    ] {
        let (code, message) = node.error(method, params);
        assert!(code == -32602 && message.starts_with("unknown account"), "{method}: {message}");
    }
    let typed = node.call("eth_signTypedData_v4", json!([FIRST, typed_data()]));
    let text = typed_data().to_string();
    assert_eq!(node.call("eth_signTypedData_v4", json!([FIRST, text])), typed);
    let (_, message) = node.error("eth_signTypedData_v4", json!([FIRST, {"types": {}}]));
    assert!(message.starts_with("no typed data"), "{message}");
    // A signed transaction is sent later.
    let request = json!([{"from": FIRST, "to": OTHER, "value": "0x5", "gasPrice": "0x77359400"}]);
    let made = node.call("eth_signTransaction", request);
    assert_eq!(balance(&node, OTHER), "0x0");
    node.call("eth_sendRawTransaction", json!([made["raw"]]));
    assert_eq!(balance(&node, OTHER), "0x5");
    assert_eq!(made["tx"]["type"], "0x0");
}

fn typed_data() -> Value {
    json!({
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}],
            "Mail": [{"name": "to", "type": "address"}, {"name": "text", "type": "string"}],
        },
        "primaryType": "Mail",
        "domain": {"name": "Braid"},
        "message": {"to": OTHER, "text": "hello"},
    })
}

#[test]
fn snapshots_lead_back_through_blocks_and_edits() {
    let node = RpcNode::dev(&[]);
    let code = "0x60425f5260205ff3";
    pay(&node, "0x1");
    let first = node.call("evm_snapshot", json!([]));
    node.call("anvil_setBalance", json!([OTHER, "0x64"]));
    node.call("hardhat_setNonce", json!([OTHER, "0x7"]));
    node.call("anvil_setCode", json!([OTHER, code]));
    let slot = format!("0x{:064x}", 9);
    node.call("hardhat_setStorageAt", json!([OTHER, "0x3", slot]));
    let second = node.call("evm_snapshot", json!([]));
    assert_eq!(balance(&node, OTHER), "0x64");
    assert_eq!(node.call("eth_getTransactionCount", json!([OTHER, "latest"])), "0x7");
    assert_eq!(node.call("eth_getCode", json!([OTHER, "latest"])), code);
    assert_eq!(node.call("eth_getStorageAt", json!([OTHER, "0x3", "latest"])), slot);
    assert_eq!(node.call("eth_call", json!([{"to": OTHER}])), format!("0x{:064x}", 0x42));
    // The state before the block is not edited.
    assert_eq!(node.call("eth_getBalance", json!([OTHER, "0x0"])), "0x0");
    let hash = pay(&node, "0x1");
    assert_eq!((balance(&node, OTHER), head(&node).0), (json!("0x65"), 2));
    assert_eq!(node.call("evm_revert", json!([second])), true);
    assert_eq!((balance(&node, OTHER), head(&node).0), (json!("0x64"), 1));
    assert_eq!(node.call("eth_getTransactionReceipt", json!([hash])), Value::Null);
    assert_eq!(node.call("evm_revert", json!([second])), false, "it is used up");
    // The same transaction again.
    assert_eq!(pay(&node, "0x1"), hash);
    assert_eq!(node.call("evm_revert", json!([first])), true);
    assert_eq!((balance(&node, OTHER), head(&node).0), (json!("0x1"), 1));
    assert_eq!(node.call("eth_getCode", json!([OTHER, "latest"])), "0x");
    assert_eq!(
        node.call("eth_getStorageAt", json!([OTHER, "0x3", "latest"])),
        format!("0x{:064x}", 0)
    );
    assert_eq!(node.call("evm_revert", json!(["0x77"])), false);
    node.call("anvil_setBalance", json!([OTHER, "0x64"]));
    node.call("anvil_reset", json!([]));
    assert_eq!((balance(&node, OTHER), head(&node).0), (json!("0x0"), 0));
    pay(&node, "0x3");
    assert_eq!((balance(&node, OTHER), head(&node).0), (json!("0x3"), 1));
    let (_, message) = node.error("hardhat_reset", json!([{"forking": {"jsonRpcUrl": "x"}}]));
    assert!(message.contains("forking is not supported"), "{message}");
}

#[test]
fn time_and_mining_are_controlled() {
    let node = RpcNode::dev(&[]);
    let (_, begun) = head(&node);
    assert_eq!(node.call("evm_increaseTime", json!([1_000])), 1_000);
    node.call("evm_mine", json!([]));
    let (number, time) = head(&node);
    assert!(number == 1 && (1_000..1_060).contains(&(time - begun)), "{time} {begun}");
    node.call("evm_setNextBlockTimestamp", json!([begun + 5_000]));
    pay(&node, "0x1");
    assert_eq!(head(&node), (2, begun + 5_000));
    let (code, message) = node.error("evm_setNextBlockTimestamp", json!([begun]));
    assert!(code == -32602 && message.contains("lower than the previous"), "{message}");
    node.call("hardhat_mine", json!(["0x3", "0xa"]));
    let (number, time) = head(&node);
    assert!(number == 5 && (20..40).contains(&(time - begun - 5_000)), "{time} {begun}");
    node.call("evm_mine", json!([{"blocks": 2}]));
    assert_eq!(head(&node).0, 7);
    node.error("anvil_mine", json!(["0xffffffffff"]));
    // Without automatic mining a transaction waits.
    node.call("evm_setAutomine", json!([false]));
    assert_eq!(node.call("hardhat_getAutomine", json!([])), false);
    let [first, second] = ["0x1", "0x2"].map(|value| pay(&node, value));
    assert_eq!(head(&node).0, 7);
    assert_eq!(node.call("anvil_dropTransaction", json!([second])), second);
    assert_eq!(node.call("anvil_dropTransaction", json!([second])), Value::Null);
    node.call("anvil_mine", json!([]));
    let receipt = |hash: &Value| node.call("eth_getTransactionReceipt", json!([hash]));
    assert_eq!(
        (receipt(&first)["blockNumber"].clone(), receipt(&second)),
        (json!("0x8"), Value::Null)
    );
    node.call("evm_setIntervalMining", json!([1]));
    let begun = Instant::now();
    while head(&node).0 < 10 {
        assert!(begun.elapsed() < Duration::from_secs(30), "no block at the interval");
        sleep(Duration::from_millis(50));
    }
    node.call("evm_setIntervalMining", json!([0]));
}

#[test]
fn contracts_and_accounts_without_keys_are_impersonated() {
    let node = RpcNode::dev(&[]);
    node.call("anvil_setBalance", json!([OTHER, "0xde0b6b3a7640000"]));
    node.call("anvil_setCode", json!([OTHER, "0x00"]));
    node.call("hardhat_impersonateAccount", json!([OTHER]));
    let send = || json!([{"from": OTHER, "to": FIRST, "value": "0x1"}]);
    let hash = node.call("eth_sendTransaction", send());
    let receipt = node.call("eth_getTransactionReceipt", json!([hash]));
    assert_eq!((&receipt["status"], &receipt["from"]), (&json!("0x1"), &json!(OTHER)));
    let found = node.call("eth_getTransactionByHash", json!([hash]));
    assert_eq!(found["from"], OTHER);
    node.call("hardhat_stopImpersonatingAccount", json!([OTHER]));
    assert!(node.error("eth_sendTransaction", send()).1.starts_with("unknown account"));
    node.call("anvil_autoImpersonateAccount", json!([true]));
    node.call("eth_sendTransaction", send());
}

#[test]
fn a_kept_chain_continues_also_with_impersonated_senders() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chain");
    let state = ["--state", path.to_str().expect("UTF-8")];
    let mut node = RpcNode::dev(&state);
    node.call("anvil_setBalance", json!([OTHER, "0xde0b6b3a7640000"]));
    node.call("anvil_impersonateAccount", json!([OTHER]));
    let hash = node.call("eth_sendTransaction", json!([{"from": OTHER, "to": FIRST}]));
    pay(&node, "0x1");
    let before = balance(&node, OTHER);
    node.stop();
    crate::chain::chain(&["verify", state[1]], 0);
    node.run_dev(&state);
    assert_eq!((balance(&node, OTHER), head(&node).0), (before, 2));
    assert_eq!(node.call("eth_getTransactionByHash", json!([hash]))["from"], OTHER);
    pay(&node, "0x1");
    assert_eq!(head(&node).0, 3);
    node.call("anvil_reset", json!([]));
    assert_eq!(head(&node).0, 0);
}

#[test]
fn an_ordinary_node_is_not_controlled() {
    let node = RpcNode::new();
    assert_eq!(node.call("eth_accounts", json!([])), json!([]));
    for method in ["evm_mine", "anvil_setBalance", "eth_sendTransaction", "evm_snapshot"] {
        assert_eq!(node.error(method, json!([])).0, -32601, "{method}");
    }
    let version = node.call("web3_clientVersion", json!([]));
    assert!(version.as_str().is_some_and(|name| name.starts_with("braid/")), "{version}");
}

#[test]
fn blocks_come_at_an_interval_without_transactions() {
    let mut node = RpcNode::new();
    node.end();
    node.run_paced(&["--block-time", "1"]);
    let begun = Instant::now();
    while head(&node).0 < 3 {
        assert!(begun.elapsed() < Duration::from_secs(30), "no blocks");
        sleep(Duration::from_millis(100));
    }
    assert_eq!(node.end()["transactions"], 0);
}

/// Sends a request as a web page of `origin` does, and returns status and headers.
fn page(node: &RpcNode, method: &str, origin: &str, more: &str) -> (String, String) {
    let head = format!("{method} / HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n{more}");
    let (status, headers, _) = node.exchange(&head, "");
    (status, headers.to_ascii_lowercase())
}

#[test]
fn web_pages_call_if_their_origin_is_allowed() {
    let preflight = "Connection: close\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let (mine, evil) = ("http://localhost:5173", "http://evil.example");
    let mut node = RpcNode::new();
    let allowed = "access-control-allow-origin";
    for (options, origins) in [
        (&[][..], [(mine, false), (evil, false)]),
        (&["--cors", mine], [(mine, true), (evil, false)]),
        (&["--cors", "*"], [(mine, true), (evil, true)]),
    ] {
        node.end();
        node.run(options);
        for (origin, may) in origins {
            let (status, headers) = page(&node, "OPTIONS", origin, preflight);
            assert!(status.contains(" 200 "), "{status}");
            assert_eq!(headers.contains(allowed), may, "{options:?} {origin}: {headers}");
            let (status, _) = page(&node, "GET", origin, upgrade);
            let wanted = if may { " 101 " } else { " 403 " };
            assert!(status.contains(wanted), "{options:?} {origin}: {status}");
        }
        // A program that is no browser has no origin.
        assert_eq!(node.call("eth_chainId", json!([])), "0x1b60");
    }
    let (status, body) = node.http("GET / HTTP/1.1\r\nHost: localhost", "");
    assert!(status.contains(" 200 "), "{status} {body}");
    node.end();
    let said = crate::chain::chain(&["run", "--cors", "*", &node.folder(), "x"], 2);
    assert!(said.contains("add --rpc"), "{said}");
}

/// Secret key of [`FIRST`].
const FIRST_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// Runs `cast` from `folder`, and returns its output.
fn cast(folder: &Path, node: &RpcNode, arguments: &[&str]) -> String {
    let mut cast = Command::new(folder.join("node_modules/.bin/cast"));
    let output = cast.args(arguments).args(["--rpc-url", &node.url()]).output();
    let output = output.expect("cast runs");
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).expect("text"));
    assert!(output.status.success(), "{arguments:?}: {said:?}");
    said[0].trim().to_owned()
}

#[test]
fn cast_sends_six_in_a_row() {
    let Some(folder) = clients() else { return };
    let node = RpcNode::dev(&[]);
    let cast = |arguments: &[&str]| cast(&folder, &node, arguments);
    let begun = Instant::now();
    for _ in 0..3 {
        cast(&["send", OTHER, "--value", "1", "--private-key", FIRST_KEY]);
        cast(&["send", OTHER, "--value", "1", "--unlocked", "--from", FIRST]);
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!((cast(&["balance", OTHER]), cast(&["block-number"])), ("6".into(), "6".into()));
    let signed = cast(&["rpc", "personal_sign", "0x00", FIRST]);
    assert_eq!(signed.len(), 2 + 2 + 130, "{signed}");
}

/// With cell proofs, and with the proofs of EIP-4844.
#[test]
fn cast_sends_blobs() {
    let Some(folder) = clients() else { return };
    let node = RpcNode::dev(&[]);
    let data = folder.join("blobs.txt");
    // More than one blob has room for.
    fs::write(&data, "data ".repeat(40_000)).expect("written");
    let path = data.to_str().expect("UTF-8");
    for form in [&[][..], &["--eip4844"]] {
        let send = ["send", OTHER, "--private-key", FIRST_KEY, "--blob", "--path", path, "--json"];
        let receipt = cast(&folder, &node, &[&send[..], form].concat());
        let receipt: Value = serde_json::from_str(&receipt).expect("JSON");
        assert_eq!(
            (&receipt["status"], &receipt["blobGasUsed"]),
            (&json!("0x1"), &json!("0x40000"))
        );
    }
    assert_eq!(node.call("eth_getBlockByNumber", json!(["0x2", false]))["blobGasUsed"], "0x40000");
}

#[test]
fn clients_that_are_not_ours_use_a_development_node() {
    let Some(folder) = clients() else { return };
    for name in ["dev-viem.mjs", "dev-ethers.mjs"] {
        let node = RpcNode::dev(&[]);
        run_client(name, &folder, &node.url());
    }
}
