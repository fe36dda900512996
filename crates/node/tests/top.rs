//! `braid-node top`: figures of a running chain as JSON, as text and on a terminal, the table in
//! docs/NODE.md, and the message if no chain runs.

#[cfg(unix)]
use crate::rpc::node::RpcNode;
use crate::{chain::Demo, metrics::Running, support::skipped};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const TOOL: &str = env!("CARGO_BIN_EXE_braid-node");
/// Timeout for expected events.
const PATIENCE: Duration = Duration::from_secs(60);

fn top(arguments: &[&str]) -> Command {
    let mut command = Command::new(TOOL);
    command.arg("top").args(arguments).stdin(Stdio::null());
    command
}

#[test]
fn each_line_tells_what_was_executed_since_the_one_before() {
    let demo = Demo::new(4);
    let mut running = Running::new(&demo.begun("chain"));
    let mut command = top(&["--json", "--interval", "100ms", &running.address]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the tool starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    let before = next();
    assert_eq!((&before["blocks"], &before["blocks_per_second"]), (&0.0.into(), &0.0.into()));
    assert!(before["idle"].is_null() && before["workers"].as_f64() >= Some(1.0), "{before}");
    let text = running.executes(&fs::read(demo.path("demo/blocks.rlp")).expect("reads"), 4);
    let begun = Instant::now();
    let mut moved = Vec::new();
    loop {
        let line = next();
        if line["blocks_per_second"].as_f64() > Some(0.0) {
            moved.push(line.clone());
        }
        if line["durable"] == 4.0 && line["blocks"] == 4.0 && line["blocks_per_second"] == 0.0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{line}");
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    for line in &moved {
        assert!(line["mgas_per_second"].as_f64() > Some(0.0), "{line}");
        assert!(line["block_seconds"].as_f64() > Some(0.0), "{line}");
        assert!(line["idle"].as_f64().is_some_and(|it| (0.0..=1.0).contains(&it)), "{line}");
        let shares = line["strategies"].as_array().expect("shares").iter();
        let sum: f64 = shares.map(|it| it["share"].as_f64().expect("a share")).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{line}");
    }
    assert!(!moved.is_empty() && text.contains("braid_blocks_total 4\n"));
    running.end();
}

#[test]
fn without_a_terminal_it_prints_a_table_once() {
    let demo = Demo::new(1);
    let running = Running::new(&demo.begun("chain"));
    for arguments in [vec![], vec!["--once"]] {
        let mut command = top(&arguments);
        let output = command.args(["--interval", "100ms", &running.address]).output();
        let output = output.expect("the tool starts");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        for name in
            ["head, durable           0, 0\n", "Mgas/s                  0.0\n", "cache hits "]
        {
            assert!(text.contains(name), "{name}: {text}");
        }
    }
    running.end();
}

/// Returns the columns of a table, with one word for all numbers, times and strategies. A list, of
/// any length, is one word.
fn columns(table: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = table
        .lines()
        .map(|line| {
            let (label, value) = line.split_at_checked(24).expect("two columns");
            assert!(label.ends_with(' ') && !value.starts_with(' '), "{line:?}");
            let value = match label.trim_end() {
                "ran" | "why" => {
                    let (name, share) = value.split_once(' ').expect("a name and a share");
                    assert!(name.starts_with(|it: char| it.is_ascii_uppercase()), "{line:?}");
                    format!("Name {}", shape(share))
                }
                "aborted of runs" | "cache hits" => "list".to_owned(),
                _ => shape(value),
            };
            (label.trim_end().to_owned(), value)
        })
        .collect();
    found.dedup();
    found
}

fn shape(value: &str) -> String {
    let words = value.split(' ').map(|word| match word.trim_end_matches([',', ':']) {
        "us" | "ms" | "s" => word.replace(['u', 'm'], ""),
        number if number.parse::<f64>().is_ok() => word.replace(number, "1"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(unix)]
#[test]
fn the_page_shows_what_it_prints() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/NODE.md");
    let page = fs::read_to_string(page).expect("the page");
    let shown = page.split("$ braid-node top --once --interval 5s\n").nth(1).expect("the command");
    let shown = shown.split("```").next().expect("the table");
    let (node, metrics) = RpcNode::watched();
    let mut command = top(&["--once", "--interval", "2s", &metrics]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the tool starts");
    // The chain makes blocks during the whole interval.
    for nonce in 0.. {
        node.receipt(&node.transfer(nonce, 1));
        if child.try_wait().expect("a child").is_some() {
            break;
        }
    }
    let output = child.wait_with_output().expect("it ends");
    let printed = String::from_utf8(output.stdout).expect("text");
    // A value that the interval lacks is a dash.
    for (shown, printed) in columns(shown).iter().zip(&columns(&printed)) {
        let values = [&shown.1, &printed.1].into_iter();
        let is_known = values.flat_map(|it| it.split([' ', ','])).all(|word| word != "-");
        assert_eq!(shown.0, printed.0);
        assert!(!is_known || shown.1 == printed.1, "{shown:?} {printed:?}");
    }
    assert_eq!(columns(shown).len(), columns(&printed).len(), "{printed}");
}

#[test]
fn an_address_where_no_chain_is_says_what_to_do() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    for (arguments, said) in [
        (vec![&*address], "braid-node run --metrics ADDR"),
        (vec!["nowhere"], "expected a port, or an address such as 127.0.0.1:9184"),
        (vec!["--interval", "1ms"], "100ms"),
    ] {
        let output = top(&arguments).output().expect("the tool starts");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
    }
}

/// Runs on a terminal that `script` provides.
#[test]
fn a_terminal_shows_it_until_a_key_ends_it() {
    let demo = Demo::new(2);
    let mut running = Running::new(&demo.begun("chain"));
    let command = format!("stty rows 40 cols 120; {TOOL} top --interval 100ms {}", running.address);
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm");
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = script.spawn() else {
        skipped("no script: apt-get install bsdutils");
        return;
    };
    running.executes(&fs::read(demo.path("demo/blocks.rlp")).expect("reads"), 2);
    let mut output = child.stdout.take().expect("a pipe");
    let (mut shown, mut buffer) = (String::new(), [0; 4096]);
    let begun = Instant::now();
    // Compares words, because spaces between them are cursor moves.
    while !["transactions", "frontier", "quit"].iter().all(|word| shown.contains(word)) {
        let count = output.read(&mut buffer).expect("it draws");
        let is_late = begun.elapsed() > PATIENCE;
        assert!(count > 0 && !is_late, "{}", shown.chars().take(4_000).collect::<String>());
        shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    child.stdin.as_mut().expect("a pipe").write_all(b"q").expect("it reads");
    // A character may be split between two reads.
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).expect("it ends");
    shown.push_str(&String::from_utf8_lossy(&rest));
    assert!(child.wait().expect("it ends").success());
    // The screen is restored.
    assert!(shown.contains("\u{1b}[?1049l"));
    running.end();
}
