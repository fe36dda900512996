//! Output of the tool.

use crate::invoke::sealed;
use braid_blocks::{
    block_file::BlockFile,
    workload::{Preset, Workload},
};
use braid_testkit::hostile::files::good_file;
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
    let mut blocks = lines(&run(&["--json", "--rounds", "1", "--pause", "0"], 0));
    let total = blocks.pop().expect("a total");
    assert_eq!(blocks.len(), 6);
    assert_eq!((&total["total"], &total["blocks"]), (&json!(true), &json!(6)));
    let txs = blocks.iter().map(|it| it["txs"].as_u64().expect("a number")).sum::<u64>();
    assert_eq!(total["txs"], txs);
    let sum = |name: &str| {
        blocks.iter().map(|it| it["gas"][name].as_u64().expect("a number")).sum::<u64>()
    };
    for name in ["work", "longest", "late_read", "chain"] {
        assert_eq!(total[name], sum(name));
    }
    assert_eq!(total["by"], "gas");
    assert_eq!(total["conflicts"].as_array().expect("some").len(), 5);
    let costly = &total["conflicts"][0];
    assert!(costly["chain_cost"].as_u64() > Some(1_000_000), "{costly}");
    assert!(
        costly["blocks"].as_u64() >= Some(2) && costly["waits"].as_u64() > Some(20),
        "{costly}"
    );
    for (index, block) in blocks.iter().enumerate() {
        assert_eq!(block["file"], format!("demo-{}", index + 1));
        assert_eq!(block["ok"], true);
        for axis in ["gas", "time_ns"] {
            let bounds = &block[axis];
            let number = |name: &str| bounds[name].as_u64().expect("a number");
            assert!(number("longest") <= number("late_read"), "{bounds}");
            assert!(number("late_read") <= number("chain"), "{bounds}");
            assert!(number("chain") < number("work"), "{bounds}");
            let path = bounds["conflict_chain"].as_array().expect("a path");
            let costs = path.iter().map(|step| step["cost"].as_u64().expect("a cost"));
            assert_eq!(costs.sum::<u64>(), number("chain"));
            assert_eq!(path[0]["waited_for"], json!([]));
            // A transaction during which the machine was busy can take longer than any chain.
            assert!(path.len() > 1 || axis == "time_ns", "{bounds}");
            for step in &path[1..] {
                assert!(step["waited_for"][0].as_str().expect("a location").starts_with("0x"));
            }
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
    // Without timing, the output is the same everywhere.
    let gas = run(&["--json", "--rounds", "0", "--workers", "3"], 0);
    assert_eq!(gas, run(&["--json", "--rounds", "0", "--workers", "3"], 0));
    let first = &lines(&gas)[0];
    assert_eq!(first["time_ns"], Value::Null);
    assert_eq!(first["gas"]["workers"][2]["workers"], 3);
}

#[test]
fn a_block_from_standard_input_is_explained_with_and_without_its_chain() {
    let file = sealed(Preset::Payout.block(20, 1).expect("generates"));
    let text = piped(&file, &["--rounds", "0", "--json"], 0);
    let block = &lines(&text)[0];
    assert_eq!(block["gas"]["chain"], block["gas"]["work"]);
    let sender = file.transactions().expect("whole")[0].inner.signer();
    let without = sender.to_string();
    let text = piped(&file, &["--rounds", "0", "--json", "--without", &without], 0);
    let changed = &lines(&text)[0]["what_if"];
    assert_eq!(changed["without"], json!([without]));
    // The sender's tokens remain.
    assert_eq!(changed["gas"]["chain"], block["gas"]["work"]);
    let slot = changed["gas"]["conflict_chain"][1]["waited_for"][0].as_str().expect("a slot");
    let both = ["--rounds", "0", "--json", "--without", &without, "--without", slot];
    let changed = &lines(&piped(&file, &both, 0))[0]["what_if"];
    assert_eq!(changed["gas"]["chain"], block["gas"]["longest"]);
    assert_eq!(changed["gas"]["conflict_chain"].as_array().expect("a path").len(), 1);
    let words = piped(&file, &both[..2], 0);
    assert!(words.contains("The longest conflict chain has 20 transactions"), "{words}");
}

/// The blocks of the demo chain wait for one of its pools or tokens.
#[test]
fn conflicts_of_the_demo_chain_have_the_documented_fields() {
    let blocks = lines(&run(&["--json", "--rounds", "0", "--top", "3"], 0));
    for block in &blocks[..6] {
        assert_eq!((&block["by"], &block["workers"]), (&json!("gas"), &json!(16)));
        assert_eq!(block["measured"], Value::Null);
        let conflicts = block["conflicts"].as_array().expect("conflicts");
        assert_eq!(conflicts.len(), 3);
        assert!(block["other_conflicts"].as_u64() > Some(10));
        let bounds = &block["gas"];
        let path = bounds["conflict_chain"].as_array().expect("a path");
        for (index, it) in conflicts.iter().enumerate() {
            let account = it["account"].as_str().expect("an account").to_lowercase();
            let locations = it["locations"].as_array().expect("locations");
            let is_of_account =
                |it: &Value| it.as_str().expect("a location").to_lowercase().starts_with(&account);
            assert!(locations.iter().all(is_of_account), "{it}");
            // The cost of the transactions that wait there, computed from the printed path.
            let waits = path.iter().filter(|step| {
                let waited_for = step["waited_for"].as_array().expect("locations");
                waited_for.contains(&locations[0])
            });
            let costs: Vec<u64> =
                waits.map(|step| step["cost"].as_u64().expect("a cost")).collect();
            assert_eq!(it["chain_cost"], costs.iter().sum::<u64>());
            assert_eq!(it["waits"], costs.len());
            for gain in ["without", "without_those_above", "sharded"] {
                let chain = it[gain]["chain"].as_u64().expect("a chain");
                assert!(bounds["longest"].as_u64() <= Some(chain), "{it}");
                assert!(Some(chain) <= bounds["chain"].as_u64(), "{it}");
                assert!(Some(chain) <= it[gain]["on_workers"].as_u64(), "{it}");
            }
            if index == 0 {
                assert_eq!(it["without"], it["without_those_above"]);
            }
            for count in [&it["functions"][0]["transactions"], &it["callees"][0]["transactions"]] {
                assert!(count.as_u64() > Some(0), "{it}");
            }
            assert!(it["own_chain"].as_u64() > it["chain_cost"].as_u64(), "{it}");
            assert!(it["transactions"].as_array().expect("some").len() > costs.len(), "{it}");
        }
        let kinds: Vec<&str> =
            conflicts.iter().map(|it| it["kind"].as_str().expect("a kind")).collect();
        assert!(kinds.contains(&"token_balance"), "{kinds:?}");
    }
}

#[test]
fn what_braid_reaches_stands_beside_the_bounds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokens.json");
    let file = good_file(Workload::Erc20, 60, 50).expect("generates");
    file.write(&path).expect("writes");
    let path = path.to_str().expect("UTF-8");
    let block = &lines(&run(&["--json", "--rounds", "1", "--pause", "0", path], 0))[0];
    let measured = &block["measured"];
    for field in ["speedup", "seq_ms", "par_ms"] {
        assert!(measured[field].as_f64() > Some(0.0), "{measured}");
    }
    let workers = measured["workers"].as_u64().expect("a number");
    let rows = block["time_ns"]["workers"].as_array().expect("rows");
    assert!(rows.iter().any(|on| on["workers"] == workers), "{rows:?}");
    let segments = measured["segments"].as_array().expect("segments");
    let mut end = 0;
    for segment in segments {
        assert_eq!(segment["first"], end);
        end = segment["end"].as_u64().expect("an end");
        for field in ["strategy", "reason", "why"] {
            assert!(!segment[field].as_str().expect("a word").is_empty(), "{segment}");
        }
    }
    assert_eq!(end, 60);
    let words = run(&["--rounds", "1", "--pause", "0", "--by", "time", path], 0);
    for word in [
        "in gas",
        "Measured here on",
        "  bounds on ",
        ", in time: conflict chain",
        "transactions 0 to ",
    ] {
        assert!(words.contains(word), "{word} is not in {words}");
    }
    // Ordered by time, if time was measured.
    let timed =
        &lines(&run(&["--json", "--rounds", "1", "--pause", "0", "--by", "time", path], 0))[0];
    assert_eq!(timed["by"], "time_ns");
    let refused = run(&["--rounds", "0", "--by", "time", path], 2);
    assert!(refused.contains("--by time needs a clock"), "{refused}");
}

