//! Every command that reads a block file reports, as `braid run` does, where the block differs from
//! its header and file.

use crate::invoke::tool;
use braid_blocks::{block_file::BlockFile, workload::Workload};
use braid_testkit::hostile::files::good_file;
use serde_json::{Value, json};
use std::fs;

/// Arguments of each command for `block.json`.
const COMMANDS: [&[&str]; 14] = [
    &["run", "--rounds", "1"],
    &["explain", "--rounds", "0"],
    &["explain", "--rounds", "0", "--json"],
    &["explain", "--rounds", "1", "--pause", "0"],
    &["report", "--rounds", "0"],
    &["report", "--rounds", "0", "--json"],
    &["survey", "--rounds", "0"],
    &["survey", "--rounds", "0", "--table", "limits"],
    &["survey", "--rounds", "1", "--pause", "0", "--table", "limits"],
    &["survey", "--rounds", "1", "--pause", "0", "--json"],
    &["lint"],
    &["trace", "--tx", "0"],
    &["bench", "--rounds", "1", "--pause", "0", "--brief"],
    &["bench", "--virtual", "2"],
];

/// Returns a folder with the block after `spoil` has changed its file.
fn spoiled(file: &BlockFile, spoil: impl Fn(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut value = serde_json::to_value(file).expect("serialises");
    spoil(&mut value);
    fs::write(folder.path().join("block.json"), value.to_string()).expect("writes");
    folder
}

/// Returns a different hex number of the same length.
fn other(value: &Value) -> Value {
    let text = value.as_str().expect("hex");
    let (head, last) = text.split_at(text.len() - 1);
    json!(format!("{head}{}", if last == "1" { "2" } else { "1" }))
}

#[test]
fn every_command_compares_with_header_and_file() {
    let file = good_file(Workload::Transfers, 8, 0).expect("generates");
    for field in ["gasUsed", "receiptsRoot", "logsBloom", "requestsHash"] {
        let folder = spoiled(&file, |it| it["block"][field] = other(&it["block"][field]));
        for command in COMMANDS {
            let said = tool(folder.path(), &[command, &["block.json"]].concat(), 1);
            assert!(said.contains(&format!("block file: {field}: ")), "{command:?}: {said}");
        }
        let both = ["compare", "--rounds", "0", "block.json", "block.json"];
        let said = tool(folder.path(), &both, 1);
        assert!(said.contains(&format!("block file: {field}: ")), "{said}");
    }
    let told =
        [("gasUsed", json!(1)), ("txGasUsed", json!([21_000])), ("txSuccess", json!([false]))];
    for (field, value) in told {
        let folder = spoiled(&file, |it| it["expected"] = json!({ field: value }));
        for command in COMMANDS {
            let said = tool(folder.path(), &[command, &["block.json"]].concat(), 1);
            assert!(said.contains("block file: "), "{field}, {command:?}: {said}");
        }
    }
    let folder = spoiled(&file, |_| {});
    let bad = spoiled(&file, |it| it["block"]["gasUsed"] = json!("0x1"));
    fs::rename(bad.path().join("block.json"), folder.path().join("bad.json")).expect("moves");
    for command in [&["report", "--rounds", "0"][..], &["explain", "--rounds", "0"]] {
        let said = tool(folder.path(), &[command, &["block.json", "bad.json"]].concat(), 1);
        let named = said.split("block file: gasUsed: ").next().expect("a beginning");
        assert!(named.contains("bad") && named != said, "{command:?}: {said}");
    }
    for command in COMMANDS {
        tool(folder.path(), &[command, &["block.json"]].concat(), 0);
    }
}

#[test]
fn with_json_an_error_is_a_line_of_json() {
    let folder = spoiled(&good_file(Workload::Transfers, 8, 0).expect("generates"), |_| {});
    fs::write(folder.path().join("bad.json"), "{}").expect("writes");
    for (command, file) in [
        (&["run", "--json", "bad.json"][..], "bad.json"),
        (&["explain", "--json", "--rounds", "0", "bad.json"], "bad.json"),
        (&["lint", "--json", "bad.json"], "bad.json"),
        (&["trace", "--json", "--tx", "0", "bad.json"], "bad.json"),
        (&["trace", "--json", "--tx", "8", "block.json"], "block.json"),
        (&["compare", "--json", "--rounds", "0", "block.json", "bad.json"], "bad.json"),
        (&["bench", "--json", "--brief", "bad.json"], "bad"),
        (&["bench", "--json", "--virtual", "2", "bad.json"], "bad"),
        (&["bench", "--json", "--cost", "bad.json"], "bad"),
    ] {
        let said = tool(folder.path(), command, 2);
        assert!(!said.contains("error: "), "{command:?}: {said}");
        let line = said.lines().find(|line| line.starts_with('{')).expect("a line of JSON");
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&line["file"], &line["ok"]), (&json!(file), &json!(false)), "{command:?}");
        assert!(line["error"].as_str().is_some_and(|it| !it.is_empty()), "{command:?}: {line}");
    }
}

#[test]
fn a_missing_folder_is_named() {
    let folder = spoiled(&good_file(Workload::Transfers, 8, 0).expect("generates"), |_| {});
    let fetched = ["fetch", "--rpc", "http://127.0.0.1:1", "--block", "1", "--out", "gone/x.json"];
    for command in [
        &["gen", "--workload", "dex", "--txs", "5", "--out", "gone/x.json"][..],
        &fetched,
        &["report", "--rounds", "0", "block.json", "--out", "gone/x.html"],
        &["report", "--rounds", "0", "block.json", "--trace", "gone/x.json"],
        &["survey", "--rounds", "0", "block.json", "--out", "gone/x.html"],
        &["lint", "block.json", "--sarif", "gone/x.sarif"],
    ] {
        let said = tool(folder.path(), command, 2);
        assert!(said.contains("the folder gone is missing; create it"), "{command:?}: {said}");
        assert!(!said.contains("braid fetch"), "{command:?}: {said}");
    }
}
