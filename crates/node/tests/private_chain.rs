//! Runs the commands of docs/PRIVATE_CHAIN.md verbatim. `cargo run` would build in release mode, so
//! a script runs this program and the tool instead, which contain the same code.

use crate::chain::braid_node;
use clap::Parser;
use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::mpsc,
};

#[allow(dead_code, reason = "`main` is of the example alone")]
#[path = "../../chain/examples/private_chain/src/main.rs"]
mod example;

/// Environment variable of the process that runs the example: its arguments, separated by spaces.
const ARGUMENTS: &str = "BRAID_PRIVATE_CHAIN_ARGUMENTS";

const CARGO: &str = r#"#!/bin/sh
case "$*" in
"run --release -p private-chain -- "*)
    shift 5
    BRAID_PRIVATE_CHAIN_ARGUMENTS="$*" exec "$TEST" private_chain::child --exact --ignored --nocapture ;;
"run --release -p braid-node -- "*)
    shift 5
    exec "$TOOL" "$@" ;;
*)  echo "not a command of the page: cargo $*"
    exit 9 ;;
esac
"#;

#[test]
#[ignore = "the process that the page's commands start"]
fn child() {
    let Ok(arguments) = env::var(ARGUMENTS) else { return };
    let arguments = ["private-chain"].into_iter().chain(arguments.split(' '));
    let options = example::Options::try_parse_from(arguments).expect("the page's options");
    let (_stop, stopped) = mpsc::channel();
    example::run(&options, &stopped, &mut std::io::stdout()).expect("all blocks are durable");
}

#[test]
fn the_commands_of_the_page_run() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/PRIVATE_CHAIN.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let script: String = blocks.collect();
    assert!(script.matches("-p private-chain -- ").count() >= 2, "{script}");
    assert!(script.matches("-p braid-node -- ").count() >= 4, "{script}");

    let folder = tempfile::tempdir().expect("a folder");
    let cargo = folder.path().join("cargo");
    fs::write(&cargo, CARGO).expect("writes");
    fs::set_permissions(&cargo, Permissions::from_mode(0o755)).expect("sets");
    let mut command = Command::new("sh");
    let path = env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder.path().display()));
    command.env("TEST", env::current_exe().expect("this program"));
    command.env("TOOL", braid_node(&[]).get_program());
    let output = command.args(["-euc", &script]).current_dir(folder.path()).output();
    let output = output.expect("a shell");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
    let text = text.concat();
    assert!(output.status.success(), "{text}");
    // The chain continues where it ended, and the tool agrees with it.
    assert!(text.contains("chain id 7007, after block 5"), "{text}");
    let head = text.split("head 8 ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let hash = format!("hash {}", head.expect("the last block"));
    assert!(text.contains(&hash) && text.contains(": all right"), "{text}");
    // The state that the page shows exists.
    assert!(text.contains("exists true"), "{text}");
    assert!(!text.contains(&format!("value 0x{:064}", 0)), "{text}");
}