#[test]
fn a_folder_is_a_line_for_each_block_and_a_total() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, hot) in [("a", 90), ("b", 0)] {
        let file = good_file(Workload::Erc20, 40, hot).expect("generates");
        file.write(&folder.path().join(format!("{name}.json.zst"))).expect("writes");
    }
    let path = folder.path().to_str().expect("UTF-8");
    let text = run(&["--rounds", "0", path], 0);
    let row = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).expect("a line");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let (hot, cold) = (row("a "), row("b "));
    let chain = |row: &[String]| row[6].trim_end_matches('x').parse::<f64>().expect("a ratio");
    assert!(chain(&hot) < 2.0 && chain(&cold) > 20.0, "{text}");
    assert_eq!((hot[1].as_str(), hot[8].as_str()), ("40", "-"));
    assert_eq!(text.matches("\n    waits for balance of ").count(), 1, "{text}");
    assert_eq!(cold.last().expect("a word"), "-");
    assert!(text.contains("2 blocks, 80 transactions, one block after the other"), "{text}");
    assert!(text.contains("Most expensive locations"), "{text}");
    let whole = run(&["--rounds", "0", "--whole", path], 0);
    assert_eq!(whole.matches("in gas").count(), 2);
    assert!(whole.contains("No transaction waits for another."), "{whole}");
}

#[test]
fn a_file_that_promises_other_gas_is_a_mismatch() {
    let mut file = sealed(Preset::Raw.block(5, 1).expect("generates"));
    file.expected.gas_used = Some(1);
    let text = piped(&file, &["--rounds", "0"], 1);
    assert!(text.contains("block file: gasUsed: expected 1, found 105000"), "{text}");
    let block = &lines(&piped(&file, &["--rounds", "0", "--json"], 1))[0];
    assert_eq!(block["ok"], false);
}
