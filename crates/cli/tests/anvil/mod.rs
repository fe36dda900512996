//! Blocks of a real node: mined, recorded with `braid fetch`, executed in parallel, and compared
//! with the node's receipts. `cargo xtask anvil` installs the node and runs this test.
//!
//! `BRAID_ANVIL` is the node's program; without it, the test reports that it is skipped.
//! `BRAID_ANVIL_BLOCKS` is the number of random blocks for each fork. `BRAID_TOOL` names another
//! build of the tool.

mod code;
mod node;
mod traffic;

use braid_blocks::block_file::BlockFile;
use braid_cli::bench::{Latency, Waiting, slowed};
use braid_evm::{Config, Executor, Forced, Policy, Stats};
use node::Anvil;
use serde_json::{Value, json};
use std::{
    env,
    num::NonZeroU16,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};
use traffic::{KINDS, Traffic};

/// Names of forks in anvil and in block files, and whether they have delegations.
const FORKS: [(&str, &str, bool); 3] =
    [("cancun", "CANCUN", false), ("prague", "PRAGUE", true), ("osaka", "OSAKA", true)];

/// Number of transactions in a random block.
const TRANSACTIONS: usize = 40;

fn braid(arguments: &[&str], path: &Path) -> Output {
    let tool = env::var_os("BRAID_TOOL");
    let tool = tool.map_or_else(|| env!("CARGO_BIN_EXE_braid").into(), PathBuf::from);
    Command::new(tool).args(arguments).arg(path).output().expect("the tool starts")
}

#[track_caller]
fn succeeded(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.lines().last().expect("a line")).expect("JSON")
}

/// Returns the execution statistics, or the first receipt of the parallel execution that differs
/// from the node's.
fn different_receipt(
    executor: &mut Executor,
    file: &BlockFile,
    expected: &[Value],
) -> Result<Stats, String> {
    let (block, database) = file.to_block().map_err(|error| error.to_string())?;
    // A sleeping worker lets others run, even on a busy machine.
    let latency = Latency(Duration::from_micros(20));
    let (database, _) = slowed(database, latency, Waiting::Sleep);
    let output =
        executor.block(Arc::new(braid_evm::Block::from(&block))).database(database).execute();
    let output = output.map_err(|error| error.to_string())?;
    if output.receipts.len() != expected.len() {
        return Err(format!("{} receipts, not {}", output.receipts.len(), expected.len()));
    }
    for (index, (found, node)) in output.receipts.iter().zip(expected).enumerate() {
        let logs = node["logs"].as_array().ok_or("no logs")?.iter().map(|log| {
            json!({ "address": log["address"], "topics": log["topics"], "data": log["data"] })
        });
        let logs = Value::Array(logs.collect());
        let found = json!([
            format!("{:#x}", u8::from(found.success)),
            format!("{:#x}", found.cumulative_gas_used),
            found.logs,
        ]);
        let node = json!([node["status"], node["cumulativeGasUsed"], logs]);
        if found != node {
            return Err(format!("transaction {index}: the node has {node}, found {found}"));
        }
    }
    Ok(output.stats)
}

#[derive(Default)]
struct Tally {
    blocks: usize,
    transactions: usize,
    reverted: usize,
    hashes: usize,
    speculative: u64,
    aborts: u64,
    sent: [usize; KINDS.len()],
}

#[test]
fn blocks_of_a_real_node_are_recorded_and_executed_as_there() {
    let Some(program) = env::var_os("BRAID_ANVIL") else {
        eprintln!("skipped: no BRAID_ANVIL; `cargo xtask anvil` installs one");
        return;
    };
    let blocks = env::var("BRAID_ANVIL_BLOCKS").ok().and_then(|text| text.parse().ok());
    let mut tally = Tally::default();
    for (seed, (anvil, fork, delegates)) in (1..).zip(FORKS) {
        let node = Anvil::start(Path::new(&program), anvil);
        let mut traffic = Traffic::new(&node, seed, delegates);
        for _ in 0..blocks.unwrap_or(4) {
            traffic.block(TRANSACTIONS);
        }
        for (total, sent) in tally.sent.iter_mut().zip(traffic.sent) {
            *total += sent;
        }
        record_and_run(&node, fork, &mut tally);
    }
    for (kind, sent) in KINDS.iter().zip(tally.sent) {
        assert!(sent > 0, "no {kind}");
        print!("{kind} {sent}, ");
    }
    let Tally { blocks, transactions, reverted, hashes, speculative, aborts, .. } = tally;
    println!(
        "in all {blocks} blocks, {transactions} transactions, {reverted} of them reverted, \
         {hashes} block hashes; {speculative} speculative commits, {aborts} aborted"
    );
    assert!(reverted * 20 > transactions, "hardly any reverts");
    assert!(hashes > 0, "no block hash was asked for");
    assert!(speculative > 0 && aborts > 0, "nothing ran in parallel, or nothing conflicted");
}

