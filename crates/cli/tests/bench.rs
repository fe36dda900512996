//! `braid bench` as a child process: it measures what it is asked to, and reports what it could not
//! measure.
//!
//! 1. Every built-in workload gives sequential results on several numbers of workers, with a line
//!    of the documented fields for each.
//! 2. Block files and folders are measured; an unknown name is refused, with the list of names.
//! 3. A block that cannot be executed ends with code 2, and the others are measured nevertheless.
//! 4. Memory, stages and virtual time are included, unless they are disabled.
//! 5. A slow database is read by every strategy, and its reads are counted.
//! 6. With access lists, a block of dependent transactions is not a chain any more.
//! 7. A slowdown against an earlier measurement is reported, with exit code 1, or the reason why
//!    the two are not comparable.

use braid_blocks::{
    block_file::BlockFile,
    workload::{Preset, Workload, WorkloadSpec, generate},
};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

/// Runs `braid bench`, and asserts its exit code.
#[track_caller]
fn bench(arguments: &[&str], code: i32) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    let output = command.arg("bench").args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("the tool starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    output
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn small_block() -> BlockFile {
    generate(&WorkloadSpec::new(Workload::Transfers, 20, 0, 3).unsigned()).expect("generates")
}

#[test]
fn every_workload_has_a_line_for_each_number_of_workers() {
    let arguments = ["--txs", "60", "--rounds", "2", "--workers", "1,3", "--json"];
    let lines = lines(&bench(&arguments, 0));
    let names: Vec<_> = Preset::ALL.iter().flat_map(|preset| [preset.name(); 2]).collect();
    let found: Vec<_> = lines.iter().map(|line| line["workload"].as_str().expect("text")).collect();
    assert_eq!(found, names);
    for (line, workers) in lines.iter().zip([1, 3].into_iter().cycle()) {
        assert_eq!(
            (&line["workers"], &line["txs"], &line["rounds"]),
            (&workers.into(), &60.into(), &2.into())
        );
        for field in ["ratio", "cpu_ratio", "journal_ratio", "bound_ratio", "spread", "par_ms"] {
            assert!(line[field].as_f64().is_some_and(|figure| figure > 0.0), "{field} in {line}");
        }
        let stages = &line["stages_us_per_tx"];
        assert!(stages["execute"].as_f64() > Some(0.0) && stages["bundle"].is_f64(), "{line}");
        assert!(line["incarnations"].as_u64() >= Some(60), "{line}");
    }
}

#[test]
fn files_and_folders_are_measured_and_other_names_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = small_block();
    good.write(&folder.path().join("good.json")).expect("writes");
    let path = folder.path().to_str().expect("UTF-8");
    let text = bench(&[path, "a_raw", "--txs", "30", "--scale=2", "--rounds", "1"], 0).stdout;
    let text = String::from_utf8(text).expect("text");
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).expect("a row");
    assert!(row("good").contains(" 20 ") && row("a_raw").contains(" 60 "), "{text}");

    let refused = bench(&["a_rwa"], 2);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("a_rwa") && said.contains("m_mainnet"), "{said}");

    let mut bad = good;
    let sender = bad.transactions().expect("whole")[7].inner.signer();
    bad.pre_state.get_mut(&sender).expect("there").balance = Default::default();
    bad.write(&folder.path().join("bad.json")).expect("writes");
    let mixed = bench(&[path, "--rounds", "1", "--json"], 2);
    let [bad, good] = &lines(&mixed)[..] else { panic!("an error and a measurement: {mixed:?}") };
    assert!(bad["file"].as_str().is_some_and(|it| it.contains("bad")) && bad["ok"] == false);
    assert_eq!(good["workload"], "good");
}

#[test]
fn memory_is_that_of_a_process_of_its_own() {
    let arguments = ["a_raw", "--txs", "4000", "--rounds", "1", "--workers", "2", "--json"];
    let line = &lines(&bench(&arguments, 0))[0];
    if cfg!(target_os = "linux") {
        for peak in ["seq_peak_bytes", "par_peak_bytes"] {
            // 8,000 accounts with their reverts.
            assert!(line[peak].as_u64() > Some(1 << 20), "{line}");
        }
    }
    let listed = &lines(&bench(&[&arguments[..], &["--bal"]].concat(), 0))[0];
    if cfg!(target_os = "linux") {
        // The block's memory is not served from what building the list has freed.
        assert!(listed["par_peak_bytes"].as_u64() > line["seq_peak_bytes"].as_u64(), "{listed}");
    }
    let brief = &lines(&bench(&[&arguments[..], &["--brief"]].concat(), 0))[0];
    assert!(brief["par_peak_bytes"].is_null() && brief["stages_us_per_tx"].is_null(), "{brief}");
}

