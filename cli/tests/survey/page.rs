//! The tables of docs/SURVEY.md: their commands print what the page says, where the real blocks are.

use crate::support::fixtures;
use std::{path::Path, process::Command};

const COMMAND: &str = "```sh\nbraid survey ";
const OUTPUT: &str = "```\n\n```text\n";
/// With this variable the page is written, not compared.
const WRITES: &str = "BRAID_WRITE_PAGES";
/// Where the page says that the blocks are.
const BLOCKS: &str = "../shared/blocks";

/// What a command line of the page prints.
fn output(command: &str, blocks: &Path) -> String {
    let tool = Path::new(env!("CARGO_BIN_EXE_braid")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &command.replace(BLOCKS, "$BLOCKS")])
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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SURVEY.md");
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
