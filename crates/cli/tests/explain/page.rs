//! The worked example of docs/EXPLAIN.md: its commands print what the page shows.

use std::{path::Path, process::Command};

const COMMAND: &str = "```sh\nbraid gen ";
const OUTPUT: &str = "```\n\n```text\n";
/// Environment variable that makes the test write the page instead of comparing it.
const WRITES: &str = "BRAID_WRITE_PAGES";

/// Returns the output of a command line of the page.
fn output(command: &str) -> String {
    let tool = Path::new(env!("CARGO_BIN_EXE_braid")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", command])
        .env("PATH", format!("{}:{path}", tool.display()))
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_worked_example_prints_what_the_page_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/EXPLAIN.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let mut parts = page.split(COMMAND);
    let mut written = parts.next().expect("a beginning").to_owned();
    let mut commands = 0;
    for part in parts {
        let (command, rest) = part.split_once(OUTPUT).expect("an output after each command");
        let (said, after) = rest.split_once("```\n").expect("its end");
        let printed = output(&format!("braid gen {command}"));
        let printed = printed.trim_end().to_owned() + "\n";
        if std::env::var_os(WRITES).is_none() {
            assert_eq!(said, printed, "run this test with {WRITES}=1: {command}");
        }
        written += &format!("{COMMAND}{command}{OUTPUT}{printed}```\n{after}");
        commands += 1;
    }
    assert!(commands >= 2, "only {commands} commands");
    if std::env::var_os(WRITES).is_some() {
        std::fs::write(&path, written).expect("the page can be written");
    }
}
