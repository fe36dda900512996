//! Tests of calls with overrides, of simulated blocks, of proofs and of traces.

use super::{PRICE, quantity, two_blocks};
use crate::{
    Limits, Node, NodeConfig,
    testing::{Client, address, begun, begun_as, begun_with, node, payment},
};
use alloy_eips::{eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, eip7685::EMPTY_REQUESTS_HASH};
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof};
use braid_chain::{MemoryStore, StateRoots, open};
use serde_json::{Value, json};

/// Address without an account.
const CODE: Address = Address::repeat_byte(0xc0);
/// Account that [`payment`] pays one wei to.
const PAID: Address = Address::repeat_byte(0xbb);

/// Code that returns the word which these instructions put on the stack.
fn returning(instructions: &str) -> String {
    format!("0x{instructions}5f5260205ff3")
}

#[test]
fn calls_run_on_overridden_accounts() {
    let (_node, client) = two_blocks();
    let call = |account: Value| {
        let overrides = json!({ CODE.to_string(): account });
        quantity(&client.result("eth_call", json!([{"to": CODE}, "latest", overrides])))
    };
    assert_eq!(call(json!({"code": returning("47"), "balance": "0x1234"})), U256::from(0x1234));
    let (slot, value) = (B256::with_last_byte(1), B256::with_last_byte(9));
    for kind in ["state", "stateDiff"] {
        let storage = json!({ slot.to_string(): value });
        let found = call(json!({"code": returning("600154"), kind: storage}));
        assert_eq!(found, U256::from(9), "{kind}");
    }
    // The whole storage is replaced, or only the listed slots.
    let both = json!([{"to": CODE}, "latest", {
        CODE.to_string(): {"state": {}, "stateDiff": {}},
    }]);
    let (code, message) = client.error("eth_call", both);
    assert!(code == -32_000 && message.contains("has both 'state' and 'stateDiff'"), "{message}");
    // A sender without funds, and one with them.
    let pays = json!({"from": CODE, "to": PAID, "value": "0x5"});
    let (_, message) = client.error("eth_call", json!([pays, "latest"]));
    assert!(message.starts_with("insufficient funds"), "{message}");
    let rich = json!({ CODE.to_string(): {"balance": "0x5"} });
    client.result("eth_call", json!([pays, "latest", rich]));
    assert_eq!(client.result("eth_estimateGas", json!([pays, "latest", rich])), "0x5208");
}

#[test]
fn calls_run_in_an_overridden_block() {
    let (_node, client) = two_blocks();
    let block = json!({
        "number": "0x100", "time": "0x200", "gasLimit": "0x5f5e100", "feeRecipient": PAID,
        "prevRandao": B256::with_last_byte(7), "blobBaseFee": "0x11",
    });
    for (instruction, value) in [
        ("43", U256::from(0x100)),
        ("42", U256::from(0x200)),
        ("45", U256::from(100_000_000)),
        ("41", PAID.into_word().into()),
        ("44", U256::from(7)),
    ] {
        let call = json!([{"data": returning(instruction)}, "latest", {}, block]);
        assert_eq!(quantity(&client.result("eth_call", call)), value, "{instruction}");
    }
    let only_simulated = json!([{"to": PAID}, "latest", {}, {"beaconRoot": B256::ZERO}]);
    let (code, message) = client.error("eth_call", only_simulated);
    assert!(code == -32_000 && message.contains("beaconRoot"), "{message}");
}

#[test]
fn precompiles_move_and_are_replaced() {
    let (_node, client) = two_blocks();
    let (identity, moved) = (Address::with_last_byte(4), Address::repeat_byte(0x44));
    let call = |to: Address, overrides: &Value| {
        client.result("eth_call", json!([{"to": to, "data": "0xabcd"}, "latest", overrides]))
    };
    assert_eq!(call(identity, &json!({})), "0xabcd");
    let there = json!({ identity.to_string(): {"movePrecompileToAddress": moved} });
    assert_eq!((call(moved, &there), call(identity, &there)), (json!("0xabcd"), json!("0x")));
    let replaced = json!({ identity.to_string(): {"code": "0x60aa5f5260206000f3"} });
    assert_eq!(quantity(&call(identity, &replaced)), U256::from(0xaa));
    let no_precompile = json!({ CODE.to_string(): {"movePrecompileToAddress": moved} });
    let params = json!([{"to": CODE}, "latest", no_precompile]);
    let (code, message) = client.error("eth_call", params);
    assert!(code == -32_000 && message.ends_with("is not a precompile"), "{message}");
}

