//! Runs the official suites with the tool. Failed and skipped tests must be exactly those in
//! `docs/CONFORMANCE.md`.
//!
//! `BRAID_SUITES` selects the extent: unset for a small daily sample, `ci` for the CI, `whole` for
//! everything. `BRAID_TOOL` names the tool to run instead of the one built with the tests.

use crate::support::suites;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

const PAGE: &str = include_str!("../../../docs/CONFORMANCE.md");

/// Extent of the run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Sample,
    Ci,
    Whole,
}

fn size() -> Size {
    match std::env::var("BRAID_SUITES").as_deref() {
        Ok("ci") => Size::Ci,
        Ok("whole") => Size::Whole,
        Ok(other) if !other.is_empty() => panic!("BRAID_SUITES={other}: expected ci or whole"),
        _ => Size::Sample,
    }
}

/// Runs the tool with `--json`, and returns all output lines and the last one.
fn run(arguments: &[&str], suites: &Path) -> (Vec<Value>, Value) {
    let tool = std::env::var_os("BRAID_TOOL").unwrap_or(env!("CARGO_BIN_EXE_braid-lab").into());
    let mut command = Command::new(tool);
    command.args(arguments).args(["--json", "--keep-going"]).arg(suites);
    let output = command.output().expect("the tool starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let mut lines: Vec<Value> = lines.collect();
    let total = lines.pop().unwrap_or_default();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(total["total"], true, "{arguments:?}: {complaint}");
    let code = if total["failed"] == 0 { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {complaint}");
    println!("braid-lab {}: {total}", arguments.join(" "));
    (lines, total)
}

/// Returns the rows of the page's table under `heading`, as cells without quotes.
fn table(heading: &str) -> Vec<Vec<String>> {
    let mut sections = PAGE.split("\n## ");
    let section = sections.find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("docs/CONFORMANCE.md has no \"{heading}\""));
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let inner = row.trim_matches('|').split('|');
        inner.map(|cell| cell.trim().replace('`', "")).collect()
    };
    // The header and the separator line come first.
    rows.skip(2).map(cells).collect()
}

/// Returns the names of listed tests, each with the number of its failing cases.
fn exceptions(heading: &str) -> BTreeMap<String, u64> {
    let rows = table(heading);
    let row = |row: Vec<String>| {
        assert!(row[2].len() > 20, "{}: an exception needs a reason", row[0]);
        (row[0].clone(), row[1].parse().expect("a number of cases"))
    };
    rows.into_iter().map(row).collect()
}

/// Compares failures with the exceptions. A test that was run must fail in as many cases as the
/// page says; `all` requires that every listed test was run.
fn check_failures(lines: &[Value], exceptions: &BTreeMap<String, u64>, all: bool) {
    let mut failed: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for line in lines {
        let test = line["test"].as_str().expect("a name");
        seen.insert(test);
        if line["status"] == "failed" {
            failed.entry(test).or_default().push(line);
        }
    }
    for (test, lines) in &failed {
        assert!(exceptions.contains_key(*test), "{test} is no exception: {lines:#?}");
    }
    for (test, cases) in exceptions {
        assert!(!all || seen.contains(test.as_str()), "the exception {test} is not in the suite");
        if seen.contains(test.as_str()) {
            let found = failed.get(test.as_str()).map_or(0, Vec::len) as u64;
            assert_eq!(found, *cases, "{test}: failing cases, as docs/CONFORMANCE.md states them");
        }
    }
}

/// Checks the counts that the page states for a suite: passed, failed, skipped.
fn check_counts(suite: &str, total: &Value) {
    let rows = table("Counts");
    let row = rows.iter().find(|row| row[0] == suite).expect("a row of the counts");
    let counts: Vec<u64> =
        row[1..4].iter().map(|cell| cell.replace(',', "").parse().expect("a number")).collect();
    let found = ["passed", "failed", "skipped"].map(|field| total[field].as_u64());
    assert_eq!(
        counts,
        found.map(|count| count.expect("a count")),
        "{suite}: passed, failed, not run"
    );
}

/// Compares reasons and their counts; for a sample, only the reasons.
fn check_reasons(heading: &str, found: &Value, whole: bool) {
    let stated: BTreeMap<String, u64> = table(heading)
        .into_iter()
        .map(|row| (row[0].clone(), row[1].replace(',', "").parse().expect("a number")))
        .collect();
    let found: BTreeMap<String, u64> = serde_json::from_value(found.clone()).unwrap_or_default();
    if whole {
        assert_eq!(found, stated, "{heading}");
    } else {
        let unknown = found.keys().find(|reason| !stated.contains_key(*reason));
        assert_eq!(unknown, None, "{heading}");
    }
}

#[test]
#[ignore = "official suites: cargo xtask suites"]
fn state_tests_pass_but_for_the_exceptions() {
    let Some(suites) = suites() else { return };
    let exceptions = exceptions("State tests that fail");
    let size = size();
    let runs: &[&[&str]] = match size {
        Size::Sample => &[&["--sample", "40", "--workers", "2"]],
        Size::Ci => &[&["--workers", "2"]],
        Size::Whole => &[&["--workers", "2"], &["--workers", "3"], &["--workers", "1"]],
    };
    for run_with in runs {
        let forced = ["statetest", "--policy", "speculative"];
        let (lines, total) = run(&[&forced[..], *run_with].concat(), &suites);
        let whole = size != Size::Sample;
        check_failures(&lines, &exceptions, whole);
        check_reasons("State tests that are not run", &total["skipped_why"], whole);
        assert!(total["passed"].as_u64() > Some(200));
        if whole {
            check_counts("state tests", &total);
        }
    }
}

