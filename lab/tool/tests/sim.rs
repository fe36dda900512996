//! Output and exit codes of `braid-lab sim`.

use crate::invoke::lab;
use serde_json::Value;
use std::path::Path;

/// Runs `braid-lab sim` and asserts its exit code.
#[track_caller]
fn sim(arguments: &[&str], code: i32) -> String {
    lab(Path::new("."), &[&["sim"], arguments].concat(), code)
}

#[test]
fn random_blocks_are_right_and_counted() {
    let text = sim(&["--blocks", "60"], 0);
    assert!(text.starts_with("60 blocks, "), "{text}");
    assert!(text.ends_with("every block equals sequential execution\n"), "{text}");
}

#[test]
fn a_replay_takes_the_same_steps() {
    let arguments =
        ["--seed", "7", "--blocks", "1", "--workers", "3", "--faults", "none", "--steps"];
    let text = sim(&arguments, 0);
    assert!(text.contains("seed 7: ") && text.contains("3 workers, no fault"), "{text}");
    assert!(text.contains("worker 2  "), "{text}");
    assert_eq!(text, sim(&arguments, 0));
}

#[test]
fn json_has_a_line_for_each_block_and_the_total() {
    let text = sim(&["--blocks", "40", "--faults", "cancel,panic", "--json"], 0);
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (total, blocks) = lines.split_last().expect("a total");
    assert_eq!(blocks.len(), 40);
    for (seed, block) in blocks.iter().enumerate() {
        assert_eq!(block["seed"], seed);
        assert_eq!(block["ok"], true);
        assert!(block["ending"].is_string() && block["digest"].is_string(), "{block}");
    }
    assert_eq!(total["total"], true);
    assert_eq!(total["blocks"], 40);
    assert_eq!(total["wrong"], 0);
    for ending in ["panicked", "cancelled", "complete"] {
        assert!(total["endings"][ending].as_u64() > Some(0), "{ending}: {total}");
    }
}

#[test]
fn wrong_options_end_with_2() {
    assert!(sim(&["--faults", "flood"], 2).contains("read-once"));
    sim(&["--blocks", "0"], 2);
    sim(&["--workers", "0"], 2);
    assert!(sim(&["--help"], 0).contains("Examples:"));
}
