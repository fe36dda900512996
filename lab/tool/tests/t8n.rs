//! Output and exit codes of `braid-lab t8n`.
//!
//! 1. Streams and files give the same results, as do all numbers of workers and policies.
//! 2. Secret keys, signatures and RLP are equivalent inputs.
//! 3. Rejected transactions are listed in geth's words and are in no root.
//! 4. Failures have geth's exit codes.
//! 5. Outputs are valid inputs. Rewards depend on the distance of ommers.
//! 6. Tools that drive geth's `evm` recognise it.

use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

const COINBASE: &str = "0x00000000000000000000000000000000000000c0";
const SINK: &str = "0x00000000000000000000000000000000000000d0";
const KEY: &str = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8";
/// Address of [`KEY`].
const SENDER: &str = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b";

fn input(fork: &str) -> Value {
    let mut env = json!({
        "currentCoinbase": COINBASE, "currentGasLimit": "0x1c9c380", "currentNumber": "1",
        "currentTimestamp": "1000", "currentDifficulty": "0x20000",
    });
    if !matches!(fork, "Frontier" | "Berlin") {
        env["currentBaseFee"] = json!("0x7");
    }
    if matches!(fork, "Cancun" | "Prague" | "Osaka") {
        env["currentDifficulty"] = Value::Null;
        env["currentRandom"] = json!("0x0");
        env["withdrawals"] = json!([]);
        env["parentBeaconBlockRoot"] = json!(format!("0x{:064x}", 5));
        env["currentExcessBlobGas"] = json!("0x0");
        env["blockHashes"] = json!({"0": format!("0x{:064x}", 9)});
    }
    let transfer = |nonce: u64| {
        json!({
            "nonce": format!("{nonce:#x}"), "gas": "0x5208", "gasPrice": "0x10", "value": "0x1",
            "to": SINK, "input": "0x", "v": "0x0", "r": "0x0", "s": "0x0", "secretKey": KEY,
        })
    };
    json!({
        "alloc": {SENDER: {"balance": "1000000000000000000"}},
        "env": env,
        "txs": [transfer(0), transfer(2), transfer(1)],
    })
}

