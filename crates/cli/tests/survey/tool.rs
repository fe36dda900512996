//! Output and files of the tool.

use crate::{
    invoke::{sealed, tool as run},
    support::fixtures,
};
use braid_blocks::{
    block_file::BlockFile,
    workload::{Preset, Workload},
};
use braid_testkit::hostile::files::good_file;
use serde_json::{Value, json};
use std::fs;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// Returns a folder with two blocks of two forks, and a file without a block.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |file: &BlockFile, name: &str| {
        file.write(&folder.path().join(name)).expect("writes");
    };
    write(&good_file(Workload::Erc20, 40, 60).expect("generates"), "new.json.zst");
    let mut old = Preset::Payout.block(20, 1).expect("generates");
    old.meta.fork = "PRAGUE".to_owned();
    write(&sealed(old), "old.json");
    fs::write(folder.path().join("bad.json"), "{").expect("writes");
    folder
}

#[test]
fn help_has_examples_and_what_cannot_be_written_is_refused() {
    let folder = folder();
    let help = run(folder.path(), &["survey", "--help"], 0);
    for word in ["Examples:", "--out", "--table", "--workers", "--fork", "--json", "SURVEY.md"] {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    for arguments in
        [&["--out", "x.pdf"][..], &["--workers", "0"], &["--table", "x"], &["--fork", "x"]]
    {
        run(folder.path(), &[&["survey"], arguments].concat(), 2);
    }
    assert!(run(folder.path(), &["survey", "--out", "x"], 2).contains(".csv"));
    let refused =
        run(folder.path(), &["survey", "--rounds", "0", "--out", "no/where.csv", "old.json"], 2);
    assert!(refused.contains("no/where.csv") && refused.contains("--out"), "{refused}");
}

#[test]
fn a_row_is_what_explain_says_and_a_bad_file_is_a_row_too() {
    let folder = folder();
    let mut rows = lines(&run(folder.path(), &["survey", "--rounds", "0", "--json", "."], 2));
    let total = rows.pop().expect("sums");
    assert_eq!((&total["total"], &total["workers"], rows.len()), (&json!(true), &json!(16), 3));
    let (bad, new, old) = (&rows[0], &rows[1], &rows[2]);
    assert_eq!((&bad["ok"], &bad["file"]), (&json!(false), &json!("./bad.json")));
    assert!(bad["error"].as_str().expect("a reason").contains("block file"), "{bad}");
    for row in [new, old] {
        let file = row["file"].as_str().expect("a name");
        let explained =
            lines(&run(folder.path(), &["explain", "--rounds", "0", "--json", file], 0));
        let explained = &explained[0];
        let gas = &explained["gas"];
        assert_eq!((&row["ok"], &row["block"]), (&json!(true), &explained["block"]));
        assert_eq!((&row["txs"], &row["gas"]), (&explained["txs"], &gas["work"]));
        for name in ["longest", "late_read", "chain"] {
            assert_eq!(row[name], gas[name], "{name}");
        }
        let path = gas["conflict_chain"].as_array().expect("a path");
        assert_eq!(row["chain_txs"], path.len());
        let on = gas["workers"].as_array().expect("rows");
        let on = on.iter().find(|on| on["workers"] == 16).expect("sixteen workers");
        for name in ["no_conflicts", "late_read", "chain"] {
            assert_eq!(row[format!("{name}_on_workers")], on[name], "{name}");
        }
        assert_eq!(row["first"], explained["conflicts"][0]["words"]);
        assert_eq!((&row["limit"], &row["measured_speedup"]), (&json!("conflicts"), &Value::Null));
        let simulated = row["simulated_speedup"].as_f64().expect("simulated");
        let bound = gas["work"].as_f64().unwrap() / gas["longest"].as_f64().unwrap();
        assert!(simulated > 0.5 && simulated <= bound, "{simulated}");
    }
    let groups = total["groups"].as_array().expect("groups");
    let forks: Vec<&Value> = groups.iter().map(|it| &it["fork"]).collect();
    assert_eq!(forks, [&Value::Null, &json!("PRAGUE"), &json!("OSAKA")]);
    assert_eq!((&groups[0]["blocks"], &groups[0]["txs"]), (&json!(2), &json!(60)));
    // One token serialises the new block: its conflict chain waits nowhere else.
    let (token, chain) = (&groups[2]["accounts"][0], new["chain"].as_u64().expect("gas"));
    assert_eq!((&token["role"], &token["alone"]), (&json!("contract"), &token["chain_cost"]));
    assert_eq!(token["functions"][0]["signature"], "transfer(address,uint256)");
    assert!(token["chain_cost"].as_u64() < Some(chain), "its first transaction does not wait");
    assert!(token["chain_cost"].as_u64() > Some(chain / 2));
    // One sender serialises the old block: its balance counts as a conflict of the sender, like its
    // nonce.
    let kinds: Vec<&Value> =
        groups[1]["kinds"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
    assert!(kinds.contains(&&json!("same_sender")) && !kinds.contains(&&json!("native_balance")));
}

#[test]
fn tables_and_files_say_the_same() {
    let folder = folder();
    let path = folder.path();
    let words = run(path, &["survey", "--rounds", "0", "."], 2);
    for word in [
        "2 blocks, one unusable file",
        "conflict chain",
        "simulated, 16 workers",
        "PRAGUE",
        "What limits",
        "same sender",
    ] {
        assert!(words.contains(word), "{word} is not in {words}");
    }
    let one = run(path, &["survey", "--rounds", "0", "--table", "kinds", "old.json"], 0);
    assert!(
        one.starts_with("What the conflict chains wait for") && !one.contains("limits"),
        "{one}"
    );
    let osaka =
        ["survey", "--rounds", "0", "--fork", "osaka", "new.json.zst", "old.json", "--json"];
    assert_eq!(lines(&run(path, &osaka, 0)).len(), 2);
    let mut rows = lines(&run(path, &["survey", "--rounds", "0", "--json", "."], 2));
    let total = rows.pop().expect("sums");
    fs::create_dir(path.join("out")).expect("a folder");
    for name in ["out/s.json", "out/s.csv", "out/s.html"] {
        run(path, &["survey", "--rounds", "0", "--out", name, "."], 2);
    }
    let read = |name: &str| fs::read_to_string(path.join(name)).expect("written");
    let document: Value = serde_json::from_str(&read("out/s.json")).expect("JSON");
    assert_eq!((&document["blocks"], &document["groups"]), (&json!(rows), &total["groups"]));
    let csv = read("out/s.csv");
    let csv: Vec<&str> = csv.trim_end().split("\r\n").collect();
    assert_eq!(csv.len(), 4);
    assert!(csv[0].starts_with("file,ok,error,chain_id,block,fork,txs,gas,"), "{}", csv[0]);
    let [_, _, chain] = [7, 8, 10].map(|column| csv[3].split(',').nth(column).expect("a field"));
    assert_eq!(chain, rows[2]["chain"].to_string());
    let page = read("out/s.html");
    let (_, data) = page.split_once("class=\"survey\"").expect("the data");
    let (_, data) = data.split_once('>').expect("the end of the tag");
    let (data, _) = data.split_once("</script").expect("the end of the script");
    let data: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(data, document);
    assert!(page.contains("default-src 'none'"), "no network");
}

#[test]
fn a_block_that_uses_other_gas_is_no_row_of_the_sums() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = sealed(Preset::Raw.block(5, 1).expect("generates"));
    file.expected.gas_used = Some(1);
    file.write(&folder.path().join("block.json")).expect("writes");
    let arguments = ["survey", "--rounds", "0", "--json", "block.json"];
    let rows = lines(&run(folder.path(), &arguments, 1));
    assert_eq!(rows[0]["ok"], false);
    assert_eq!(rows[0]["error"], "block file: gasUsed: expected 1, found 105000");
    assert_eq!(rows[1]["groups"][0]["blocks"], 0);
    let measured = ["survey", "--rounds", "1", "--pause", "0", "--json"];
    let rows = lines(&run(folder.path(), &measured, 0));
    assert_eq!(rows.len(), 7);
    assert!(rows[..6].iter().all(|row| row["measured_speedup"].as_f64() > Some(0.0)));
}

#[test]
fn a_fork_without_a_block_is_told_and_what_cannot_be_written_is_found_first() {
    let folder = folder();
    let osaka = ["survey", "--rounds", "0", "--fork", "cancun", "--out", "s.html"];
    let told = run(folder.path(), &[&osaka[..], &["new.json.zst", "old.json"]].concat(), 2);
    let why = "error: no block is of CANCUN: these are of OSAKA, PRAGUE; name another --fork";
    assert_eq!(told.trim_end(), why);
    assert!(!folder.path().join("s.html").exists());
    let refused = run(folder.path(), &["survey", "--out", "no/where.csv", "bad.json"], 2);
    assert!(refused.contains("no/where.csv") && !refused.contains("bad.json"), "{refused}");
}

#[test]
fn nothing_is_written_where_no_file_gave_a_block() {
    let folder = folder();
    for name in ["s.html", "s.json", "s.csv"] {
        for file in ["missing.json", "bad.json"] {
            let said = run(folder.path(), &["survey", "--rounds", "0", file, "--out", name], 2);
            assert!(said.contains("error:") && !said.contains("Wrote"), "{said}");
            assert!(!folder.path().join(name).exists(), "{name} of {file}");
        }
    }
}

#[test]
fn a_block_whose_chain_braid_passes_is_counted() {
    let Some(blocks) = fixtures() else { return };
    let names = ["mainnet-13217637", "mainnet-15538827", "mainnet-17666333"];
    let paths = names.map(|name| blocks.join(format!("{name}.json.zst")).display().to_string());
    let paths = paths.each_ref().map(String::as_str);
    let arguments = [&["survey", "--rounds", "0", "--json"][..], &paths].concat();
    let rows = lines(&run(&blocks, &arguments, 0));
    for row in &rows[..3] {
        let number = |name: &str| row[name].as_f64().expect("a number");
        assert!(number("simulated_speedup") > number("gas") / number("chain"), "{row}");
    }
    assert_eq!(rows[3]["groups"][0]["passed"], 3);
    let table =
        run(&blocks, &[&["survey", "--rounds", "0", "--table", "reached"][..], &paths].concat(), 0);
    assert!(table.contains("In 3 blocks Braid beats the bound of the conflict chain"), "{table}");
    for path in paths {
        let words = run(&blocks, &["explain", "--rounds", "0", path], 0);
        assert!(words.contains("This bound assumes that a payment reads"), "{words}");
    }
}

#[test]
fn blocks_without_transactions_are_counted_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let generate = ["gen", "--workload", "transfers", "--txs", "0", "--out", "empty.json"];
    run(path, &generate, 0);
    let file = sealed(Preset::Raw.block(5, 1).expect("generates"));
    file.write(&path.join("block.json")).expect("writes");
    let rows = lines(&run(path, &["survey", "--rounds", "0", "--json", "."], 0));
    assert_eq!((rows.len(), &rows[1]["txs"], &rows[2]["empty"]), (3, &json!(0), &json!(1)));
    let group = &rows[2]["groups"][0];
    assert_eq!((&group["blocks"], &group["txs"]), (&json!(1), &json!(5)));
    let lowest = &group["speedups"]["no_conflicts"]["lowest"];
    assert_eq!(lowest.as_f64(), Some(5.0), "five equal transactions");
    let words = run(path, &["survey", "--rounds", "0", "."], 0);
    assert!(words.starts_with("One block, one empty block left out, 5 transactions"), "{words}");
    let words = run(path, &["survey", "--rounds", "0", "empty.json"], 0);
    assert_eq!(words.trim_end(), "0 blocks, one empty block left out");
}
