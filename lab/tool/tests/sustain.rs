//! `braid-lab bench sustain` as a child process.
//!
//! 1. Both engines sustain each load: no transaction fails, and all blocks are equal. Several
//!    threads execute Braid's blocks.
//! 2. If senders are recovered, the run ends with the signed transactions. Fewer of them than fit
//!    in one block are refused.
//! 3. The text has a line for each whole second and names every stage.

use serde_json::Value;
use std::process::{Command, Output};

#[track_caller]
fn sustain(arguments: &[&str], code: i32) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid-lab"));
    command.args(["bench", "sustain", "--accounts", "300", "--txs", "200"]).args(arguments);
    let output = command.output().expect("the tool starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    output
}

fn report(arguments: &[&str]) -> Value {
    let output = sustain(&[arguments, &["--json"]].concat(), 0);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn every_load_is_sustained_by_both() {
    for load in ["native", "mixed", "contended"] {
        let report = report(&[load, "--blocks", "12", "--workers", "3"]);
        assert_eq!(report["blocks_compared"], 12, "{load}");
        for engine in ["braid", "sequential"] {
            let figures = &report[engine];
            assert_eq!((&figures["blocks"], &figures["transactions"]), (&12.into(), &2400.into()));
            assert_eq!(figures["failed"], 0, "{load}, {engine}");
            assert!(figures["transactions_per_second"].as_f64() > Some(0.0));
            assert!(figures["restart_ms"].as_f64() > Some(0.0), "{load}, {engine}: {figures}");
            let latency = &figures["latency_ms"];
            let [half, worst] = ["p50", "worst"].map(|which| latency[which].as_f64());
            assert!(half > Some(0.0) && worst >= half, "{load}, {engine}: {latency}");
            let stages = &figures["stages_seconds"];
            for stage in ["executing", "receipts", "supplying", "preparing", "storing"] {
                assert!(stages[stage].as_f64() > Some(0.0), "{load}, {engine}: {stage}");
            }
        }
        assert_eq!(report["sequential"]["blocks_alone"], 12, "{load}");
        assert!(report["braid"]["blocks_alone"].as_u64() < Some(6), "{load}: {}", report["braid"]);
        assert_eq!(report["braid"]["gas"], report["sequential"]["gas"], "{load}");
    }
}

#[test]
fn signed_transactions_come_to_an_end() {
    let report = report(&["mixed", "--signed", "1000", "--no-state-roots"]);
    assert_eq!((&report["braid"]["blocks"], &report["blocks_compared"]), (&5.into(), &5.into()));
}

#[test]
fn fewer_signed_transactions_than_a_block_has_are_refused() {
    let output = sustain(&["native", "--signed", "199"], 2);
    let text = String::from_utf8(output.stderr).expect("text");
    let why = "--signed must be at least --txs (200), the transactions of one block";
    assert!(text.contains(why), "{text}");
    assert!(output.stdout.is_empty());
    let report = report(&["native", "--signed", "200", "--no-sequential"]);
    assert_eq!(report["braid"]["blocks"], 1);
}

#[test]
fn the_text_has_every_second_and_every_stage() {
    let output = sustain(&["native", "--seconds", "2", "--no-sequential"], 0);
    let text = String::from_utf8(output.stdout).expect("text");
    for part in ["braid, second 1: ", "braid, second 2: ", "tx/s", "waiting for the writer"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
