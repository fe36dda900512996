//! `braid` as a child process: its output and exit codes.
//!
//! 1. Help shows every command with examples and ends with code 0; wrong options end with code 2.
//! 2. Files, folders, packed files and standard input give the same verdict and code 0.
//! 3. An unusable file ends with code 2, and the message names file, field and the expected value.
//! 4. A block that differs from its header ends with code 1.
//! 5. A block whose transaction 100 is invalid is rejected by name (validate, 2), or continues
//!    without it and the transactions that depend on it (build, 0).
//! 6. JSON lines have the documented fields.
//! 7. Without arguments, the demo chain runs; every policy and number of workers gives code 0.
//! 8. A closed pipe is no failure. Nothing is coloured in a pipe.
//! 9. The real blocks, if they are available.

use braid_blocks::{
    block_file::BlockFile,
    workload::{Spread, Workload, WorkloadSpec, generate},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// Index of the invalid transaction.
const SPOILED: usize = 100;

fn braid(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the tool, and asserts its exit code.
#[track_caller]
fn run(arguments: &[&str], code: i32) -> Output {
    let output = braid(arguments).output().expect("the tool starts");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", all(&output));
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn all(output: &Output) -> String {
    stdout(output) + &String::from_utf8_lossy(&output.stderr)
}

/// Returns the tool's JSON lines: those of the blocks, and the total.
#[track_caller]
fn lines(arguments: &[&str], code: i32) -> (Vec<Value>, Value) {
    let arguments = [&["run", "--json", "--rounds", "1"], arguments].concat();
    let text = stdout(&run(&arguments, code));
    let parse = |line: &str| serde_json::from_str(line).expect("each line is JSON");
    let mut lines: Vec<Value> = text.lines().map(parse).collect();
    let total = lines.pop().expect("a total");
    assert_eq!(total["total"], true);
    (lines, total)
}

/// Returns a block of independent transfers as JSON that tests can change.
fn transfers(spec: impl FnOnce(&mut WorkloadSpec)) -> Value {
    let mut workload = WorkloadSpec::new(Workload::Transfers, 120, 0, 3).unsigned();
    spec(&mut workload);
    serde_json::to_value(generate(&workload).expect("generates")).expect("serialises")
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("a name in UTF-8").to_owned()
    }

    fn write(&self, name: &str, value: &Value) -> String {
        let path = self.path(name);
        fs::write(&path, value.to_string()).expect("writes");
        path
    }
}

#[test]
fn help_shows_commands_and_examples() {
    let help = stdout(&run(&["--help"], 0));
    for word in ["run", "gen", "Executes Ethereum blocks"] {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    let help = stdout(&run(&["run", "--help"], 0));
    for word in ["Examples:", "--workers", "--mode", "--policy", "--check-signatures", "--json"] {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    let help = stdout(&run(&["gen", "--help"], 0));
    for word in ["Examples:", "--workload", "--txs", "--hot", "--seed", "--out"] {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    assert!(stdout(&run(&["--version"], 0)).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_options_are_refused() {
    for arguments in [
        &[][..],
        &["walk"],
        &["run", "--workers", "0"],
        &["run", "--policy", "hope"],
        &["run", "--rounds", "0"],
        &["gen", "--workload", "dex"],
        &["gen", "--workload", "dex", "--hot", "101", "--out", "x.json"],
    ] {
        run(arguments, 2);
    }
    for command in ["run", "bench"] {
        assert!(all(&run(&[command, "--workers", "65536"], 2)).contains("from 1 to 65535"));
    }
}

#[test]
fn files_folders_and_standard_input_are_read() {
    let folder = Folder::new();
    let block = transfers(|_| ());
    let file: BlockFile = serde_json::from_value(block.clone()).expect("a block file");
    let plain = folder.write("b.json", &block);
    for name in ["a.json.zst", "c.json.gz"] {
        file.write(Path::new(&folder.path(name))).expect("writes");
    }
    for noise in ["index.tsv", "z.witness.json.zst", "README.md"] {
        fs::write(folder.path(noise), "not a block").expect("writes");
    }
    let (blocks, total) = lines(&[folder.0.path().to_str().expect("UTF-8")], 0);
    let names: Vec<_> = blocks.iter().map(|block| block["file"].clone()).collect();
    let expected = ["a.json.zst", "b.json", "c.json.gz"].map(|name| json!(folder.path(name)));
    assert_eq!(names, expected, "sorted, without the rest");
    assert_eq!(total["right"], 3);

    let mut child = braid(&["run", "--rounds", "1", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let text = fs::read(&plain).expect("reads");
    child.stdin.take().expect("piped").write_all(&text).expect("writes");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0), "{}", all(&output));
    assert!(stdout(&output).contains("1 ok"), "{}", all(&output));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = Folder::new();
    let missing = folder.path("missing.json");
    let output = run(&["run", &missing], 2);
    assert!(all(&output).contains(&missing), "{}", all(&output));

    let empty = folder.path("empty");
    fs::create_dir(&empty).expect("a folder");
    assert!(all(&run(&["run", &empty], 2)).contains("expected block files"));

    fs::write(folder.path("text.json"), "hello").expect("writes");
    let output = run(&["run", &folder.path("text.json")], 2);
    assert!(all(&output).contains("in JSON"), "{}", all(&output));

    // A good block after a bad one still runs.
    let good = folder.write("good.json", &transfers(|_| ()));
    let (blocks, total) = lines(&[&missing, &good], 2);
    assert_eq!((&blocks[0]["ok"], &blocks[1]["ok"]), (&json!(false), &json!(true)));
    assert_eq!((&total["unusable"], &total["right"]), (&json!(1), &json!(1)));
}

/// A change to a block, the field that it invalidates, and a word of the expected value in the
/// message.
type Spoiling = (fn(&mut Value), &'static str, &'static str);

const SPOILINGS: &[Spoiling] = &[
    (|file| file["meta"]["fork"] = json!("PRAGUE2"), "meta.fork", "FRONTIER"),
    (|file| file["meta"]["chain_id"] = json!("1"), "meta.chain_id", "a number"),
    (|file| file["block"]["gasLimit"] = json!("lots"), "block.gasLimit", "64 bits"),
    (|file| file["block"]["miner"] = json!("0x12"), "block.miner", "20 bytes"),
    (|file| drop(remove(&mut file["block"], "number")), "block.number", "64 bits"),
    (
        |file| file["block"]["transactions"][7]["nonce"] = json!("0x10000000000000000"),
        "block.transactions[7].nonce",
        "64 bits",
    ),
    (
        |file| file["block"]["transactions"][3]["type"] = json!("0x9"),
        "block.transactions[3].type",
        "0x0 to 0x4",
    ),
    (
        |file| file["block"]["transactions"] = json!([format!("0x{:064x}", 1)]),
        "block.transactions",
        "whole transactions",
    ),
    (|file| drop(remove(file, "codes")), "codes", "an object"),
    (|file| file["codes"] = json!({ format!("0x{:064x}", 1): "0x00" }), "codes.0x", "Keccak-256"),
    (
        |file| first(&mut file["pre_state"])["balance"] = json!(-1),
        "balance",
        "a hex quantity of at most 256 bits",
    ),
    (
        |file| first(&mut file["pre_state"])["code_hash"] = json!(format!("0x{:064x}", 5)),
        "code_hash",
        "absent_codes",
    ),
    (|file| file["block_hashes"] = json!({"0x1": "0x"}), "block_hashes.0x1", "decimal"),
    (|file| file["expected"]["txSuccess"] = json!([1]), "expected.txSuccess", "true and false"),
];

fn remove(object: &mut Value, key: &str) -> Option<Value> {
    object.as_object_mut().expect("an object").remove(key)
}

fn first(object: &mut Value) -> &mut Value {
    object.as_object_mut().expect("an object").values_mut().next().expect("an entry")
}

#[test]
fn bad_fields_are_named_with_what_was_expected() {
    let folder = Folder::new();
    let good = transfers(|spec| spec.transactions = 10);
    for (index, (spoil, field, expected)) in SPOILINGS.iter().enumerate() {
        let mut block = good.clone();
        spoil(&mut block);
        let name = format!("bad-{index}.json");
        let path = folder.write(&name, &block);
        let text = all(&run(&["run", &path], 2));
        for word in [name.as_str(), field, "expected", expected] {
            assert!(text.contains(word), "{field}: {word:?} is not in {text}");
        }
        let (blocks, _) = lines(&[&path], 2);
        let named = blocks[0]["field"].as_str().expect("a field");
        assert!(named.contains(field), "{named} is not {field}");
        assert_eq!(blocks[0]["ok"], false);
    }
}

#[test]
fn a_wrong_header_is_a_mismatch() {
    let folder = Folder::new();
    for field in ["gasUsed", "receiptsRoot", "logsBloom", "requestsHash"] {
        let mut block = transfers(|spec| spec.transactions = 10);
        let value = block["block"][field].as_str().expect("hex").to_owned();
        let (head, last) = value.split_at(value.len() - 1);
        block["block"][field] = json!(format!("{head}{}", if last == "1" { "2" } else { "1" }));
        let path = folder.write(&format!("{field}.json"), &block);
        let text = all(&run(&["run", "--rounds", "1", &path], 1));
        let last = text.trim_end().lines().last().expect("a line");
        assert!(last.starts_with("MISMATCH in 1 of 1 block:") && text.contains(field), "{text}");
        let (blocks, total) = lines(&[&path], 1);
        assert_eq!(blocks[0]["checks"][field], false, "{}", blocks[0]);
        assert_eq!(total["mismatches"], 1);
        // An unusable file does not hide the mismatch of another.
        lines(&[&path, &folder.path("missing.json")], 1);
    }
}

/// Returns files of 120 transfers whose transaction 100 is invalid, with the number of transactions
/// skipped because of it: after a nonce gap, later transactions of the same sender are skipped too.
fn spoiled(folder: &Folder) -> Vec<(PathBuf, usize)> {
    let mut gap = transfers(|_| ());
    gap["block"]["transactions"][SPOILED]["nonce"] = json!("0x50");
    let mut poor = transfers(|_| ());
    let sender = poor["block"]["transactions"][SPOILED]["from"].as_str().expect("hex").to_owned();
    poor["pre_state"][&sender.to_lowercase()]["balance"] = json!("0x1");
    let mut chain = transfers(|spec| spec.parties.senders = Spread::ONE);
    chain["block"]["transactions"][SPOILED]["nonce"] = json!("0x5000");
    let files = [("gap.json", gap, 1), ("poor.json", poor, 1), ("chain.json", chain, 20)];
    let write = |(name, block, left_out)| (folder.write(name, &block).into(), left_out);
    files.map(write).into()
}

#[test]
fn a_bad_transaction_is_named_in_validate_mode() {
    let folder = Folder::new();
    for (path, _) in spoiled(&folder) {
        let path = path.to_str().expect("UTF-8");
        for workers in ["1", "2", "3", "8"] {
            for policy in ["auto", "speculative", "contiguous-batches", "sequential"] {
                let setting = ["--workers", workers, "--policy", policy, path];
                let (blocks, total) = lines(&setting, 2);
                assert_eq!(blocks[0]["transaction"], SPOILED, "{}", blocks[0]);
                let error = blocks[0]["error"].as_str().expect("an error");
                assert!(error.contains("transaction 100"), "{error}");
                assert_eq!(total["rejected"], 1);
            }
        }
        let text = stdout(&run(&["run", path], 2));
        assert!(text.contains("invalid block") && text.contains("transaction 100"), "{text}");
    }
}

#[test]
fn a_bad_transaction_is_left_out_in_build_mode() {
    let folder = Folder::new();
    for (path, left_out) in spoiled(&folder) {
        let path = path.to_str().expect("UTF-8");
        for workers in ["1", "2", "3", "8"] {
            let setting = ["--mode", "build", "--workers", workers, path];
            let (blocks, total) = lines(&setting, 0);
            assert_eq!(blocks[0]["skipped"], left_out, "{path}: {}", blocks[0]);
            assert_eq!(blocks[0]["checks"], json!({}), "its header is of another block");
            assert_eq!(total["right"], 1);
        }
        let text = stdout(&run(&["run", "--mode", "build", path], 0));
        assert!(text.contains(&format!("{left_out} skipped")), "{text}");
    }
}

#[test]
fn json_lines_have_the_documented_fields() {
    let folder = Folder::new();
    let path = folder.write("block.json", &transfers(|_| ()));
    let (blocks, total) = lines(&["--workers", "3", &path], 0);
    let block = &blocks[0];
    assert_eq!(block["file"], json!(path));
    assert_eq!((&block["txs"], &block["gas"]), (&json!(120), &json!(120 * 21_000)));
    assert_eq!((&block["ok"], &block["workers"]), (&json!(true), &json!(3)));
    assert!(block["block"].is_u64());
    let checks = ["gasUsed", "receiptsRoot", "logsBloom", "requestsHash", "transactions"];
    assert!(checks.iter().all(|check| block["checks"][check] == true), "{block}");
    for line in [block, &total] {
        for field in ["seq_ms", "par_ms", "speedup", "cpu_ratio", "speculative_share"] {
            assert!(line[field].is_f64(), "{field} in {line}");
        }
        for field in ["gas", "workers", "incarnations", "aborts", "skipped"] {
            assert!(line[field].is_u64(), "{field} in {line}");
        }
    }
    assert!(block["incarnations"].as_u64() >= Some(120), "{block}");
    assert_eq!(block["segments"][0]["strategy"], "Sequential", "{block}");
}

#[test]
fn the_demo_chain_runs_under_every_setting() {
    let text = stdout(&run(&["run", "--rounds", "1"], 0));
    assert!(["demo-1", "total of", "times as fast"].iter().all(|it| text.contains(it)), "{text}");
    for policy in ["auto", "speculative", "contiguous-batches", "sequential"] {
        for workers in ["1", "2", "3", "8"] {
            let (blocks, total) = lines(&["--policy", policy, "--workers", workers], 0);
            assert!(blocks.len() > 1);
            assert_eq!(total["right"], blocks.len());
        }
    }
}

#[test]
fn generated_files_run_with_checked_signatures() {
    let folder = Folder::new();
    for (workload, end) in [("transfers", "json"), ("erc20", "json.gz"), ("dex", "json.zst")] {
        let path = folder.path(&format!("{workload}.{end}"));
        let common = ["gen", "--workload", workload, "--txs", "40", "--hot", "50", "--seed", "9"];
        run(&[&common[..], &["--out", &path]].concat(), 0);
        run(&["run", "--check-signatures", &path], 0);
        // Equal arguments give equal bytes.
        let again = folder.path(&format!("again.{end}"));
        run(&[&common[..], &["--out", &again]].concat(), 0);
        assert_eq!(fs::read(&path).expect("reads"), fs::read(&again).expect("reads"));
    }
    let blank = folder.path("blank.json");
    run(&["gen", "--workload", "transfers", "--txs", "5", "--no-signatures", "--out", &blank], 0);
    run(&["run", &blank], 0);
    let text = all(&run(&["run", "--check-signatures", &blank], 2));
    assert!(text.contains("block.transactions[0]") && text.contains("signature"), "{text}");
    let output = run(&["gen", "--workload", "dex", "--txs", "1", "--out", "/nowhere/x.json"], 2);
    assert!(all(&output).contains("/nowhere/x.json"), "{}", all(&output));
    run(&["gen", "--workload", "dex", "--txs", "1", "--out", &folder.path("x.txt")], 2);
}

#[test]
fn output_into_a_pipe_is_plain_and_may_end_early() {
    let output = braid(&["run", "--rounds", "1"]).output().expect("starts");
    assert!(!output.stdout.contains(&0x1b), "escape codes in {}", all(&output));
    assert!(output.stderr.is_empty(), "{}", all(&output));
    for arguments in [&["run", "--rounds", "1"][..], &["run", "--json"], &["run", "--help"]] {
        let mut child =
            braid(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", all(&output));
        assert!(output.stderr.is_empty(), "{arguments:?}: {}", all(&output));
    }
}

#[test]
fn real_blocks_agree() {
    let Some(folder) = crate::support::fixtures() else { return };
    let files = crate::support::block_files(&folder).len();
    let folder = folder.to_str().expect("UTF-8");
    for (workers, policy) in [("1", "auto"), ("2", "speculative"), ("3", "sequential")] {
        let (blocks, total) = lines(&["--workers", workers, "--policy", policy, folder], 0);
        assert_eq!((blocks.len(), &total["right"]), (files, &json!(files)));
    }
}
