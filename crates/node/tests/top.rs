//! `braid-node top`: figures of a running chain as JSON, as text and on a terminal, and its message
//! if no chain runs.

use crate::{chain::Demo, metrics::Running, support::skipped};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
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