#[test]
fn results_are_right_under_every_option() {
    for option in [
        "--bal",
        "--bal-hint",
        "--emit-bal",
        "--no-learn",
        "--no-keccak-cache",
        "--db-latency=1us",
        "--db-waits=sleep",
        "--policy=speculative",
        "--policy=sequential",
        "--pause=0",
        "--seed=7",
        "--execute=1",
    ] {
        let arguments = ["m_mainnet", "--txs", "60", "--rounds", "1", "--workers", "1,2"];
        bench(&[&arguments[..], &["--brief", "--json", option]].concat(), 0);
    }
}

#[test]
fn more_workers_than_cores_are_simulated() {
    let arguments = ["e_uni", "--txs", "80", "--rounds", "1", "--workers", "2", "--brief"];
    let json = [&arguments[..], &["--simulate", "4,16", "--json"]].concat();
    let line = &lines(&bench(&json, 0))[0];
    let ratio = |workers: &str| line["simulated_ratio"][workers].as_f64().expect("a ratio");
    assert!(ratio("2") > 0.0 && ratio("16") > ratio("2"), "{line}");
    assert!(line["work_over_chain"].as_f64() > Some(2.0), "{line}");
    let page = bench(&[&arguments[..], &["--simulate", "4"]].concat(), 0).stdout;
    let page = String::from_utf8(page).expect("text");
    let row = page.lines().find(|line| line.starts_with("e_uni ")).expect("a row");
    assert_eq!(row.split_whitespace().nth(1), Some("2"), "{page}");
    assert!(page.contains("simulated ratio at workers"), "{page}");
}

#[test]
fn with_its_access_list_a_chain_of_transactions_is_none() {
    let arguments = ["f_unipool", "--txs", "120", "--rounds", "1", "--workers", "2", "--brief"];
    let simulated = [&arguments[..], &["--simulate", "8", "--json"]].concat();
    let listed = [&simulated[..], &["--bal"]].concat();
    let (plain, listed) = (lines(&bench(&simulated, 0)), lines(&bench(&listed, 0)));
    let (plain, listed) = (&plain[0], &listed[0]);
    assert_eq!((&plain["access_list"], &listed["access_list"]), (&false.into(), &true.into()));
    // During the measured rounds no transaction runs twice, and batches run from the list.
    assert!(listed["contiguous_batches"].as_u64() > Some(1) && listed["aborts"] == 0, "{listed}");
    // By gas, because the times of one round are noise.
    let by_gas = ["f_unipool", "--txs", "120", "--virtual", "8", "--json"];
    let learned = |arguments: &[&str]| lines(&bench(arguments, 0))[0]["learned"].as_f64();
    let (plain, listed) = (learned(&by_gas), learned(&[&by_gas[..], &["--bal"]].concat()));
    assert!(listed > plain.map(|plain| 1.5 * plain), "{plain:?} {listed:?}");
    let page = bench(&[&arguments[..], &["--bal"]].concat(), 0).stdout;
    let page = String::from_utf8(page).expect("text");
    assert!(page.contains("no added load, with access lists"), "{page}");
}

#[test]
fn a_slow_database_is_read_by_every_way() {
    let arguments = ["a_raw", "--txs", "20", "--rounds", "1", "--json", "--workers", "2"];
    let slow = [&arguments[..], &["--db-latency", "200us", "--db-waits", "spin"]].concat();
    let (fast, slow) = (lines(&bench(&arguments, 0)), lines(&bench(&slow, 0)));
    let (fast, slow) = (&fast[0], &slow[0]);
    // One sender and one recipient per transaction, and some reads for the system contracts.
    for reads in ["seq_reads", "par_reads"] {
        assert!(fast[reads].is_null() && slow[reads].as_u64() >= Some(40), "{slow}");
    }
    assert!(slow["seq_ms"].as_f64() >= Some(8.0), "{slow}");
    bench(&["a_raw", "--db-latency", "20"], 2);
}