/// Returns the blocks that `eth_simulateV1` makes.
fn simulated(client: &Client, blocks: Value, more: Value) -> Vec<Value> {
    let mut payload = json!({"blockStateCalls": blocks});
    payload.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
    let answer = client.result("eth_simulateV1", json!([payload, "latest"]));
    answer.as_array().expect("blocks").clone()
}

#[test]
fn a_simulated_block_is_the_one_that_would_be_made() {
    let store = begun_as(StateRoots::Computed, |_| ());
    let mut made = node(&store, NodeConfig::default());
    let client = Client::new(&made.shared(), Limits::default());
    let price = format!("{PRICE:#x}");
    let call = json!({
        "from": address(0), "to": PAID, "value": "0x1", "gasPrice": price, "gas": "0x5208",
        "nonce": "0x0",
    });
    let blocks = simulated(&client, json!([{"calls": [call]}]), json!({"validation": true}));
    made.shared().send(payment(0, 0, PRICE)).expect("admitted");
    made.step(12).expect("works").expect("made");
    made.chain().flush().expect("durable");
    let block = client.result("eth_getBlockByNumber", json!(["latest", false]));
    for field in ["number", "gasUsed", "gasLimit", "baseFeePerGas", "receiptsRoot", "timestamp"] {
        assert_eq!(blocks[0][field], block[field], "{field}");
    }
    assert_eq!(blocks[0]["calls"][0]["status"], "0x1");
    // The blocks differ in the header's randomness only, which the state does not have.
    let root = open(&store).expect("a chain").state_root().expect("reads").expect("computed");
    assert_eq!(blocks[0]["stateRoot"], json!(root));
}

#[test]
fn simulated_blocks_see_each_other() {
    let (_node, client) = two_blocks();
    let count = "0x5f5460010180805f555f5260205ff3";
    let call = json!({"from": address(1), "to": CODE});
    let logs = json!({"from": address(1), "to": PAID, "value": "0x2"});
    let blocks = json!([
        {"stateOverrides": { CODE.to_string(): {"code": count} }, "calls": [call, call]},
        {"blockOverrides": {"number": "0x6"}, "calls": [call, logs, {"from": CODE, "to": PAID, "value": "0x1"}]},
    ]);
    let (code, message) = client.error("eth_simulateV1", json!([{"blockStateCalls": blocks}]));
    // The sender of the last call has nothing.
    assert!(code == -38_014 && message.contains("insufficient funds"), "{message}");
    let mut blocks = blocks;
    blocks[1]["calls"].as_array_mut().expect("calls").pop();
    let answer = simulated(&client, blocks, json!({"traceTransfers": true}));
    let numbers: Vec<_> = answer.iter().map(|block| quantity(&block["number"])).collect();
    assert_eq!(numbers, [3, 4, 5, 6].map(U256::from));
    let returned = |block: usize, call: usize| {
        quantity(&answer[block]["calls"][call]["returnData"]).to::<u64>()
    };
    assert_eq!((returned(0, 0), returned(0, 1), returned(3, 0)), (1, 2, 3));
    for (parent, child) in answer.iter().zip(&answer[1..]) {
        assert_eq!(child["parentHash"], parent["hash"]);
    }
    let log = &answer[3]["calls"][1]["logs"][0];
    assert_eq!(log["address"], "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
    assert_eq!((&log["blockHash"], quantity(&log["data"])), (&answer[3]["hash"], U256::from(2)));
}

/// Returns slot 0 of the contract that collects withdrawal requests, with this code, after one
/// simulated block.
fn left_by_requests(client: &Client, code: &str, block: Value) -> U256 {
    let contract = WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS;
    let with = |code: &str| json!({ contract.to_string(): {"code": code} });
    let mut first = json!({"stateOverrides": with(code)});
    first.as_object_mut().expect("members").extend(block.as_object().expect("members").clone());
    let reads = json!({"stateOverrides": with(&returning("5f54")), "calls": [{"to": contract}]});
    let answer = simulated(client, json!([first, reads]), json!({}));
    quantity(&answer[1]["calls"][0]["returnData"])
}

#[test]
fn simulated_withdrawals_are_paid_before_requests_are_collected() {
    let (_node, client) = two_blocks();
    let withdrawal = json!({
        "index": "0x0", "validatorIndex": "0x0", "amount": "0x64",
        "address": WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    });
    let block = json!({"blockOverrides": {"withdrawals": [withdrawal]}});
    // SELFBALANCE PUSH0 SSTORE STOP
    assert_eq!(left_by_requests(&client, "0x475f5500", block), U256::from(0x17_4876_e800_u64));
}

#[test]
fn requests_are_collected_with_warm_precompiles_after_a_call() {
    let (_node, client) = two_blocks();
    // Stores and returns the gas of a balance read of the precompile 2.
    let looks =
        format!("0x5a73{}31505a9003805f555f5260205ff3", hex::encode(Address::with_last_byte(2)));
    assert_eq!(left_by_requests(&client, &looks, json!({})), U256::from(2_607));
    let block = json!({"calls": [{"to": PAID}]});
    assert_eq!(left_by_requests(&client, &looks, block), U256::from(107));
}

/// A deposit event has one layout (EIP-6110). Other layouts with the same fields are not accepted.
#[test]
fn simulated_deposits_have_the_layout_of_the_specification() {
    const FIELDS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];
    let store = begun_with(|genesis| genesis.config.deposit_contract_address = Some(CODE));
    let made = node(&store, NodeConfig::default());
    let client = Client::new(&made.shared(), Limits::default());
    // Logs its input as `DepositEvent`.
    let topic = keccak256("DepositEvent(bytes,bytes,bytes,bytes,bytes)");
    let code = format!("0x365f5f377f{}365fa100", hex::encode(topic));
    let payload = |unused: usize| {
        let mut event = vec![0; 576 + unused];
        for (index, (offset, length)) in FIELDS.into_iter().enumerate() {
            let offset = offset + unused;
            event[32 * index + 30..32 * index + 32].copy_from_slice(&(offset as u16).to_be_bytes());
            event[offset + 31] = length as u8;
        }
        let call = json!({"to": CODE, "data": Bytes::from(event)});
        let overrides = json!({ CODE.to_string(): {"code": code} });
        json!({"blockStateCalls": [{"stateOverrides": overrides, "calls": [call]}]})
    };
    let right = client.result("eth_simulateV1", json!([payload(0), "latest"]));
    assert_eq!(right[0]["calls"][0]["status"], "0x1");
    assert_ne!(right[0]["requestsHash"], json!(EMPTY_REQUESTS_HASH));
    // An unused word precedes the fields.
    let (_, message) = client.error("eth_simulateV1", json!([payload(32), "latest"]));
    assert!(message.contains("malformed deposit event"), "{message}");
}

