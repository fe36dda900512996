//! Tests of error messages: they have geth's words, which ethers, viem, web3.py and cast search
//! for.

use crate::{
    Limits, NodeConfig,
    testing::{Client, address, begun, node},
};
use alloy_primitives::{Address, U256, hex};
use serde_json::{Value, json};

/// An account without ether.
const POOR: Address = Address::repeat_byte(0xcc);

fn client() -> Client {
    Client::new(&node(&begun(), NodeConfig::default()).shared(), Limits::default())
}

/// Returns code, message and data of the error that `method` returns.
fn error(client: &Client, method: &str, params: &Value) -> (i64, String, Value) {
    let answer = client.runtime.block_on(client.call(method, params.clone()));
    let error = &answer["error"];
    let code = error["code"].as_i64().unwrap_or_else(|| panic!("{method} {params}: {answer}"));
    (code, error["message"].as_str().expect("text").to_owned(), error["data"].clone())
}

#[test]
fn an_account_without_ether_has_insufficient_funds() {
    let client = client();
    let (poor, to) = (POOR.to_string(), address(0));
    for (request, cost) in [
        (json!({"from": poor, "to": to, "value": "0x1"}), 1),
        (json!({"from": poor, "to": to, "gasPrice": "0x3b9aca00"}), 21_000_000_000_000_u64),
        (
            json!({"from": poor, "to": to, "value": "0x2", "maxFeePerGas": "0x3b9aca00"}),
            21_000_000_000_002,
        ),
        (
            json!({"from": poor, "to": to, "gas": "0x5208", "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x1"}),
            21_000_000_000_000,
        ),
    ] {
        let wanted = format!(
            "insufficient funds for gas * price + value: address {poor} have 0 want {cost}"
        );
        let (code, message, _) = error(&client, "eth_estimateGas", &json!([request]));
        assert_eq!((code, &message), (-32_000, &wanted), "{request}");
        for method in ["eth_call", "eth_createAccessList"] {
            let mut request = request.clone();
            // Both methods run with the given gas, not with the gas that a transfer needs.
            request["gas"] = json!("0x5208");
            let (code, message, _) = error(&client, method, &json!([request, "latest"]));
            assert_eq!((code, &message), (-32_000, &wanted), "{method} {request}");
        }
    }
    // An account with too little ether.
    let request = json!({"from": address(0), "to": to, "value": "0xd3c21bcecceda1000000", "gasPrice": "0x3b9aca00"});
    let (_, message, _) = error(&client, "eth_estimateGas", &json!([request]));
    assert!(message.starts_with("insufficient funds for gas * price + value: "), "{message}");
    let request = json!({"from": address(0), "to": to, "gas": "0x1"});
    let (_, message, _) = error(&client, "eth_estimateGas", &json!([request]));
    assert_eq!(message, "gas required exceeds allowance (1)");
}

#[test]
fn what_ends_a_call_is_named() {
    let client = client();
    for (code, words) in [
        ("fe", "invalid opcode: INVALID"),
        ("0c", "invalid opcode: opcode 0xc not defined"),
        ("01", "stack underflow (0 <=> 2)"),
        ("5f81", "stack underflow (1 <=> 2)"),
        ("5f92", "stack underflow (1 <=> 4)"),
        ("5b5f5f56", "stack limit reached 1024 (1023)"),
        ("5b5f56", "out of gas"),
        ("5f56", "invalid jump destination"),
        ("60015f5f3e", "return data out of bounds"),
        ("60ef5f5360015ff3", "invalid code: must not begin with 0xef"),
        ("6160015ff3", "max code size exceeded"),
    ] {
        let request = json!([{"data": format!("0x{code}"), "gas": "0xf4240"}]);
        let (number, message, data) = error(&client, "eth_call", &request);
        assert_eq!((number, message.as_str()), (-32_000, words), "{code}");
        assert!(data.is_null(), "{data}");
        let is_gas = words == "out of gas";
        let estimated = if is_gas { "gas required exceeds allowance (1000000)" } else { words };
        let (number, message, _) = error(&client, "eth_estimateGas", &request);
        assert_eq!((number, message.as_str()), (-32_000, estimated), "{code}");
        let list = client.result("eth_createAccessList", request);
        assert_eq!(list["error"], words, "{list}");
    }
}

/// Makes init code that reverts with `data`.
fn reverts(data: &[u8]) -> String {
    let length = u8::try_from(data.len()).expect("short");
    let code = [&[0x60, length, 0x60, 10, 0x5f, 0x39, 0x60, length, 0x5f, 0xfd], data].concat();
    hex::encode_prefixed(code)
}

#[test]
fn reverts_say_why_and_have_their_data() {
    let client = client();
    let panic = |code: u64| [&hex!("4e487b71")[..], &U256::from(code).to_be_bytes::<32>()].concat();
    let text = [
        &hex!("08c379a0")[..],
        &U256::from(32).to_be_bytes::<32>(),
        &U256::from(3).to_be_bytes::<32>(),
        b"why",
        &[0; 29],
    ];
    for (output, words) in [
        (panic(0x01), ": assert(false)"),
        (panic(0x11), ": arithmetic underflow or overflow"),
        (panic(0x12), ": division or modulo by zero"),
        (panic(0x32), ": out-of-bounds access of an array or bytesN"),
        (panic(0x99), ": unknown panic code: 0x99"),
        (text.concat(), ": why"),
        (hex!("4e487b71").to_vec(), ""),
        (hex!("12345678").to_vec(), ""),
        (Vec::new(), ""),
    ] {
        let request = json!([{"data": reverts(&output)}]);
        for method in ["eth_call", "eth_estimateGas"] {
            let (code, message, data) = error(&client, method, &request);
            assert_eq!((code, message), (3, format!("execution reverted{words}")), "{method}");
            assert_eq!(data, hex::encode_prefixed(&output));
        }
        let list = client.result("eth_createAccessList", request);
        assert_eq!(list["error"], format!("execution reverted{words}"), "{list}");
    }
}

#[test]
fn fees_that_no_block_takes_are_told_with_their_amounts() {
    let client = client();
    let from = address(0);
    let block = client.result("eth_getBlockByNumber", json!(["latest", false]));
    let base_fee =
        block["baseFeePerGas"].as_str().expect("a fee").parse::<U256>().expect("a number");
    for (request, words) in [
        (
            json!({"from": from, "to": from, "maxFeePerGas": "0x1"}),
            format!(
                "max fee per gas less than block base fee: address {from}, maxFeePerGas: 1, baseFee: {base_fee}"
            ),
        ),
        (
            json!({"from": from, "to": from, "gasPrice": "0x2"}),
            format!(
                "max fee per gas less than block base fee: address {from}, maxFeePerGas: 2, baseFee: {base_fee}"
            ),
        ),
        (
            json!({"from": from, "to": from, "maxFeePerGas": "0x77359400", "maxPriorityFeePerGas": "0x77359401"}),
            format!(
                "max priority fee per gas higher than max fee per gas: address {from}, maxPriorityFeePerGas: 2000000001, maxFeePerGas: 2000000000"
            ),
        ),
    ] {
        for method in ["eth_call", "eth_estimateGas", "eth_createAccessList"] {
            let (code, message, _) = error(&client, method, &json!([request, "latest"]));
            assert_eq!((code, &message), (-32_000, &words), "{method}");
        }
    }
}