#[test]
#[ignore = "official suites: cargo xtask suites"]
fn block_tests_pass_but_for_the_exceptions() {
    let Some(suites) = suites() else { return };
    let exceptions = exceptions("Block tests that fail");
    for setting in [
        &["--workers", "2", "--policy", "speculative"][..],
        &["--workers", "3", "--policy", "speculative"],
        &["--workers", "2"],
    ] {
        let (lines, total) = run(&[&["blocktest"], setting].concat(), &suites);
        check_failures(&lines, &exceptions, true);
        check_reasons("Invalid blocks that are not executed", &total["out_of_scope"], true);
        check_counts("block tests", &total);
        // Blocks that are invalid because of their execution were rejected, each for its reason.
        assert!(total["blocks refused as they must be"].as_u64() > Some(100));
    }
}

/// Blocks of all transactions of a file, compared with plain revm, with minimum counts of the hard
/// cases.
#[test]
#[ignore = "official suites: cargo xtask suites"]
fn amplified_state_tests_equal_sequential_execution() {
    let Some(suites) = suites() else { return };
    let runs: &[&[&str]] = match size() {
        Size::Sample => &[&["--amplify", "1", "--sample", "40", "--workers", "3"]],
        Size::Ci => &[
            &["--amplify", "1", "--workers", "2"],
            &["--amplify", "2", "--sample", "4", "--seed", "77", "--workers", "4"],
        ],
        Size::Whole => &[
            &["--amplify", "4", "--workers", "2"],
            &["--amplify", "2", "--seed", "77", "--workers", "3"],
            &["--amplify", "2", "--seed", "777", "--workers", "8"],
        ],
    };
    for run_with in runs {
        let forced = ["statetest", "--policy", "speculative"];
        let (lines, total) = run(&[&forced[..], *run_with].concat(), &suites);
        let failed: Vec<_> = lines.iter().filter(|line| line["status"] == "failed").collect();
        assert!(failed.is_empty(), "{failed:#?}");
        // At most two tests of each order are skipped, because they compute for minutes.
        assert!(total["skipped"].as_u64() <= Some(16), "{total}");
        let count = |what: &str| total[what].as_u64().unwrap_or_else(|| panic!("{what}: {total}"));
        let blocks = count("passed");
        assert!(blocks >= 50, "{blocks} blocks");
        assert!(count("transactions") >= 8 * blocks - blocks, "{total}");
        assert!(count("transactions left out") * 2 < count("transactions"), "{total}");
        // The schedule decides which runs conflict, but among thousands of blocks some do.
        assert!(count("blocks with conflicts") > 0, "{total}");
        if size() != Size::Sample {
            assert!(count("blocks with conflicts") * 20 > blocks, "{total}");
            assert!(count("speculative results") * 20 > count("transactions"), "{total}");
        }
    }
}

/// The same with transactions that declare their accesses.
#[test]
#[ignore = "official suites: cargo xtask suites"]
fn amplified_state_tests_that_declare_equal_sequential_execution() {
    let Some(suites) = suites() else { return };
    let sample = match size() {
        Size::Sample => "80",
        Size::Ci => "8",
        Size::Whole => "1",
    };
    for workers in ["2", "4"] {
        let with = ["statetest", "--amplify", "1", "--declared", "--workers", workers];
        let with = [&with[..], &["--policy", "speculative"]].concat();
        let (lines, total) = run(&[&with[..], &["--sample", sample]].concat(), &suites);
        let failed: Vec<_> = lines.iter().filter(|line| line["status"] == "failed").collect();
        assert!(failed.is_empty(), "{failed:#?}");
        let count = |what: &str| total[what].as_u64().unwrap_or_else(|| panic!("{what}: {total}"));
        let blocks = count("passed");
        assert!(blocks >= 20 && count("transactions") >= 8 * blocks - blocks, "{total}");
        // Most of them depend on each other, and wait: few results are speculative, and a seventh of
        // the runs is aborted instead of a third.
        assert!(count("speculative results") > 0, "{total}");
        assert!(count("runs aborted") * 4 <= count("runs"), "{total}");
    }
}

/// The table of exceptions is parsed and has known entries.
#[test]
fn the_page_is_read() {
    let failing = exceptions("State tests that fail");
    assert!(failing.contains_key("create2collisionStorageParis"), "{failing:?}");
    assert_eq!(table("Counts").len(), 2);
    let line = |test: &str, status: &str| serde_json::json!({"test": test, "status": status});
    let exceptions: BTreeMap<String, u64> = [("known".to_owned(), 1)].into();
    let fails = |lines: &[Value], all: bool| {
        let lines = lines.to_vec();
        let exceptions = exceptions.clone();
        std::panic::catch_unwind(move || check_failures(&lines, &exceptions, all)).is_err()
    };
    assert!(!fails(&[line("known", "failed"), line("other", "passed")], true));
    assert!(!fails(&[line("other", "passed")], false), "of a sample nothing has to be there");
    assert!(fails(&[line("other", "failed")], false), "an unknown failure");
    assert!(fails(&[line("known", "passed")], false), "an unexpected pass");
    assert!(fails(&[line("other", "passed")], true), "an exception that is gone");
}