#[test]
fn simulations_are_limited() {
    let (node, _) = two_blocks();
    let limits = Limits { call_gas: 1_000_000, ..Limits::default() };
    let client = Client::new(&node.shared(), limits);
    let error = |payload: Value| client.error("eth_simulateV1", json!([payload, "latest"]));
    let (code, message) = error(json!({"blockStateCalls": []}));
    assert_eq!((code, message.as_str()), (-32_602, "empty input"));
    let far = json!({"blockStateCalls": [{"blockOverrides": {"number": "0x103"}}]});
    assert_eq!(error(far).0, -38_026);
    let many = vec![json!({"to": PAID}); 5_001];
    assert_eq!(error(json!({"blockStateCalls": [{"calls": many}]})).0, -38_026);
    let back = json!({"blockStateCalls": [{"blockOverrides": {"number": "0x2"}}]});
    assert_eq!(error(back).0, -38_020);
    let early = json!({"blockStateCalls": [{"blockOverrides": {"time": "0x1"}}]});
    assert_eq!(error(early).0, -38_021);
    // All calls of a request share the gas of one call.
    let spins = json!({"data": "0x5b5f56"});
    let answer = simulated(&client, json!([{"calls": [spins]}]), json!({}));
    assert_eq!(answer[0]["calls"][0]["gasUsed"], "0xf4240");
    assert_eq!(answer[0]["calls"][0]["error"]["code"], -32_015);
    let (code, message) =
        error(json!({"blockStateCalls": [{"calls": [spins]}, {"calls": [spins]}]}));
    assert!(code == -38_013 && message.contains("supplied gas 0"), "{message}");
}

fn make(node: &mut Node<MemoryStore>, nonce: u64) {
    node.shared().send(payment(0, nonce, PRICE)).expect("admitted");
    node.step(0).expect("works").expect("made");
    node.chain().flush().expect("durable");
}

