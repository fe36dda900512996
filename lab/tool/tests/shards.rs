//! Output and exit codes of `braid-lab shards`.

use crate::invoke::lab;
use braid_blocks::workload::Workload;
use braid_testkit::hostile::files::good_file;
use serde_json::{Value, json};
use std::{fs, path::Path};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn figures_add_up_and_a_better_placement_crosses_less() {
    let here = Path::new(".");
    let text = lab(here, &["shards", "--shards", "2,8", "--seeds", "1", "--json"], 0);
    let all = lines(&text);
    let (totals, blocks): (Vec<&Value>, Vec<&Value>) =
        all.iter().partition(|line| line["total"] == true);
    assert_eq!((blocks.len(), totals.len()), (6 * 2 * 3, 2 * 3));
    for block in &blocks {
        let at = |name: &str| block[name].as_u64().unwrap_or_else(|| panic!("{name}: {block}"));
        assert_eq!(block["ok"], true, "{block}");
        // Two system calls, the transactions, two calls after them, and withdrawals.
        assert!((185..=250).contains(&at("txs")), "{block}");
        assert_eq!(at("entries"), at("txs") + 5, "{block}");
        assert!(at("crossing") > 0 && at("crossing") <= at("entries"), "{block}");
        assert!(at("taking_part") >= at("runs") && at("runs") >= at("most_runs"), "{block}");
        assert!(at("rounds") > 0 && at("two_phase_rounds") > at("rounds"), "{block}");
        assert!(at("sent_with_faults") >= at("messages"), "{block}");
    }
    let crossing = |placement: &str| {
        let is_it = |it: &&&Value| it["placement"] == placement && it["shards"] == 2;
        let total = totals.iter().find(is_it).expect("a total");
        total["crossing_percent"].as_f64().expect("a number")
    };
    assert!(crossing("fitted") < crossing("learned"), "{text}");
    assert!(crossing("learned") < crossing("hash"), "{text}");
}

#[test]
fn the_same_call_prints_the_same() {
    let arguments = ["shards", "--shards", "3", "--placement", "hash", "--first-seed", "9"];
    let here = Path::new(".");
    let text = lab(here, &arguments, 0);
    assert!(text.ends_with("every run equals sequential execution\n"), "{text}");
    assert_eq!(text, lab(here, &arguments, 0));
}

#[test]
fn the_commands_of_the_page_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let blocks = folder.path().join("blocks");
    let file = good_file(Workload::Transfers, 8, 0).expect("generates");
    let text = serde_json::to_string(&file).expect("serialises");
    fs::create_dir(&blocks)
        .and_then(|()| fs::write(blocks.join("block.json"), text))
        .expect("writes");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/SHARDS.md");
    let page = fs::read_to_string(page).expect("the page");
    let shell = page.split("```sh\n").skip(1).filter_map(|part| part.split("```").next());
    let commands = shell.flat_map(str::lines).filter_map(|line| line.strip_prefix("braid-lab "));
    let mut ran = 0;
    for command in commands.map(|line| line.split('#').next().unwrap_or_default()) {
        let arguments: Vec<&str> = command.split_whitespace().collect();
        assert!(!lab(folder.path(), &arguments, 0).trim().is_empty(), "{command}");
        ran += 1;
    }
    assert_eq!(ran, 2);
}

#[test]
fn wrong_inputs_end_with_2() {
    let here = Path::new(".");
    assert!(lab(here, &["shards", "no-such-file.json"], 2).contains("no-such-file.json"));
    lab(here, &["shards", "--shards", "0"], 2);
    assert!(lab(here, &["shards", "--help"], 0).contains("Examples:"));
}

#[test]
fn a_block_that_differs_from_its_file_ends_with_1() {
    let file = good_file(Workload::Transfers, 8, 0).expect("generates");
    let folder = tempfile::tempdir().expect("a folder");
    let good = serde_json::to_value(&file).expect("serialises");
    let mut told = good.clone();
    told["expected"] = json!({ "gasUsed": 1 });
    for (block, code) in [(&good, 0), (&told, 1)] {
        fs::write(folder.path().join("block.json"), block.to_string()).expect("writes");
        let said = lab(folder.path(), &["shards", "--shards", "2", "block.json"], code);
        assert_eq!(said.contains("block file: gasUsed: "), code == 1, "{said}");
    }
}
