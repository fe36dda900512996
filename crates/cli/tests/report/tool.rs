//! The page, its data and the trace, as written by the tool.

use crate::invoke::{sealed, tool as run};
use braid_blocks::workload::{Preset, Workload};
use braid_testkit::hostile::files::good_file;
use serde_json::{Value, json};
use std::{fs, process::Command};

/// Returns the data of each block on a page, as a browser reads it.
fn blocks(page: &str) -> Vec<Value> {
    let scripts = page.split("<script type=\"application/json\" class=\"block\"").skip(1);
    let json = scripts.map(|rest| {
        let (_, rest) = rest.split_once('>').expect("the end of the tag");
        let (json, _) = rest.split_once("</script").expect("the end of the script");
        serde_json::from_str(json).expect("JSON")
    });
    json.collect()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn in_folder(preset: Preset, transactions: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let file = sealed(preset.block(transactions, 1).expect("generates"));
    file.write(&folder.path().join("block.json")).expect("writes");
    folder
}

#[test]
fn help_has_examples_and_what_cannot_be_used_is_refused() {
    let folder = in_folder(Preset::Raw, 3);
    let help = run(folder.path(), &["report", "--help"], 0);
    for word in ["Examples:", "--out", "--trace", "--json", "--workers", "perfetto", "EXPLAIN.md"] {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    run(folder.path(), &["report", "--workers", "65", "block.json"], 2);
    let missing = run(folder.path(), &["report", "missing.json"], 2);
    assert!(missing.contains("missing.json"), "{missing}");
    assert!(!folder.path().join("report.html").exists(), "there is nothing to show");
    let refused =
        run(folder.path(), &["report", "--rounds", "0", "--out", "no/where", "block.json"], 2);
    assert!(refused.contains("no/where") && refused.contains("--out"), "{refused}");
    // This is noticed before any input is read.
    for option in ["--out", "--trace"] {
        let refused = run(folder.path(), &["report", option, "no/where", "missing.json"], 2);
        assert!(refused.contains("no/where") && !refused.contains("missing.json"), "{refused}");
    }
    run(folder.path(), &["report", "--trace", "trace.json", "missing.json"], 2);
    assert!(!folder.path().join("trace.json").exists(), "the check leaves no file");
    let missing = lines(&run(folder.path(), &["report", "--json", "missing.json"], 2));
    assert_eq!((&missing[0]["ok"], &missing[0]["file"]), (&json!(false), &json!("missing.json")));
}

#[test]
fn the_data_is_what_explain_says_and_what_the_page_holds() {
    let folder = in_folder(Preset::Mainnet, 120);
    let arguments = ["--rounds", "0", "--workers", "8", "--json", "block.json"];
    let data = lines(&run(folder.path(), &[&["report"], &arguments[..]].concat(), 0)).remove(0);
    assert!(!folder.path().join("report.html").exists(), "--json writes no page of itself");
    let explained = lines(&run(folder.path(), &[&["explain"], &arguments[..]].concat(), 0));
    for (name, value) in explained[0].as_object().expect("an object") {
        assert_eq!(data[name], *value, "{name}");
    }
    // Names of contracts have the same form everywhere.
    let names = data["callees"]["names"].as_array().expect("names");
    let transactions = data["transactions"].as_array().expect("transactions");
    let is_called = |name: &&Value| transactions.iter().any(|it| it["to"] == **name);
    assert!(
        names.len() > 2 && names.iter().filter(is_called).count() >= names.len() - 2,
        "{names:?}"
    );
    let own = [
        "words",
        "transactions",
        "locations",
        "other_locations",
        "waits",
        "callees",
        "speedups",
        "timeline",
    ];
    for name in own {
        assert!(!data[name].is_null(), "{name}");
    }
    let fields = data.as_object().expect("an object").len();
    assert_eq!(fields, explained[0].as_object().expect("an object").len() + own.len());
    let words =
        run(folder.path(), &["explain", "--rounds", "0", "--workers", "8", "block.json"], 0);
    // Lines are wrapped for a terminal, but not on the page.
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let of_page = flat(data["words"].as_str().expect("text"));
    assert!(of_page.len() > 500 && flat(&words).contains(&of_page), "{words}");

    let said = run(folder.path(), &["report", "--rounds", "0", "--workers", "8", "block.json"], 0);
    assert!(said.contains("report.html") && said.contains("file:///"), "{said}");
    let page = fs::read_to_string(folder.path().join("report.html")).expect("a page");
    assert_eq!(blocks(&page), [data]);
    let out = run(
        folder.path(),
        &["report", "--rounds", "0", "--workers", "8", "--out", "-", "block.json"],
        0,
    );
    assert_eq!(out, page);
}

#[test]
fn the_demo_chain_is_one_page_of_six_blocks() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &["report", "--rounds", "0", "--out", "demo.html"], 0);
    let page = fs::read_to_string(folder.path().join("demo.html")).expect("a page");
    let names: Vec<Value> = blocks(&page).iter().map(|block| block["file"].clone()).collect();
    assert_eq!(names, ["demo-1", "demo-2", "demo-3", "demo-4", "demo-5", "demo-6"]);
}

#[test]
fn speedups_are_measured_here_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = good_file(Workload::Erc20, 60, 50).expect("generates");
    file.write(&folder.path().join("block.json")).expect("writes");
    let arguments = ["report", "--rounds", "1", "--pause", "0", "--json", "block.json"];
    let data = lines(&run(folder.path(), &arguments, 0)).remove(0);
    let rows = data["speedups"].as_array().expect("rows");
    let here = rows.iter().find(|row| row["workers"] == data["measured"]["workers"]);
    assert_eq!(here.expect("a row")["measured"], data["measured"]["speedup"]);
    let all: Vec<u64> = rows.iter().filter_map(|row| row["workers"].as_u64()).collect();
    for workers in [1, 2, 4, 8, 16, 32, 64] {
        assert!(all.contains(&workers), "{all:?}");
    }
    assert!(data["transactions"][0]["time_ns"].as_u64() > Some(0));
}

