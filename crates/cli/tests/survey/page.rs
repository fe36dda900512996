//! The tables of docs/SURVEY.md: their commands print what the page shows, if the real blocks are
//! available.

use crate::support::fixtures;
use serde_json::Value;
use std::{path::Path, process::Command};

const COMMAND: &str = "```sh\nbraid survey ";
const OUTPUT: &str = "```\n\n```text\n";
/// Environment variable that makes the test write the page instead of comparing it.
const WRITES: &str = "BRAID_WRITE_PAGES";
/// Placeholder of the page for the folder of blocks.
const BLOCKS: &str = " blocks ";

/// Returns the output of a command line of the page.
fn output(command: &str, blocks: &Path) -> String {
    let tool = Path::new(env!("CARGO_BIN_EXE_braid")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &command.replace(BLOCKS, " \"$BLOCKS\" ")])
        .env("PATH", format!("{}:{path}", tool.display()))
        .env("BLOCKS", blocks)
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_tables_are_what_the_commands_print() {
    let Some(blocks) = fixtures() else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/SURVEY.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let mut parts = page.split(COMMAND);
    let mut written = parts.next().expect("a beginning").to_owned();
    let mut tables = 0;
    for part in parts {
        let (command, rest) = part.split_once("```\n").expect("the end of the command");
        let Some((said, after)) =
            rest.strip_prefix("\n```text\n").and_then(|rest| rest.split_once("```\n"))
        else {
            written += &format!("{COMMAND}{part}");
            continue;
        };
        let printed = output(&format!("braid survey {command}"), &blocks);
        if std::env::var_os(WRITES).is_none() {
            assert_eq!(said, printed, "run this test with {WRITES}=1: {command}");
        }
        written += &format!("{COMMAND}{command}{OUTPUT}{printed}```\n{after}");
        tables += 1;
    }
    assert!(tables >= 4, "only {tables} tables");
    if std::env::var_os(WRITES).is_some() {
        std::fs::write(&path, written).expect("the page can be written");
    }
}

/// Braid's speed depends on its version, so the page may deviate by a tenth.
#[test]
fn the_page_says_how_near_braid_comes_to_the_chain() {
    let Some(blocks) = fixtures() else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/SURVEY.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (_, said) = page.split_once("simulated median was ").expect("the figures");
    let (said, _) = said.split_once(" of that of the conflict chain").expect("their end");
    let (lowest, highest) = said.split_once(" to ").expect("two figures");
    let forks = ["shanghai", "cancun", "prague", "osaka"].map(|fork| format!("--fork {fork}"));
    let command = format!("braid survey blocks --rounds 0 --json {}", forks.join(" "));
    let printed = output(&command, &blocks);
    let total: Value = serde_json::from_str(printed.lines().last().expect("sums")).expect("JSON");
    let groups = total["groups"].as_array().expect("groups").iter().skip(1);
    let median = |group: &Value, name: &str| group["speedups"][name]["median"].as_f64();
    let shares =
        groups.map(|it| median(it, "simulated").zip(median(it, "chain")).expect("medians"));
    let shares: Vec<f64> = shares.map(|(reached, chain)| reached / chain).collect();
    assert_eq!(shares.len(), 4);
    let ends = [(lowest, f64::min as fn(f64, f64) -> f64), (highest, f64::max)];
    for (said, end) in ends {
        let found = shares.iter().copied().reduce(end).expect("some");
        let said: f64 = said.parse().expect("a figure");
        assert!((found - said).abs() < 0.1, "the page says {said}, found {found:.2}: {shares:?}");
    }
}