/// Runs the tool with its input on standard input.
fn run(input: &Value, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_braid-lab"))
        .args(["t8n", "--input.alloc=stdin", "--input.env=stdin", "--input.txs=stdin"])
        .args(["--output.alloc=stdout", "--output.result=stdout", "--output.body=stdout"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let mut stdin = child.stdin.take().expect("a stream");
    // A tool that rejects its arguments does not read its input.
    let _ = stdin.write_all(input.to_string().as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the tool ends")
}

#[track_caller]
fn parsed(input: &Value, fork: &str, arguments: &[&str]) -> Value {
    let output = run(input, &[&["--state.fork", fork], arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{fork}: {errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn streams_files_workers_and_policies_make_no_difference() {
    let input = input("Cancun");
    let expected = parsed(&input, "Cancun", &[]);
    for arguments in [["--workers", "1"], ["--policy", "speculative"], ["--workers", "5"]] {
        assert_eq!(parsed(&input, "Cancun", &arguments), expected, "{arguments:?}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    for name in ["alloc", "env", "txs"] {
        fs::write(path(&format!("{name}.json")), input[name].to_string()).expect("writes");
    }
    let status = Command::new(env!("CARGO_BIN_EXE_braid-lab"))
        .args(["t8n", "--state.fork", "Cancun", "--state.chainid", "1", "--state.reward", "-1"])
        .args(["--input.alloc", &path("alloc.json"), "--input.env", &path("env.json")])
        .args(["--input.txs", &path("txs.json"), "--output.basedir", &path("made/here")])
        .args(["--output.alloc", "after.json", "--output.body", "txs.rlp"])
        .status();
    assert!(status.expect("the tool starts").success());
    let written = |name: &str| -> Value {
        let text = fs::read_to_string(folder.path().join("made/here").join(name));
        serde_json::from_str(&text.expect("it is written")).expect("JSON")
    };
    assert_eq!(written("after.json"), expected["alloc"]);
    assert_eq!(written("result.json"), expected["result"]);
    assert_eq!(written("txs.rlp"), expected["body"]);
}

#[test]
fn keys_and_rlp_say_the_same() {
    for fork in ["Frontier", "Berlin", "London", "Osaka"] {
        let mut input = input(fork);
        input["txs"].as_array_mut().expect("a list").remove(1);
        if fork == "Osaka" {
            for (index, more) in
                [json!({"accessList": []}), json!({"maxFeePerGas": "0x10"})].into_iter().enumerate()
            {
                let tx = input["txs"][index].as_object_mut().expect("an object");
                tx.extend(more.as_object().expect("an object").clone());
            }
            input["txs"][1]["maxPriorityFeePerGas"] = json!("0x1");
        }
        let expected = parsed(&input, fork, &[]);
        assert_eq!(expected["result"]["receipts"].as_array().map(Vec::len), Some(2), "{fork}");
        input["txs"] = expected["body"].clone();
        assert_eq!(parsed(&input, fork, &[]), expected, "{fork}: as txs");
        input["txs"] = Value::Null;
        input["txsRlp"] = expected["body"].clone();
        assert_eq!(parsed(&input, fork, &[]), expected, "{fork}: as txsRlp");
        let first = &expected["result"]["receipts"][0];
        assert_eq!(first["root"] != "0x", fork == "Frontier", "{fork}: state roots in receipts");
    }
}

#[test]
fn rejected_transactions_are_listed_and_in_no_root() {
    let mut input = input("Osaka");
    let with = parsed(&input, "Osaka", &[])["result"].clone();
    assert_eq!(with["rejected"][0]["index"], 1);
    let error = with["rejected"][0]["error"].as_str().expect("text").to_owned();
    assert!(error.starts_with("nonce too high: address 0xa94f5374"), "{error}");
    input["txs"].as_array_mut().expect("a list").remove(1);
    let without = parsed(&input, "Osaka", &[])["result"].clone();
    for field in ["stateRoot", "txRoot", "receiptsRoot", "logsHash", "gasUsed", "receipts"] {
        assert_eq!(with[field], without[field], "{field}");
    }
    let mut expect = |change: Value, words: &str| {
        let tx = input["txs"][0].as_object_mut().expect("an object");
        let before = tx.clone();
        tx.extend(change.as_object().expect("an object").clone());
        let result = parsed(&input, "Osaka", &[])["result"].clone();
        let error = result["rejected"][0]["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(words), "{change}: {error}");
        input["txs"][0] = before.into();
    };
    expect(json!({"gas": "0x5207"}), "intrinsic gas too low");
    expect(json!({"gas": "0x1000001"}), "transaction exceeds maximum allowed gas limit");
    expect(json!({"gasPrice": "0x6"}), "max fee per gas less than block base fee");
    expect(json!({"value": "0xffffffffffffffffff"}), "insufficient funds for gas * price + value");
    expect(json!({"type": "0x9"}), "transaction type not supported");
    expect(json!({"gas": null}), "missing required field 'gas'");
    expect(json!({"v": "0x1b", "r": "0x0", "s": "0x1"}), "invalid transaction v, r, s values");
    let blob = json!({
        "type": "0x3", "maxFeePerGas": "0x10", "maxPriorityFeePerGas": "0x1",
        "maxFeePerBlobGas": "0x1", "blobVersionedHashes": [],
    });
    expect(blob.clone(), "blob transaction missing blob hashes");
    let mut create = blob;
    create["to"] = Value::Null;
    expect(create, "input string too short for common.Address");
}

#[test]
fn failures_have_the_exit_codes_of_geth() {
    let code = |input: &Value, arguments: &[&str]| run(input, arguments).status.code();
    let good = input("Cancun");
    assert_eq!(code(&good, &["--state.fork", "Nowhere"]), Some(3));
    for field in ["parentBeaconBlockRoot", "withdrawals", "currentRandom", "currentBaseFee"] {
        let mut input = good.clone();
        input["env"][field] = Value::Null;
        assert_eq!(code(&input, &["--state.fork", "Cancun"]), Some(3), "{field}");
    }
    let mut asks = good.clone();
    // PUSH1 0, BLOCKHASH: requests the hash of the parent, which may be missing.
    asks["alloc"][SINK] = json!({"balance": "0x0", "code": "0x600040"});
    asks["txs"][0]["gas"] = json!("0xffff");
    assert_eq!(code(&asks, &["--state.fork", "Cancun"]), Some(0));
    asks["env"]["blockHashes"] = json!({});
    assert_eq!(code(&asks, &["--state.fork", "Cancun"]), Some(4));
    assert_eq!(code(&json!([]), &["--state.fork", "Cancun"]), Some(10));
    let mut bad = good.clone();
    bad["env"]["currentGasLimit"] = json!("lots");
    assert_eq!(code(&bad, &["--state.fork", "Cancun"]), Some(10));
    bad = good.clone();
    bad["txs"] = json!([3]);
    assert_eq!(code(&bad, &["--state.fork", "Cancun"]), Some(10));
    assert_eq!(
        code(&good, &["--state.fork", "Cancun", "--output.basedir", "/dev/null/x"]),
        Some(11)
    );
    let missing = Command::new(env!("CARGO_BIN_EXE_braid-lab"))
        .args(["t8n", "--input.alloc", "/nowhere/alloc.json"])
        .output()
        .expect("the tool starts");
    assert_eq!(missing.status.code(), Some(11));
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(said.contains("ERROR(11)") && missing.stdout.is_empty(), "{said}");
}

#[test]
fn what_comes_out_can_go_in_again() {
    let mut input = input("Berlin");
    input["env"]["ommers"] = json!([
        {"delta": 1, "address": "0x00000000000000000000000000000000000000b1"},
        {"delta": 2, "address": "0x00000000000000000000000000000000000000b2"},
    ]);
    input["txs"] = json!([]);
    let first = parsed(&input, "Berlin", &["--state.reward", "320"]);
    let balance = |of: &str| first["alloc"][of]["balance"].clone();
    assert_eq!(balance(COINBASE), "0x154", "and two inclusions");
    assert_eq!(balance("0x00000000000000000000000000000000000000b1"), "0x118");
    assert_eq!(balance("0x00000000000000000000000000000000000000b2"), "0xf0");
    let mut again = input.clone();
    again["alloc"] = first["alloc"].clone();
    let second = parsed(&again, "Berlin", &["--state.reward=-1"]);
    assert_eq!(second["alloc"], first["alloc"]);
    assert_eq!(second["result"]["stateRoot"], first["result"]["stateRoot"]);
    // A reward of zero creates an account before EIP-161, and none afterwards.
    input["env"]["ommers"] = Value::Null;
    let coinbase = |fork: &str| parsed(&input, fork, &[])["alloc"][COINBASE].clone();
    assert_eq!(coinbase("Frontier"), json!({"balance": "0x0"}));
    assert_eq!(coinbase("Berlin"), Value::Null);
}

#[test]
fn system_contracts_that_are_missing_make_the_block_invalid() {
    let result = parsed(&input("Prague"), "Prague", &[])["result"].clone();
    let exception = result["blockException"].as_str().unwrap_or_default().to_owned();
    let missing = "0x00000961ef480eb55e80d19ad83579a64c007002";
    assert_eq!(exception, format!("System contract address {missing} does not contain code"));
    assert_eq!(result["requests"], json!([]));
    let alone = parsed(&input("Prague"), "Prague", &["--state-test"])["result"].clone();
    assert_eq!(alone["blockException"], Value::Null);
    assert_eq!(alone["receipts"].as_array().map(Vec::len), Some(1), "the first one alone");
}

/// The executable specification pays withdrawals before it calls the contracts for requests.
#[test]
fn withdrawals_are_paid_before_requests_are_collected() {
    let requests = "0x00000961ef480eb55e80d19ad83579a64c007002";
    let consolidations = "0x0000bbddc7ce488642fb579f8b00f3a590007251";
    let mut input = input("Prague");
    // SELFBALANCE PUSH0 SSTORE STOP
    input["alloc"][requests] = json!({"balance": "0x0", "code": "0x475f5500"});
    input["alloc"][consolidations] = json!({"balance": "0x0", "code": "0x00"});
    input["env"]["withdrawals"] = json!([
        {"index": "0x0", "validatorIndex": "0x0", "address": requests, "amount": "0x64"},
    ]);
    input["txs"] = json!([]);
    let after = parsed(&input, "Prague", &[]);
    assert_eq!(after["result"]["blockException"], Value::Null);
    let account = &after["alloc"][requests];
    assert_eq!(account["balance"], "0x174876e800");
    assert_eq!(
        account["storage"],
        json!({format!("0x{:064x}", 0): format!("0x{:064x}", 0x17_4876_e800_u64)})
    );
}

#[test]
fn blob_parameters_can_be_given() {
    let mut input = input("Cancun");
    let hash = format!("0x01{:062x}", 1);
    input["txs"] = json!([{
        "nonce": "0x0", "gas": "0x5208", "maxFeePerGas": "0x10", "maxPriorityFeePerGas": "0x1",
        "maxFeePerBlobGas": "0x1", "blobVersionedHashes": [hash, hash], "to": SINK, "input": "0x",
        "secretKey": KEY,
    }]);
    assert_eq!(parsed(&input, "Cancun", &[])["result"]["blobGasUsed"], "0x40000");
    input["blobParams"] = json!({"target": "0x1", "max": 1, "baseFeeUpdateFraction": 5_007_716});
    let result = parsed(&input, "Cancun", &["--input.blobParams=stdin"])["result"].clone();
    assert_eq!(result["rejected"][0]["index"], 0, "{result}");
}

#[test]
fn tools_that_drive_geth_recognise_it() {
    let lab = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_braid-lab")).args(arguments).output();
        let output = output.expect("the tool starts");
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(lab(&["-v"]).starts_with("evm version "));
    let help = lab(&["t8n", "--help"]);
    for fork in ["Frontier", "ConstantinopleFix", "Merge", "Shanghai", "Cancun", "Prague", "Osaka"]
    {
        assert!(help.contains(fork), "{fork}");
    }
    assert!(Path::new(env!("CARGO_BIN_EXE_braid-lab")).exists());
}
