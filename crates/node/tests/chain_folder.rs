//! Folders that are not writable, that a node uses, or whose blocks an option would remove.

use crate::{
    chain::{Demo, braid_node, chain, json},
    rpc::node::{RpcNode, raw},
};
use serde_json::json as value;
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

/// Id of a user that owns no files.
const UNPRIVILEGED: u32 = 65_534;

/// Returns the tool's exit code and output for a user who may read `folder`, but not write to it.
fn as_reader(folder: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let parent = Path::new(folder).parent().expect("a folder");
    fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).expect("it is ours");
    // The build may be in a folder that only its owner can read. `cp` is a separate process because
    // a file that this one has open for writing cannot be executed.
    let tool = parent.join("braid-node");
    let told = Command::new("cp").arg(env!("CARGO_BIN_EXE_braid-node")).arg(&tool).status();
    assert!(told.expect("cp runs").success());
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::null());
    if fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0) {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    } else {
        let told = Command::new("chmod").args(["-R", "a-w", folder]).status();
        assert!(told.expect("chmod runs").success());
    }
    let output = command.output().expect("the tool starts");
    let told = Command::new("chmod").args(["-R", "u+w", folder]).status();
    assert!(told.expect("chmod runs").success());
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

#[test]
fn a_folder_that_cannot_be_written_is_read() {
    let demo = Demo::new(2);
    let folder = demo.begun("chain");
    chain(&["run", &folder, &demo.path("demo/blocks.rlp")], 0);
    let listed = || {
        let text = Command::new("find").args([&folder, "-printf", "%p %s %T@\n"]).output();
        String::from_utf8(text.expect("find runs").stdout).expect("text")
    };
    // One file of a store is readable only by its owner.
    let told = Command::new("chmod").args(["-R", "a+rX", &folder]).status();
    assert!(told.expect("chmod runs").success());
    for arguments in
        [&["inspect", &*folder, "digest"][..], &["verify", &folder], &["export", &folder]]
    {
        // A user who may write to the folder writes a process id there.
        let wanted = chain(arguments, 0);
        let before = listed();
        let said = as_reader(&folder, arguments);
        assert_eq!(said.0, Some(0), "{arguments:?}: {}", said.1);
        assert_eq!(listed(), before, "nothing is written");
        assert_eq!(said.1, wanted, "{arguments:?}");
    }
    let (code, text) = as_reader(&folder, &["unwind", &folder, "1"]);
    assert!(code == Some(2) && text.contains("this user may write"), "{text}");
}

#[test]
fn a_file_is_not_packed_otherwise_than_its_name_says() {
    let demo = Demo::new(1);
    let folder = demo.begun("chain");
    for name in ["state.json.bz2", "state.json.XZ", "state.zip"] {
        let file = demo.path(name);
        let text = chain(&["export", &folder, &file], 2);
        assert!(text.contains("choose a name that ends with .gz or .zst"), "{text}");
        assert!(!Path::new(&file).exists(), "nothing is written");
    }
}

#[test]
fn who_reads_a_folder_in_use_is_told_where_to_ask() {
    let mut node = RpcNode::new();
    for command in ["inspect", "verify"] {
        let text = chain(&[command, &node.folder()], 2);
        let ask = format!("; ask it at {} (eth_getBalance", node.url());
        assert!(text.contains("is in use by process ") && text.contains(&ask), "{text}");
    }
    node.end();
    json(&["inspect", &node.folder()]);
}

/// Returns the standard error of a node until it is interrupted.
fn served(arguments: &[&str]) -> String {
    let mut command = braid_node(&[&["run", "--rpc", "0"], arguments].concat());
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    sleep(Duration::from_secs(2));
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(told.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn what_is_lost_is_said_before() {
    let mut node = RpcNode::new();
    for nonce in 0..2 {
        let hash = node.transfer(nonce, 1);
        node.receipt(&hash);
    }
    // A transaction that waits for a lower nonce.
    node.call("eth_sendRawTransaction", value!([raw(7, 1, 7_008, 21_000)]));
    let (report, said) = node.end_saying();
    assert_eq!(report["transactions"], 2);
    assert!(said.contains("1 transaction waits in the pool; "), "{said}");
    let folder = node.folder();
    let said = served(&["--history", "2", &folder]);
    assert!(!said.contains("removed for good"), "{said}");
    let said = served(&["--history", "1", &folder]);
    assert!(said.contains("block 1 and those before it are removed for good"), "{said}");
    let said = served(&["--history", "1GiB", &folder]);
    assert!(!said.contains("removed for good"), "{said}");
    let said = served(&["--history", "1KiB", &folder]);
    assert!(said.contains("take more bytes than --history allows"), "{said}");
}

/// Transactions of such a chain are valid on the other chain.
#[test]
fn a_chain_with_the_id_of_the_main_network_is_served_with_a_warning() {
    let demo = Demo::new(1);
    let text = fs::read_to_string(demo.path("demo/genesis.json")).expect("reads");
    let mut genesis: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for (id, is_warned) in [(1, true), (7, false)] {
        genesis["config"]["chainId"] = value!(id);
        let (file, folder) = (demo.path("genesis.json"), demo.path(&format!("chain-{id}")));
        fs::write(&file, genesis.to_string()).expect("written");
        chain(&["init", "--genesis", &file, &folder], 0);
        let said = served(&[&folder]);
        assert_eq!(said.contains("Ethereum's main network"), is_warned, "{said}");
    }
}