/// Each account and slot is proved against the root after each block, of a contract that stores the
/// block's number in the slot of that number.
#[test]
fn accounts_and_slots_are_proved_in_earlier_states() {
    let contract = Address::repeat_byte(0xbb);
    let store = begun_as(StateRoots::Computed, |genesis| {
        let code: Bytes = hex!("43435500").into();
        let account = genesis.alloc.entry(contract).or_default();
        (account.code, account.nonce) = (Some(code), Some(1));
    });
    let mut made = node(&store, NodeConfig::default());
    let root = || open(&store).expect("a chain").state_root().expect("reads").expect("computed");
    let mut roots = vec![root()];
    for nonce in 0..5 {
        let tx = alloy_consensus::TxLegacy {
            chain_id: Some(crate::testing::CHAIN),
            nonce,
            gas_price: PRICE,
            gas_limit: 100_000,
            to: contract.into(),
            ..Default::default()
        };
        let tx = crate::testing::sign(0, tx);
        let tx = braid_chain::pool::SignedTransaction::Legacy(tx);
        made.shared().send(tx).expect("admitted");
        made.step(0).expect("works").expect("made");
        made.chain().flush().expect("durable");
        roots.push(root());
    }
    let client = Client::new(&made.shared(), Limits::default());
    let nodes = |value: &Value| -> Vec<Bytes> {
        serde_json::from_value(value.clone()).expect("byte strings")
    };
    for (number, root) in roots.iter().enumerate() {
        for account in [contract, address(0), CODE] {
            let slots: Vec<_> = (1..=6).map(|slot| format!("{slot:#x}")).collect();
            let params = json!([account, slots, format!("{number:#x}")]);
            let proof = client.result("eth_getProof", params);
            let balance = quantity(&proof["balance"]);
            let leaf = TrieAccount {
                nonce: quantity(&proof["nonce"]).to(),
                balance,
                storage_root: proof["storageHash"].as_str().expect("text").parse().expect("hash"),
                code_hash: proof["codeHash"].as_str().expect("text").parse().expect("hash"),
            };
            let value = (account != CODE).then(|| alloy_rlp::encode(leaf));
            let key = Nibbles::unpack(keccak256(account));
            verify_proof(*root, key, value, &nodes(&proof["accountProof"])).expect("proved");
            for (slot, proved) in (1_u64..).zip(proof["storageProof"].as_array().expect("slots")) {
                let is_set = account == contract && slot <= number as u64;
                let wanted = if is_set { U256::from(slot) } else { U256::ZERO };
                assert_eq!(quantity(&proved["value"]), wanted, "slot {slot} after {number}");
                let key = Nibbles::unpack(keccak256(B256::from(U256::from(slot))));
                let value = is_set.then(|| alloy_rlp::encode(wanted));
                let nodes = nodes(&proved["proof"]);
                verify_proof(leaf.storage_root, key, value, &nodes).expect("proved");
            }
        }
    }
}

#[test]
fn a_chain_without_state_roots_proves_nothing() {
    let (_node, client) = two_blocks();
    let (code, message) = client.error("eth_getProof", json!([PAID, [], "latest"]));
    assert!(code == -32_000 && message.contains("no state roots"), "{message}");
}

