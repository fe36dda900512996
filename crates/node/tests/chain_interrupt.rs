//! Ctrl-C during `braid-node run`.
//!
//! 1. The first one ends the command after the current block, even while standard input is idle.
//!    The command reports the durable block, and the same command continues from there.
//! 2. The second one ends it at once, even if it is blocked.

use crate::chain::{Demo, braid_node, chain, json};
use braid_chain::rlp::RlpItems;
use std::{
    fs,
    io::{Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Time limit of a process.
const PATIENCE: Duration = Duration::from_secs(60);
/// Poll interval.
const PAUSE: Duration = Duration::from_millis(20);
/// Capacity of a Linux pipe in bytes.
const PIPE_BYTES: usize = 1 << 16;

/// Sends the signal of Ctrl-C.
fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(status.expect("kill").success());
}

/// Waits until the process handles SIGINT, signal 2.
fn listens(child: &Child) {
    let status = format!("/proc/{}/status", child.id());
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "the process does not listen to Ctrl-C");
        let text = fs::read_to_string(&status).expect("the process lives");
        let caught = text.split("SigCgt:").nth(1).and_then(|rest| rest.split_whitespace().next());
        let caught = u64::from_str_radix(caught.expect("a mask"), 16).expect("a number");
        if caught & 1 << (2 - 1) != 0 {
            return;
        }
        sleep(PAUSE);
    }
}

/// Waits for the end of the process, and calls `meanwhile` until then.
fn ended(child: &mut Child, mut meanwhile: impl FnMut(&Child)) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().expect("a child");
            panic!("the process does not end");
        }
        meanwhile(child);
        sleep(PAUSE);
    }
}

fn text(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).expect("text");
    text
}

#[test]
fn an_interrupted_run_says_what_is_durable_and_goes_on() {
    let demo = Demo::new(4);
    let (whole, rlp) = (demo.begun("whole"), demo.path("demo/blocks.rlp"));
    chain(&["run", &whole, &rlp], 0);
    let expected = json(&["inspect", &whole, "digest"]);

    let folder = demo.begun("chain");
    let bytes = fs::read(&rlp).expect("reads");
    let two: usize = RlpItems::new(&*bytes).take(2).map(|it| it.expect("a block").len()).sum();
    let mut command = braid_node(&["run", "--json", &folder, "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool starts");
    // The pipe stays open, but nothing follows.
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(&bytes[..two]).expect("the tool reads");
    listens(&child);
    interrupt(&child);
    let status = ended(&mut child, |_| ());
    let report = text(child.stdout.take().expect("a pipe"));
    let said = text(child.stderr.take().expect("a pipe"));
    assert_eq!(status.code(), Some(130), "{report}{said}");
    let report: serde_json::Value = serde_json::from_str(&report).expect("one JSON object");
    assert_eq!(report["interrupted"], true);
    let number = &report["head"]["number"];
    let durable = format!(
        "interrupted: blocks up to {number} are durable; run the same command again to go on after \
         block {number}\n"
    );
    assert_eq!(said, durable);
    assert_eq!(json(&["inspect", &folder])["number"], *number);
    chain(&["verify", &folder], 0);
    let report = json(&["run", &folder, &rlp]);
    assert_eq!((&report["passed_over"], &report["interrupted"]), (number, &false.into()));
    assert_eq!(json(&["inspect", &folder, "digest"]), expected);
}

#[test]
fn a_second_interrupt_ends_the_run_at_once() {
    let demo = Demo::new(1);
    let folder = demo.begun("chain");
    // The report does not fit into the pipe, so the first interrupt alone would not end the
    // command.
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(&[0; PIPE_BYTES]).expect("there is room");
    let mut command = braid_node(&["run", &folder, "-"]);
    command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::null());
    let mut child = command.spawn().expect("the tool starts");
    let _input = child.stdin.take();
    listens(&child);
    interrupt(&child);
    sleep(PAUSE * 10);
    assert_eq!(child.try_wait().expect("a child"), None, "the report is not written");
    let status = ended(&mut child, interrupt);
    assert_eq!(status.code(), Some(130));
    drop(reader);
    // The folder is unlocked and complete.
    chain(&["verify", &folder], 0);
}
