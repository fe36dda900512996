//! `braid-lab bench` from outside.
//!
//! 1. It measures what `braid bench` measures, also on embedded stores.
//! 2. A sweep over contention measures each of its cells; a search finds slow blocks and writes them.
//! 3. What a block costs for its gas is told for each way of executing it, and what could be handed over for each part.
//! 4. The entries of a node are measured beside each other.

use crate::invoke::output;
use braid_blocks::workload::Preset;
use serde_json::Value;
use std::{path::Path, process::Output};

/// Runs `braid-lab bench` and asserts its exit code.
#[track_caller]
fn bench(arguments: &[&str], code: i32) -> Output {
    let output = output(Path::new("."), &[&["bench"], arguments].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    output
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[test]
fn workloads_are_measured_as_by_the_published_tool() {
    let arguments = ["c_erc20", "--txs", "40", "--rounds", "1", "--workers", "1,2", "--json"];
    let measured = lines(&bench(&arguments, 0));
    assert_eq!(measured.len(), 2);
    for line in &measured {
        assert!(line["ratio"].as_f64() > Some(0.0), "{line}");
        // Processes of their own, of this tool.
        let is_linux = cfg!(target_os = "linux");
        assert_eq!(line["par_peak_bytes"].is_u64(), is_linux, "{line}");
    }
    let busy = ["c_erc20", "--txs", "40", "--rounds", "1", "--pause", "0", "--brief", "--busy"];
    bench(&busy, 0);
    let simulated = ["c_erc20", "--txs", "40", "--virtual", "2,4", "--json"];
    assert_eq!(lines(&bench(&simulated, 0)).len(), 2);
}

#[cfg(any(feature = "redb", braid_rocksdb))]
#[test]
fn an_embedded_store_is_read_with_a_cold_cache() {
    let stores: &[&str] = &[
        #[cfg(feature = "redb")]
        "redb",
        #[cfg(braid_rocksdb)]
        "rocksdb",
    ];
    let arguments = ["c_erc20", "m_mainnet", "--txs", "40", "--rounds", "2", "--workers", "1,2"];
    for store in stores {
        let lines = lines(&bench(&[&arguments[..], &["--store", store, "--json"]].concat(), 0));
        assert_eq!(lines.len(), 4);
    }
}

#[test]
fn a_sweep_over_contention_has_a_line_for_each_cell() {
    let sweep = ["--contention", "--quick", "--workers", "2", "--txs", "12", "--rounds", "1"];
    let output = bench(&[&sweep[..], &["--pause", "0", "--json"]].concat(), 0);
    let lines = lines(&output);
    assert_eq!(lines.len(), 36);
    for field in
        ["slots", "order", "told_by", "learned", "fresh", "cpu", "bound", "share", "segments"]
    {
        assert!(lines.iter().all(|line| !line[field].is_null()), "{field}");
    }
    let printed = bench(&[&sweep[..], &["--pause", "0"]].concat(), 0);
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    for word in ["farthest from the bound", "300 slots", "runs of 250"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // What would be ignored is refused.
    for arguments in [&["--contention", "a_raw"][..], &["--quick"], &["--contention", "--scale=2"]]
    {
        bench(arguments, 2);
    }
}

#[test]
fn a_search_names_the_slowest_blocks_and_writes_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("slow");
    let out = out.to_str().expect("text");
    let search = ["search", "--blocks", "3", "--workers", "2", "--top", "2"];
    let output = bench(&[&search[..], &["--json", "--out", out]].concat(), 0);
    let found = lines(&output);
    assert_eq!(found.len(), 2);
    assert!(found[0]["badness"].as_f64() >= found[1]["badness"].as_f64());
    // By one of the two promises alone: the worst comes first.
    for (by, field, sign) in [("wall", "ratio", -1.0), ("cpu", "runs", 1.0)] {
        let lines = lines(&bench(&[&search[..], &["--json", "--by", by]].concat(), 0));
        let [one, other] = [0, 1].map(|at| sign * lines[at][field].as_f64().expect("a number"));
        assert!(one >= other, "{by}: {lines:?}");
    }
    // What was written is what was found: it is measured like any other block.
    let measured =
        bench(&[out, "--workers", "2", "--rounds", "1", "--pause", "0", "--brief", "--json"], 0);
    assert_eq!(lines(&measured).len(), 2);
    bench(&[&search[..], &["--below", "99"]].concat(), 1);
    for arguments in [&["search", "--below", "nan"][..], &["search", "--blocks", "0"]] {
        bench(arguments, 2);
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    bench(&["search", "--blocks", "1", "--out", file.to_str().expect("text")], 2);
}

#[test]
fn energy_is_that_of_each_way_for_the_same_gas() {
    let arguments = ["energy", "c_erc20", "--txs", "60", "--rounds", "1", "--workers", "1,2"];
    let lines = lines(&bench(&[&arguments[..], &["--json"]].concat(), 0));
    let ways = |line: &Value| (line["block"].clone(), line["workers"].clone());
    let blocks = ["c_erc20".into(), Value::Null];
    let all = [Value::Null, 1.into(), 2.into()];
    let expected: Vec<_> = blocks
        .iter()
        .flat_map(|block| all.iter().map(|way| (block.clone(), way.clone())))
        .collect();
    assert_eq!(lines.iter().map(ways).collect::<Vec<_>>(), expected);
    // 60 transfers of a token.
    assert!(lines[0]["gas"].as_u64() > Some(60 * 21_000), "{}", lines[0]);
    for (line, sequential) in lines.iter().zip([0, 0, 0, 3, 3, 3].map(|at| &lines[at])) {
        // The same block once in each round, so the sum of one round is the block's.
        assert_eq!(line["gas"], lines[0]["gas"], "{line}");
        let number = |line: &Value, name: &str| line[name].as_f64().expect("a number");
        let cpu = number(line, "cpu_seconds_per_mgas");
        assert!(cpu > 0.0 && number(line, "seconds_per_mgas") > 0.0, "{line}");
        let ratio = cpu / number(sequential, "cpu_seconds_per_mgas");
        assert!((number(line, "cpu_ratio") / ratio - 1.0).abs() < 1e-9, "{line}");
    }
    let text = bench(&arguments, 0).stdout;
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains("sequential") && text.contains("2 workers"), "{text}");
}

#[test]
fn each_entry_of_a_node_has_its_figures_on_each_number_of_workers() {
    let arguments = ["entries", "c_erc20", "--txs", "60", "--rounds", "1", "--workers", "1,4"];
    let delays = ["--db-latency", "0us,5us", "--pause", "0"];
    let lines = lines(&bench(&[&arguments[..], &delays, &["--json"]].concat(), 0));
    let found = lines.iter().map(|it| (it["entry"].clone(), it["workers"].clone()));
    let mut expected = vec![("EthBlockExecutor".into(), Value::Null)];
    for workers in [1, 4] {
        let entries = [
            "Executor",
            "Executor, on_commit",
            "Executor, keep_changes",
            "factory, handles",
            "factory",
        ];
        expected.extend(entries.map(|entry| (entry.into(), Value::from(workers))));
    }
    assert_eq!(found.collect::<Vec<_>>(), [expected.clone(), expected].concat());
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(line["read_us"].as_f64(), Some(if at < 11 { 0.0 } else { 5.0 }), "{line}");
        assert!(line["wall_ms"].as_f64() > Some(0.0) && line["cpu_ratio"].is_f64(), "{line}");
    }
    let text = bench(&[&arguments[..], &["--pause", "0"]].concat(), 0).stdout;
    let text = String::from_utf8(text).expect("text");
    assert_eq!(text.matches("factory, handles").count(), 2, "{text}");
    bench(&["entries", "c_erc20", "--db-latency", "5"], 2);
}

#[test]
fn what_could_be_handed_over_is_the_sum_of_its_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("called.json");
    // Transfers of a token hash; two of them call a precompile instead.
    let mut block = serde_json::to_value(Preset::Erc20.block(20, 1).expect("generates"));
    let block = block.as_mut().expect("serialises");
    for (index, precompile) in [(3, 2), (7, 4)] {
        let call = &mut block["block"]["transactions"][index];
        call["to"] = format!("0x{precompile:040x}").into();
        call["input"] = format!("0x{}", "ab".repeat(1_000)).into();
    }
    std::fs::write(&file, block.to_string()).expect("writes");
    let file = file.to_str().expect("UTF-8");
    let lines = lines(&bench(&["offload", file, "--rounds", "1", "--json"], 0));
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["block"], &lines[1]["block"]), (&"called".into(), &Value::Null));
    for line in &lines {
        let number = |part: &Value, name: &str| part[name].as_f64().expect("a number");
        assert!(number(line, "gas") > 0.0 && number(line, "seconds") > 0.0, "{line}");
        let parts = line["parts"].as_array().expect("parts");
        let names: Vec<_> = parts.iter().map(|part| part["what"].as_str().expect("text")).collect();
        assert_eq!(names, ["keccak256", "sha256", "identity"]);
        assert_eq!((&parts[1]["calls"], &parts[1]["bytes"]), (&1.into(), &1_000.into()));
        for name in ["calls", "bytes", "gas_share", "time_share"] {
            let sum: f64 = parts.iter().map(|part| number(part, name)).sum();
            let all = number(&line["all"], name);
            assert!(sum > 0.0 && (sum / all - 1.0).abs() < 1e-9, "{name}: {line}");
        }
        assert!(number(&line["all"], "gas_share") < 1.0, "{line}");
        for part in parts {
            assert!(number(part, "limit") >= 1.0, "{line}");
            assert!(number(part, "limit") <= number(&line["all"], "limit"), "{line}");
        }
    }
}