#[test]
fn transactions_and_blocks_are_traced() {
    let (_node, client) = two_blocks();
    let block = client.result("eth_getBlockByNumber", json!(["0x2", false]));
    let hash = &block["transactions"][0];
    let calls = json!({"tracer": "callTracer"});
    let traced = client.result("debug_traceTransaction", json!([hash, calls]));
    let wanted = json!({"from": address(0), "to": PAID, "value": "0x1", "gasUsed": "0x5208"});
    for (name, value) in wanted.as_object().expect("members") {
        assert_eq!(traced[name], *value, "{name}");
    }
    let all = json!([{"txHash": hash, "result": traced}]);
    for (method, id) in [
        ("debug_traceBlockByNumber", json!("0x2")),
        ("debug_traceBlockByHash", block["hash"].clone()),
    ] {
        assert_eq!(client.result(method, json!([id, calls])), all, "{method}");
    }
    // The state before the second payment.
    let before = json!({"tracer": "prestateTracer"});
    let before = client.result("debug_traceTransaction", json!([hash, before]));
    assert_eq!(before[PAID.to_string().to_lowercase()]["balance"], "0x1");
    let steps = client.result("debug_traceCall", json!([{"data": "0x60015f55"}, "latest", {}]));
    let names: Vec<_> = steps["structLogs"].as_array().expect("steps").iter().collect();
    let names: Vec<_> = names.iter().map(|step| step["op"].as_str().expect("a name")).collect();
    assert_eq!(names, ["PUSH1", "PUSH0", "SSTORE", "STOP"]);
    let selectors =
        json!([{"to": PAID, "data": "0x01020304"}, "latest", {"tracer": "4byteTracer"}]);
    assert_eq!(client.result("debug_traceCall", selectors), json!({"0x01020304-0": 1}));
    let parity = client.result("trace_transaction", json!([hash]));
    assert_eq!(parity[0]["action"]["to"], json!(PAID.to_string().to_lowercase()));
    assert_eq!(client.result("trace_block", json!(["0x2"])), parity);
    assert_eq!(
        client.error("debug_traceBlockByNumber", json!(["0x0"])).1,
        "genesis is not traceable"
    );
    // Too many instructions to record.
    let spins = json!([{"data": "0x5b5f56"}, "latest", {}]);
    let (code, message) = client.error("debug_traceCall", spins);
    assert!(code == -32_005 && message.contains("records of instructions"), "{message}");
}

#[test]
fn the_pool_and_the_chain_are_described() {
    let mut made = node(&begun(), NodeConfig::default());
    let client = Client::new(&made.shared(), Limits::default());
    for nonce in [0, 1, 3] {
        made.shared().send(payment(0, nonce, PRICE)).expect("admitted");
    }
    let status = client.result("txpool_status", json!([]));
    assert_eq!(status, json!({"pending": "0x2", "queued": "0x1"}));
    let name = address(0).to_checksum(None);
    let content = client.result("txpool_content", json!([]));
    assert_eq!(content["queued"][&name]["3"]["nonce"], "0x3");
    let of_one = client.result("txpool_contentFrom", json!([address(0)]));
    assert_eq!(of_one["pending"], content["pending"][&name]);
    let summary = client.result("txpool_inspect", json!([]));
    let wanted = format!("{}: 1 wei + 21000 gas \u{d7} {PRICE} wei", PAID.to_checksum(None));
    assert_eq!(summary["pending"][&name]["0"], wanted);
    make(&mut made, 2);
    let block = client.result("eth_getBlockByNumber", json!(["latest", true]));
    let one = json!([block["hash"], "0x1"]);
    let found = client.result("eth_getTransactionByBlockHashAndIndex", one);
    assert_eq!(found, block["transactions"][1]);
    let raw = client.result("debug_getRawBlock", json!(["latest"]));
    let raw: Bytes = serde_json::from_value(raw).expect("bytes");
    assert_eq!(quantity(&block["size"]), U256::from(raw.len()));
    let header = client.result("debug_getRawHeader", json!([block["hash"]]));
    let header: Bytes = serde_json::from_value(header).expect("bytes");
    assert_eq!(json!(keccak256(header)), block["hash"]);
    let bytes = client.result("debug_getRawTransaction", json!([found["hash"]]));
    let bytes: Bytes = serde_json::from_value(bytes).expect("bytes");
    assert_eq!(json!(keccak256(bytes)), found["hash"]);
    assert_eq!(client.result("eth_getUncleCountByBlockNumber", json!(["latest"])), "0x0");
    assert_eq!(client.result("web3_sha3", json!(["0x"])), json!(keccak256([])));
}

#[test]
fn a_transaction_is_sent_until_it_has_a_receipt() {
    use alloy_eips::eip2718::Encodable2718;
    let mut made = node(&begun(), NodeConfig::default());
    let client = Client::new(&made.shared(), Limits::default());
    let raw = |nonce| Bytes::from(payment(0, nonce, PRICE).encoded_2718());
    // No block is made.
    let (code, message) = client.error("eth_sendRawTransactionSync", json!([raw(0), "0x1"]));
    assert!(code == 4 && message.starts_with("The transaction was added"), "{message}");
    let receipt = std::thread::scope(|scope| {
        let sent = scope.spawn(|| client.result("eth_sendRawTransactionSync", json!([raw(1)])));
        while !sent.is_finished() {
            made.step(0).expect("works");
            made.chain().flush().expect("durable");
        }
        sent.join().expect("no panic")
    });
    assert_eq!((&receipt["status"], &receipt["from"]), (&json!("0x1"), &json!(address(0))));
}