#[test]
#[cfg(unix)]
fn a_name_cannot_leave_its_place_on_the_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "<img src=x onerror=alert(1)>&\"'{{script}}.json";
    let file = sealed(Preset::Raw.block(3, 1).expect("generates"));
    file.write(&folder.path().join(name)).expect("writes");
    run(folder.path(), &["report", "--rounds", "0", name], 0);
    let page = fs::read_to_string(folder.path().join("report.html")).expect("a page");
    assert!(!page.contains("<img"), "markup of the name is on the page");
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39;{{script}}"));
    assert_eq!(blocks(&page)[0]["file"], name);
}

/// The page makes no requests: neither in elements, nor in styles, nor in scripts.
#[test]
fn the_page_asks_no_server_for_anything() {
    let folder = in_folder(Preset::Mainnet, 60);
    run(folder.path(), &["report", "--rounds", "0", "block.json"], 0);
    let page = fs::read_to_string(folder.path().join("report.html")).expect("a page");
    assert!(page.contains("http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';"));
    // The comment of the chart library contains its origin.
    let addresses: Vec<&str> = page
        .match_indices("://")
        .map(|(at, _)| {
            let end = page[at..].find([' ', '"', '\'', ')', '<', '\n']).unwrap_or(3);
            &page[at.saturating_sub(5)..at + end]
        })
        .collect();
    assert_eq!(addresses, ["https://github.com/leeoniya/uPlot"], "addresses on the page");
    for word in [
        "src=",
        "@import",
        "url(",
        "fetch(",
        "XMLHttpRequest",
        "WebSocket",
        "import(",
        "eval(",
        "innerHTML",
    ] {
        assert!(!page.contains(word), "{word} is on the page");
    }
    let links = page.matches("href=").count();
    let own = page.matches("href=\"#main\"").count() + page.matches("href=\"data:,\"").count();
    assert_eq!(links, own, "a link that leads away");
    assert!(page.contains("The MIT License (MIT)") && page.contains("Leon Sorokin"));
}

#[test]
fn the_trace_is_the_timeline() {
    let folder = in_folder(Preset::NftGame, 300);
    let arguments = [
        "report",
        "--rounds",
        "0",
        "--workers",
        "8",
        "--trace",
        "trace.json",
        "--json",
        "block.json",
    ];
    let data = lines(&run(folder.path(), &arguments, 0)).remove(0);
    let text = fs::read_to_string(folder.path().join("trace.json")).expect("a trace");
    let trace: Value = serde_json::from_str(&text).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let timeline = &data["timeline"];
    let nanoseconds = |value: &Value| (value.as_f64().expect("a time") * 1e3).round() as u64;
    let of = |kinds: &[&str]| {
        let chosen = events.iter().filter(|it| kinds.contains(&it["cat"].as_str().unwrap_or("")));
        let mut found: Vec<(u64, u64, u64, Option<u64>)> = chosen
            .map(|it| {
                assert_eq!((&it["ph"], &it["pid"]), (&json!("X"), &json!(1)));
                let begin = nanoseconds(&it["ts"]);
                let worker = it["tid"].as_u64().expect("a thread");
                (worker, begin, begin + nanoseconds(&it["dur"]), it["args"]["transaction"].as_u64())
            })
            .collect();
        found.sort_unstable();
        found
    };
    let expected = |list: &str, field: &str, values: &[&str]| {
        let rows = timeline[list].as_array().expect("rows").iter();
        let rows = rows.filter(|it| values.contains(&it[field].as_str().unwrap_or("")));
        let number = |value: &Value| value.as_u64().expect("a number");
        let mut rows: Vec<(u64, u64, u64, Option<u64>)> = rows
            .map(|it| {
                (
                    number(&it["worker"]),
                    number(&it["begin"]),
                    number(&it["end"]),
                    it["transaction"].as_u64(),
                )
            })
            .collect();
        rows.sort_unstable();
        rows
    };
    for (kind, how) in [("run", "committed"), ("aborted", "aborted"), ("blocked", "blocked")] {
        assert_eq!(of(&[kind]), expected("runs", "how", &[how]), "{kind}");
    }
    assert!(!of(&["aborted"]).is_empty());
    for what in ["publish", "coordinate"] {
        assert_eq!(of(&[what]), expected("spans", "what", &[what]), "{what}");
    }
    assert_eq!(of(&["batch"]).len(), timeline["batches"].as_array().expect("rows").len());
    let commits = events.iter().filter(|it| it["cat"] == "commit");
    let commits: Vec<u64> = commits.map(|it| nanoseconds(&it["ts"])).collect();
    let committed: Vec<u64> =
        timeline["commits"].as_array().expect("times").iter().filter_map(Value::as_u64).collect();
    assert_eq!(commits, committed);
    let named = events.iter().filter(|it| it["name"] == "thread_name");
    assert_eq!(named.count(), 8);
}

#[test]
fn standard_output_takes_one_thing() {
    let folder = tempfile::tempdir().expect("a folder");
    let both: [&[&str]; 3] =
        [&["--json", "--out", "-"], &["--json", "--trace", "-"], &["--out", "-", "--trace", "-"]];
    for arguments in both {
        let arguments = [&["report", "--rounds", "0"], arguments].concat();
        let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
        let output = command.args(&arguments).current_dir(folder.path()).output().expect("it runs");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("only one of --json, --out - and --trace -"), "{said}");
    }
}
