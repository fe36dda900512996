//! `braid-node run --rpc`.
//!
//! 1. Third-party clients, viem and ethers from npm, deploy a contract, send transactions, and read
//!    logs and receipts. Skipped if npm is missing or cannot download them, which is a failure with
//!    `BRAID_REQUIRE_FIXTURES=1`.
//! 2. Invalid input of a client gets an error with a code, and the node continues.
//! 3. Bytes, calls and connections are limited.
//! 4. With `--metrics`, requests of clients are counted, and a real Prometheus answers the
//!    dashboard's queries.
//! 5. After a restart, also after `kill -9`, the chain has its blocks, receipts and logs, and the pool
//!    its transactions.

mod dev;
mod follow;
mod limits;
pub(crate) mod node;
mod watched;
mod wrong;

use crate::{
    chain::{chain, json},
    support::skipped,
};
use alloy_primitives::hex;
use node::RpcNode;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

/// Returns the folder of this package.
fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the folder with the clients, or `None` after reporting that it is missing.
fn clients() -> Option<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rpc-client");
    match installed(&folder) {
        Ok(()) => Some(folder),
        Err(why) => {
            skipped(&format!("nothing comes from npm: {why}"));
            None
        }
    }
}

/// Installs the packages of the lock file, unless the same ones are installed.
fn installed(folder: &Path) -> Result<(), String> {
    let wanted = package().join("../../xtask/rpc-client");
    let lock = "package-lock.json";
    let read = |folder: &Path| fs::read(folder.join(lock)).ok();
    let has = |name: &str| folder.join("node_modules").join(name).is_dir();
    if has("viem") && has("ethers") && has("@foundry-rs/cast") && read(&wanted) == read(folder) {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    for file in ["package.json", lock] {
        let copied = fs::copy(wanted.join(file), folder.join(file));
        copied.map_err(|error| error.to_string())?;
    }
    // The packages need no install scripts.
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
    let output = npm.output().map_err(|error| format!("npm does not run: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Runs a script with a third-party client against the node at `url`; fails if the script does.
fn run_client(name: &str, folder: &Path, url: &str) {
    let mut script = Command::new("node");
    script.arg(package().join("tests/rpc").join(name)).arg(folder).arg(url);
    script.arg(package().join("../../lab/contracts/out/Mint.json"));
    let output = script.output().expect("node runs");
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {said}{errors}");
    assert!(said.starts_with("ok: "), "{name}: {said}");
}

#[test]
fn clients_that_are_not_ours_deploy_send_and_read() {
    let Some(folder) = clients() else { return };
    // On a busy machine, ethers.mjs sends some again.
    for (name, transactions) in [("client.mjs", 5..=5), ("ethers.mjs", 6..=15)] {
        let mut node = RpcNode::new();
        run_client(name, &folder, &node.url());
        let report = node.end();
        let sent = report["transactions"].as_u64();
        assert!(sent.is_some_and(|sent| transactions.contains(&sent)), "{name}: {report}");
    }
}

#[test]
fn after_a_restart_the_chain_has_its_blocks() {
    let mut node = RpcNode::new();
    let hash = node.transfer(0, 7);
    let receipt = node.receipt(&hash);
    let block = node.call("eth_getBlockByNumber", json!(["0x1", true]));
    assert_eq!(block["transactions"][0]["hash"], json!(hash));
    node.kill();
    node.start();
    let found = node.call("eth_getTransactionReceipt", json!([hash]));
    assert_eq!(found, receipt);
    assert_eq!(node.call("eth_getBlockByNumber", json!(["0x1", true])), block);
    // A transaction whose receipt a client has is durable, however soon the process ends.
    for nonce in 1..6 {
        let hash = node.transfer(nonce, 1);
        let receipt = node.receipt(&hash);
        node.kill();
        node.start();
        assert_eq!(node.call("eth_getTransactionReceipt", json!([hash])), receipt, "{nonce}");
    }
    let balance = node.call("eth_getBalance", json!([node::PAID, "latest"]));
    assert_eq!(balance, "0xc");
    let folder = node.folder();
    node.end();
    let verified = crate::chain::json(&["verify", &folder]);
    assert_eq!(verified["state_root_compared"], true, "{verified}");
}

/// Transactions that wait for a lower nonce are in no block.
#[test]
fn after_a_restart_the_pool_has_its_transactions() {
    let mut node = RpcNode::new();
    let waiting = |node: &RpcNode| node.call("txpool_status", json!([]));
    let both = json!({"pending": "0x0", "queued": "0x2"});
    node.transfer(1, 1);
    node.transfer(2, 1);
    node.kill();
    node.start();
    assert_eq!(waiting(&node), both);
    let (_, said) = node.end_saying();
    assert!(said.contains("2 transactions wait in the pool; "), "{said}");
    let file = Path::new(&node.folder()).join("pool.rlp");
    let mut bytes = fs::read(&file).expect("it is there");
    bytes.truncate(bytes.len() - 1);
    fs::write(&file, bytes).expect("written");
    node.start();
    assert_eq!(waiting(&node)["queued"], "0x1");
    assert!(file.with_file_name("pool.rlp.unread").exists());
    node.transfer(2, 1);
    let hash = node.transfer(0, 1);
    node.receipt(&hash);
    // What was read is included.
    let nonce = || node.call("eth_getTransactionCount", json!([node::SENDER, "latest"]));
    while nonce() != "0x3" {}
}

/// Headers commit to the state, so a chain that another folder builds from the blocks' bytes is
/// compared with them at each block.
#[test]
fn another_chain_imports_the_blocks_of_a_node() {
    let mut node = RpcNode::before_prague();
    let mut blocks = Vec::new();
    for nonce in 0..3 {
        let hash = node.transfer(nonce, 7);
        let number = node.receipt(&hash)["blockNumber"].clone();
        let raw = node.call("debug_getRawBlock", json!([number]));
        blocks.extend(hex::decode(raw.as_str().expect("bytes")).expect("hexadecimal"));
    }
    let (folder, genesis) = (node.folder(), node.genesis());
    let report = node.end();
    assert_eq!(report["blocks"], 3, "{report}");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let path = |name: &str| elsewhere.path().join(name).to_str().expect("UTF-8").to_owned();
    let (copy, file) = (path("copy"), path("blocks.rlp"));
    chain(&["init", "--genesis", &genesis, &copy], 0);
    let report = json(&["export-blocks", &folder, &file]);
    assert_eq!(
        (&report["first"], &report["last"], &report["blocks"]),
        (&1.into(), &3.into(), &3.into())
    );
    assert_eq!(fs::read(&file).expect("it is there"), blocks);
    chain(&["run", &copy, &file], 0);
    // A part, packed. The copy keeps the blocks that it has imported.
    let part = path("part.rlp.zst");
    let text = chain(&["export-blocks", &copy, &part, "--from", "2", "--to", "3"], 0);
    assert!(text.contains("blocks 2 to 3: 2 blocks, "), "{text}");
    let second = path("second");
    chain(&["init", "--genesis", &genesis, &second], 0);
    let text = chain(&["run", &second, &part], 2);
    assert!(text.contains("block 2"), "{text}");
    let end = |folder: &str| {
        let head = json(&["inspect", folder]);
        (head["number"].clone(), head["hash"].clone(), head["state_root"].clone())
    };
    assert_eq!(end(&copy), end(&folder));
}

#[test]
fn a_running_node_writes_checkpoints() {
    let mut node = RpcNode::before_prague();
    let (code, text) = node.error("braid_checkpoint", json!([]));
    assert!(code == -32_601 && text.contains("braid_checkpoint"), "{text}");
    node.end();
    let backups = tempfile::tempdir().expect("a folder");
    let folder = backups.path().join("of/node");
    let left = folder.join(".7-0a0b0c0d.partial");
    fs::create_dir_all(&left).expect("left by an interrupted process");
    node.run(&["--checkpoints", folder.to_str().expect("UTF-8")]);
    node.receipt(&node.transfer(0, 7));
    let begun = node.call("braid_checkpoint", json!([]));
    assert_eq!(begun["number"], "0x1", "{begun}");
    let checkpoint = (0..1_000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let asked = node.call("braid_checkpoint", json!([begun["hash"]]));
        (asked["complete"] == true).then_some(asked)
    });
    let checkpoint = checkpoint.expect("it is complete within 20 seconds");
    assert_eq!(node.call("braid_checkpoint", json!([])), checkpoint);
    let name = format!("1-{}", &checkpoint["hash"].as_str().expect("a hash")[2..10]);
    assert_eq!(checkpoint["path"], folder.join(name).to_str().expect("UTF-8"));
    assert!(!fs::exists(left).expect("a folder"));
    let (_, text) = node.error("braid_checkpoint", json!([format!("0x{}", "5".repeat(64))]));
    assert!(text.contains("no checkpoint of a block with the hash 0x5555"), "{text}");
    // The chain grows, and the copy does not.
    node.receipt(&node.transfer(1, 7));
    let folder = node.folder();
    node.end();
    let copy = checkpoint["path"].as_str().expect("a path");
    chain(&["verify", copy], 0);
    let (copied, whole) = (json(&["inspect", copy]), json(&["inspect", &folder]));
    assert_eq!((&copied["number"], &whole["number"]), (&1.into(), &2.into()));
    assert_eq!(copied["hash"], checkpoint["hash"]);
    // It goes on like the chain.
    let blocks = backups.path().join("blocks.rlp");
    let blocks = blocks.to_str().expect("UTF-8");
    chain(&["export-blocks", &folder, blocks], 0);
    chain(&["run", copy, blocks], 0);
    assert_eq!(json(&["inspect", copy, "digest"]), json(&["inspect", &folder, "digest"]));
}