fn record_and_run(node: &Anvil, fork: &str, tally: &mut Tally) {
    let folder = tempfile::tempdir().expect("a folder");
    let newest = node.call("eth_blockNumber", json!([]));
    let newest: u64 = serde_json::from_value::<alloy_primitives::U64>(newest).expect("one").to();
    let workers = NonZeroU16::new(3).expect("three");
    let mut config = Config::with_workers(workers);
    (config.io_workers, config.policy) = (Some(workers), Policy::Forced(Forced::Speculative));
    let mut executor = Executor::new(config).expect("starts");
    for number in 1..=newest {
        let path = folder.path().join(format!("{number}.json.zst"));
        let block = if number == newest { "latest".to_owned() } else { number.to_string() };
        // Alternates between the two ways of recording the state.
        let tracer = if number % 3 == 0 { "never" } else { "always" };
        let fetch =
            ["fetch", "--rpc", &node.url, "--block", &block, "--tracer", tracer, "--json", "--out"];
        let line = succeeded(&braid(&fetch, &path));
        // A header does not tell Prague from Osaka.
        let newer = fork == "PRAGUE" && line["fork"] == "OSAKA";
        assert!(line["fork"] == fork || newer, "{line}");
        assert_eq!(line["notes"], json!([]), "{line}");
        let file = BlockFile::read(&path).expect("a block file");
        let receipts = node.receipts(number);
        let compared = different_receipt(&mut executor, &file, &receipts);
        let stats = compared.unwrap_or_else(|why| panic!("{fork} block {number}: {why}"));
        tally.speculative += stats.speculative_commits;
        tally.aborts += stats.aborts;
        if number == 2 {
            seeded_bugs_are_noticed(&mut executor, &file, &receipts);
        }
        tally.blocks += 1;
        tally.transactions += receipts.len();
        tally.reverted += receipts.iter().filter(|receipt| receipt["status"] == "0x0").count();
        tally.hashes += file.block_hashes.len();
    }
    let run = [
        "run",
        "--policy",
        "speculative",
        "--workers",
        "3",
        "--rounds",
        "2",
        "--json",
        "--check-signatures",
    ];
    let total = succeeded(&braid(&run, folder.path()));
    assert_eq!(total["right"], newest, "{total}");
}

/// The comparison notices one change in a receipt or in the state. Block 2 starts with token
/// transfers, and all of its transactions succeed.
fn seeded_bugs_are_noticed(executor: &mut Executor, file: &BlockFile, receipts: &[Value]) {
    let mut notices =
        |file: &BlockFile, receipts: &[Value]| different_receipt(executor, file, receipts).is_err();
    for (pointer, value) in [
        ("/status", "0x0"),
        ("/cumulativeGasUsed", "0x1"),
        ("/logs/0/data", "0x"),
        ("/logs/0/topics/1", "0x"),
    ] {
        let mut receipts = receipts.to_vec();
        *receipts[0].pointer_mut(pointer).expect("it is there") = json!(value);
        assert!(notices(file, &receipts), "{pointer} was not noticed");
    }
    let sender = file.transactions().expect("whole")[0].inner.signer();
    let mut changed = 0;
    for (address, account) in &file.pre_state {
        for slot in account.storage.keys() {
            let mut file = file.clone();
            file.pre_state.get_mut(address).expect("there").storage.remove(slot);
            // Among the slots, only the sender's token balances decide about success; slots of
            // system contracts do not matter here.
            if account.code_hash.is_some() && notices(&file, receipts) {
                changed += 1;
            }
        }
    }
    assert!(changed >= 2, "emptied slots were noticed only {changed} times");
    let mut file = file.clone();
    file.pre_state.get_mut(&sender).expect("the sender").nonce += 1;
    assert!(notices(&file, receipts), "a nonce was not noticed");
}