/// Returns an earlier measurement in which Braid took `factor` times as long.
fn earlier(lines: &[Value], factor: f64) -> String {
    let mut text = String::new();
    for line in lines {
        let mut line = line.clone();
        let rounds = line["par_rounds_ms"].as_array().expect("rounds");
        let times = rounds.iter().map(|time| time.as_f64().expect("a time") * factor);
        line["par_rounds_ms"] = times.collect();
        text += &format!("{line}\n");
    }
    text
}

#[test]
fn what_became_slower_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = folder.path().join("before.json");
    let name = before.to_str().expect("UTF-8");
    let what = ["a_raw", "--txs", "60", "--rounds", "6", "--pause", "0", "--brief", "--json"];
    let measured = lines(&bench(&[&what[..], &["--workers", "1"]].concat(), 0));
    assert_eq!(measured[0]["seq_rounds_ms"].as_array().expect("rounds").len(), 6);
    let compared = |text: &str, more: &[&str], code: i32| {
        std::fs::write(&before, text).expect("writes");
        let arguments = [&what[..], &["--workers", "1", "--against", name], more].concat();
        let mut lines = lines(&bench(&arguments, code));
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[1]["workload"], &lines[1]["against"]), (&"a_raw".into(), &name.into()));
        lines.pop().expect("a line")
    };
    // Far beyond the noise of a busy machine.
    let slower = compared(&earlier(&measured, 0.001), &[], 1);
    assert_eq!(slower["verdict"], "slower");
    let number = |name: &str| slower[name].as_f64().expect("a number");
    assert!(number("low") <= number("factor") && number("factor") <= number("high"), "{slower}");
    assert!(number("low") > 10.0, "{slower}");
    assert_eq!(compared(&earlier(&measured, 1_000.0), &[], 0)["verdict"], "faster");
    let tolerant = ["--tolerance", "1000"];
    assert_eq!(compared(&earlier(&measured, 1.0), &tolerant, 0)["verdict"], "same");

    // Incomparable measurements are reported with the reason.
    let spoiled = |field: &str, value: Value| {
        let mut line = measured[0].clone();
        line[field] = value;
        earlier(&[line], 1.0)
    };
    for (field, value, why) in [
        ("gas", 1.into(), "a different block"),
        ("pause_us", 7.into(), "conditions differ"),
        ("workers", 2.into(), "does not contain it"),
        ("seq_rounds_ms", vec![1.0; 4].into(), "rounds"),
    ] {
        let line = compared(&spoiled(field, value), &[], 2);
        assert_eq!((&line["verdict"], &line["factor"]), (&"not_compared".into(), &Value::Null));
        assert!(line["why"].as_str().expect("text").contains(why), "{line}");
    }
    std::fs::write(&before, "").expect("writes");
    let refused = bench(&["a_raw", "--against", name], 2);
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("braid bench --json >"), "{refused}");

    std::fs::write(&before, earlier(&measured, 0.001)).expect("writes");
    let words =
        ["a_raw", "--txs", "60", "--rounds", "6", "--pause", "0", "--brief", "--workers", "1"];
    let words = bench(&[&words[..], &["--against", name]].concat(), 1);
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(words.contains("Time relative to") && words.contains("slower"), "{words}");
}

/// Speculation on one worker costs more than a sequential run, and the table says where.
#[test]
fn the_cost_of_sharing_is_measured_by_stage() {
    let arguments = ["c_erc20", "--cost", "--txs", "60", "--rounds", "2", "--pause", "0", "--json"];
    let [line] = &lines(&bench(&arguments, 0))[..] else { panic!("one block") };
    assert!(line["revm_us"].as_f64().is_some_and(|us| us > 0.0), "{line}");
    let ways = line["ways"].as_array().expect("a list");
    let names: Vec<_> = ways.iter().map(|it| (it["way"].clone(), it["workers"].clone())).collect();
    let expected = [("sequential", 1), ("speculative", 1), ("speculative", 2)];
    assert_eq!(names, expected.map(|(way, workers)| (way.into(), workers.into())));
    for way in ways {
        assert!(way["cpu_us"].as_f64().is_some_and(|us| us > 0.0), "{way}");
        assert!(way["stages"]["execute"].as_f64().is_some_and(|us| us > 0.0), "{way}");
    }
    assert_eq!(ways[0]["view_us"], 0.0);
}
