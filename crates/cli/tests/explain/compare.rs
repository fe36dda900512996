//! Comparisons of two blocks.

use crate::invoke::sealed;
use braid_blocks::workload::Preset;
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

#[track_caller]
fn braid(folder: &Path, arguments: &[&str], code: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    let output = command.output().expect("the tool starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {all}");
    all
}

fn figure<'a>(line: &'a Value, name: &str, unit: &str) -> &'a Value {
    let mut all = line["figures"].as_array().expect("figures").iter();
    all.find(|it| it["name"] == name && it["unit"] == unit).expect("a figure")
}

#[test]
fn two_blocks_stand_side_by_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for (name, preset) in [("hot", Preset::Erc20Hot), ("cold", Preset::Erc20)] {
        let file = sealed(preset.block(30, 1).expect("generates"));
        file.write(&folder.join(format!("{name}.json.zst"))).expect("writes");
    }
    let explain = |name: &str| -> Value {
        let text = braid(folder, &["explain", "--rounds", "0", "--json", name], 0);
        serde_json::from_str(&text).expect("JSON")
    };
    let sides = [explain("hot.json.zst"), explain("cold.json.zst")];
    let arguments = ["compare", "--rounds", "0", "--json", "hot.json.zst", "cold.json.zst"];
    let line: Value = serde_json::from_str(&braid(folder, &arguments, 0)).expect("JSON");
    for (name, field) in [("work, gas", "work"), ("conflict chain, gas", "chain")] {
        let figure = figure(&line, name, "gas");
        for (side, found) in sides.iter().zip([&figure["one"], &figure["other"]]) {
            assert_eq!(side["gas"][field].as_f64(), found.as_f64(), "{figure}");
        }
    }
    let against =
        ["explain", "--rounds", "0", "--json", "--against", "hot.json.zst", "cold.json.zst"];
    let same: Value = serde_json::from_str(&braid(folder, &against, 0)).expect("JSON");
    assert_eq!(same, line);
    let several = [&against[..], &["hot.json.zst"]].concat();
    assert!(braid(folder, &several, 2).contains("name one file"));
    let times = figure(&line, "bound by the chain, gas", "times");
    assert_eq!(times["one"], 1.0);
    assert!(times["other"].as_f64() > Some(20.0), "{times}");
    // The hot recipient delays only one of the blocks.
    let conflict = &line["conflicts"][0];
    assert_eq!(conflict["locations"], sides[0]["conflicts"][0]["locations"]);
    assert_eq!(conflict["one"], sides[0]["conflicts"][0]["chain_cost"]);
    assert_eq!((&conflict["kind"], &conflict["other"]), (&json!("token_balance"), &Value::Null));
    assert!(line["figures"].as_array().expect("figures").iter().all(|it| it["unit"] != "ns"));

    let words = braid(folder, &["compare", "--rounds", "0", "hot.json.zst", "cold.json.zst"], 0);
    for word in ["hot (", "cold (", "1.00x", "not named", "balance of", "%"] {
        assert!(words.contains(word), "{word} is not in {words}");
    }
}

#[test]
fn a_side_may_be_what_was_printed_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let file = sealed(Preset::Mainnet.block(60, 1).expect("generates"));
    file.write(&folder.join("block.json")).expect("writes");
    for command in ["explain", "report"] {
        let saved = braid(folder, &[command, "--rounds", "0", "--json", "block.json"], 0);
        fs::write(folder.join("saved.json"), saved).expect("writes");
        let arguments = ["compare", "--rounds", "0", "--json", "saved.json", "block.json"];
        let line: Value = serde_json::from_str(&braid(folder, &arguments, 0)).expect("JSON");
        let figures = line["figures"].as_array().expect("figures");
        assert!(figures.len() > 10 && figures.iter().all(|it| it["one"] == it["other"]), "{line}");
        let conflicts = line["conflicts"].as_array().expect("conflicts");
        assert!(
            conflicts.len() == 5 && conflicts.iter().all(|it| it["one"] == it["other"]),
            "{line}"
        );
    }
    let text = fs::read_to_string(folder.join("saved.json")).expect("reads");
    let by_time = text.replacen("\"by\":\"gas\"", "\"by\":\"time_ns\"", 1);
    fs::write(folder.join("time.json"), by_time).expect("writes");
    let refused = braid(folder, &["compare", "--rounds", "0", "time.json", "block.json"], 2);
    assert!(refused.contains("--by"), "{refused}");
    let explain = ["explain", "--rounds", "0", "--json", "block.json", "block.json"];
    fs::write(folder.join("two.json"), braid(folder, &explain, 0)).expect("writes");
    let several = braid(folder, &["compare", "--rounds", "0", "two.json", "block.json"], 2);
    let number = file.block.header.inner.number;
    let names = format!("2 blocks: {number} of block, {number} of block; keep only one line");
    assert!(several.contains(&names), "{several}");
    let missing = braid(folder, &["compare", "--rounds", "0", "missing.json", "block.json"], 2);
    assert!(missing.contains("missing.json"), "{missing}");
    assert!(braid(folder, &["compare", "--help"], 0).contains("Examples:"));
}
