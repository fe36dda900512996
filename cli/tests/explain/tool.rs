//! What the tool prints.

use braid_testkit::block_file::BlockFile;
use braid_testkit::workload::Preset;
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

fn braid(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command.arg("explain").args(arguments).stdin(Stdio::null());
    command
}

#[track_caller]
fn run(arguments: &[&str], code: i32) -> String {
    let output = braid(arguments).output().expect("the tool starts");
    checked(&output, code)
}

#[track_caller]
fn checked(output: &Output, code: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{all}");
    all
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn piped(file: &BlockFile, arguments: &[&str], code: i32) -> String {
    let mut command = braid(&[arguments, &["-"]].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let text = serde_json::to_vec(file).expect("serialises");
    child.stdin.take().expect("piped").write_all(&text).expect("writes");
    checked(&child.wait_with_output().expect("ends"), code)
}

#[test]
fn help_has_examples_and_wrong_questions_are_refused() {
    let help = run(&["--help"], 0);
    for word in ["Examples:", "--without", "--sharded", "--workers", "--by", "--json", "EXPLAIN.md"]
    {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    for arguments in [
        &["--workers", "0"][..],
        &["--workers", "65"],
        &["--without", "counter"],
        &["--sharded", "0x0101010101010101010101010101010101010101"],
        &["--by", "luck"],
        &["missing.json"],
    ] {
        run(arguments, 2);
    }
    assert!(run(&["--without", "counter"], 2).contains("ADDRESS:SLOT"));
    let missing = lines(&run(&["--json", "missing.json"], 2));
    assert_eq!((&missing[0]["ok"], &missing[0]["file"]), (&json!(false), &json!("missing.json")));
}

#[test]
fn the_demo_chain_is_explained_in_gas_and_in_time() {
    let blocks = lines(&run(&["--json", "--rounds", "1"], 0));
    assert_eq!(blocks.len(), 6);
    for (index, block) in blocks.iter().enumerate() {
        assert_eq!(block["file"], format!("demo-{}", index + 1));
        assert_eq!((&block["ok"], &block["txs"]), (&json!(true), &json!(400)));
        for axis in ["gas", "time_ns"] {
            let bounds = &block[axis];
            let number = |name: &str| bounds[name].as_u64().expect("a number");
            assert!(number("longest") <= number("late_read"), "{bounds}");
            assert!(number("late_read") <= number("chain"), "{bounds}");
            assert!(number("chain") < number("work"), "{bounds}");
            let path = bounds["critical_path"].as_array().expect("a path");
            let costs = path.iter().map(|step| step["cost"].as_u64().expect("a cost"));
            assert_eq!(costs.sum::<u64>(), number("chain"));
            assert_eq!(path[0]["waited_for"], json!([]));
            assert!(path[1]["waited_for"][0].as_str().expect("a place").starts_with("0x"));
            let workers: Vec<u64> = bounds["workers"]
                .as_array()
                .expect("rows")
                .iter()
                .map(|on| on["workers"].as_u64().unwrap())
                .collect();
            assert_eq!(workers, [1, 2, 4, 8, 16, 32, 64]);
            assert_eq!(bounds["workers"][0]["chain"], bounds["work"]);
        }
    }
    // Nothing is timed: the same everywhere.
    let gas = run(&["--json", "--rounds", "0", "--workers", "3"], 0);
    assert_eq!(gas, run(&["--json", "--rounds", "0", "--workers", "3"], 0));
    let first = &lines(&gas)[0];
    assert_eq!(first["time_ns"], Value::Null);
    assert_eq!(first["gas"]["workers"][2]["workers"], 3);
}

#[test]
fn a_block_from_standard_input_is_explained_with_and_without_its_chain() {
    let file = Preset::Payout.block(20, 1).expect("generates");
    let text = piped(&file, &["--rounds", "0", "--json"], 0);
    let block = &lines(&text)[0];
    assert_eq!(block["gas"]["chain"], block["gas"]["work"]);
    let sender = file.transactions().expect("whole")[0].inner.signer();
    let without = sender.to_string();
    let text = piped(&file, &["--rounds", "0", "--json", "--without", &without], 0);
    let changed = &lines(&text)[0]["what_if"];
    assert_eq!(changed["without"], json!([without]));
    // The sender's tokens are left.
    assert_eq!(changed["gas"]["chain"], block["gas"]["work"]);
    let slot = changed["gas"]["critical_path"][1]["waited_for"][0].as_str().expect("a slot");
    let both = ["--rounds", "0", "--json", "--without", &without, "--without", slot];
    let changed = &lines(&piped(&file, &both, 0))[0]["what_if"];
    assert_eq!(changed["gas"]["chain"], block["gas"]["longest"]);
    assert_eq!(changed["gas"]["critical_path"].as_array().expect("a path").len(), 1);
    let words = piped(&file, &both[..2], 0);
    assert!(words.contains("The longest conflict chain has 20 transactions"), "{words}");
}

#[test]
fn a_file_that_promises_other_gas_is_a_mismatch() {
    let mut file = Preset::Raw.block(5, 1).expect("generates");
    file.expected.gas_used = Some(1);
    let text = piped(&file, &["--rounds", "0"], 1);
    assert!(text.contains("The run used 105000 gas, the file says 1"), "{text}");
    let block = &lines(&piped(&file, &["--rounds", "0", "--json"], 1))[0];
    assert_eq!(block["ok"], false);
}
