//! `braid run --emit-bal` and `--bal`: access lists written to files and read back.
//!
//! 1. The written list is that of the block, in RLP, and the block runs with it; so does the demo
//!    chain.
//! 2. A wrong list, or that of another block, ends with code 1; the report says where, with both
//!    values.
//! 3. A missing, truncated or overlong file ends with code 2 and is named.
//! 4. An existing file is not overwritten without --force. A wrong block has no list.
//! 5. The hash of a list is compared with the header's.
//! 6. Contradictory options are refused.

use alloy_primitives::{U256, keccak256};
use alloy_rlp::Decodable;
use braid_blocks::workload::{Workload, WorkloadSpec, generate};
use braid_evm::AccessList;
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// A folder with blocks, and a folder for their lists.
struct Scene(TempDir);

impl Scene {
    /// Creates the blocks `a.json` and `b.json.zst`, with 40 and 30 transfers of a token.
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(scene.path("blocks")).expect("a folder");
        for (name, transactions) in [("a.json", 40), ("b.json.zst", 30)] {
            let spec = WorkloadSpec::new(Workload::Erc20, transactions, 20, 3).unsigned();
            let file = generate(&spec).expect("generates");
            file.write(&scene.path(&format!("blocks/{name}"))).expect("writes");
        }
        scene
    }

    /// Like [`new`](Self::new), with the lists written.
    fn listed() -> Self {
        let scene = Self::new();
        scene.run(&["--emit-bal", &scene.name("lists"), &scene.name("blocks")], 0);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    /// Runs `braid run`, asserts its exit code, and returns its output.
    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> String {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_braid"))
            .args(["run", "--rounds", "1", "--pause", "0"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the tool starts");
        let text = text(stdout) + &text(stderr);
        assert_eq!(status.code(), Some(code), "{arguments:?}: {text}");
        text
    }

    /// Returns the first line of `braid run --json`.
    #[track_caller]
    fn line(&self, arguments: &[&str], code: i32) -> Value {
        let text = self.run(&[&["--json"], arguments].concat(), code);
        let first = text.lines().next().expect("a line");
        serde_json::from_str(first).expect("JSON")
    }

    fn list(&self, name: &str) -> AccessList {
        let rlp = fs::read(self.path(name)).expect("reads");
        AccessList::decode(&mut &rlp[..]).expect("a list")
    }

    fn write_list(&self, name: &str, list: &AccessList) -> String {
        fs::write(self.path(name), alloy_rlp::encode(list)).expect("writes");
        self.name(name)
    }
}

#[test]
fn a_list_that_was_written_is_executed_with() {
    let scene = Scene::new();
    let (blocks, lists) = (scene.name("blocks"), scene.name("new/lists"));
    let line = scene.line(&["--emit-bal", &lists, &blocks], 0);
    let file = scene.name("new/lists/a.bal.rlp");
    assert_eq!(line["access_list"], json!({"file": file, "written": true}), "{line}");
    assert_eq!(line["access_lists"], "written");
    // The token's contract has changed slots, and each transfer has an index.
    let list = scene.list("new/lists/a.bal.rlp");
    let token = list.iter().max_by_key(|account| account.storage_changes.len());
    let slots = token.expect("the token").storage_changes.iter();
    let indices =
        slots.flat_map(|slot| &slot.changes).map(|change| change.block_access_index.get());
    assert_eq!(indices.max(), Some(40));
    assert_ne!(list, scene.list("new/lists/b.bal.rlp"));

    for workers in ["1", "3"] {
        let line = scene.line(&["--workers", workers, "--bal", &lists, &blocks], 0);
        assert_eq!(line["access_list"], json!({"file": file, "written": false}), "{line}");
    }
    let one = scene.run(&["--bal", &file, &scene.name("blocks/a.json")], 0);
    assert!(one.contains("access lists read"), "{one}");
    let plain = scene.line(&[&blocks], 0);
    assert_eq!((&plain["access_list"], &plain["access_lists"]), (&Value::Null, &json!("none")));
    assert_eq!(plain["access_list_hint"], false);
}

#[test]
fn the_demo_chain_has_lists() {
    let scene = Scene::new();
    let lists = scene.name("demo");
    let text = scene.run(&["--emit-bal", &lists], 0);
    assert!(
        text.contains("demo-1.bal.rlp") && scene.path("demo/demo-1.bal.rlp").exists(),
        "{text}"
    );
    scene.run(&["--bal", &lists], 0);
}

#[test]
fn a_list_that_lies_is_said_where() {
    let scene = Scene::listed();
    let mut list: Vec<_> = scene.list("lists/a.bal.rlp").into_iter().collect();
    let account = list.iter_mut().max_by_key(|account| account.storage_changes.len());
    let account = account.expect("the token");
    let address = account.address;
    let slot = &mut account.storage_changes[1];
    let (place, change) = (slot.slot, &mut slot.changes[0]);
    let (index, right) = (change.block_access_index.get(), change.new_value);
    change.new_value += U256::from(7);
    let wrong = change.new_value;
    let spoiled = scene.write_list("spoiled", &AccessList::new(list));

    let block = scene.name("blocks/a.json");
    for workers in ["1", "2"] {
        let arguments = ["--workers", workers, "--bal", &spoiled, &block];
        let line = scene.line(&arguments, 1);
        let expected = json!({
            "index": index, "account": address, "field": "slot", "slot": place,
            "listed": wrong, "executed": right,
        });
        assert_eq!(line["access_list"]["mismatch"], expected, "{line}");
        let text = scene.run(&arguments, 1);
        for part in [
            format!("index {index}, account {address}, slot {place:#x}"),
            format!("listed {wrong:#x}, executed {right:#x}"),
        ] {
            assert!(text.contains(&part), "{part}: {text}");
        }
    }
}

#[test]
fn a_list_of_another_block_is_wrong() {
    let scene = Scene::listed();
    for (block, list) in [("a.json", "b"), ("b.json.zst", "a")] {
        let list = scene.name(&format!("lists/{list}.bal.rlp"));
        let line = scene.line(&["--bal", &list, &scene.name(&format!("blocks/{block}"))], 1);
        let said = line["access_list"]["error"].as_str().expect("an error");
        assert!(said.starts_with("the access list is "), "{line}");
        assert_eq!(line["ok"], false);
    }
}

/// Even the list of another block is permitted as a hint.
#[test]
fn a_hint_may_be_wrong() {
    let scene = Scene::listed();
    for hint in ["lists/a.bal.rlp", "lists/b.bal.rlp"].map(|list| scene.name(list)) {
        for mode in ["validate", "build"] {
            let arguments = ["--workers", "2", "--policy", "speculative", "--mode", mode];
            let block = scene.name("blocks/a.json");
            let line = scene.line(&[&arguments[..], &["--bal-hint", &hint, &block]].concat(), 0);
            assert!(line["ok"] == true && line["access_list"].is_null(), "{line}");
            assert_eq!(
                (&line["access_lists"], &line["access_list_hint"]),
                (&json!("none"), &json!(true))
            );
        }
    }
    let why = scene.run(&["--bal-hint", &scene.name("none"), &scene.name("blocks")], 2);
    assert!(why.contains("--bal-hint"), "{why}");
}

#[test]
fn a_file_that_is_no_list_is_named() {
    let scene = Scene::listed();
    let (block, lists) = (scene.name("blocks/a.json"), scene.name("lists"));
    let file = scene.path("lists/a.bal.rlp");
    let whole = fs::read(&file).expect("reads");
    let longer = [&whole[..], b"\x00"].concat();
    for bytes in [&whole[..whole.len() - 1], &whole[..1], b"", &longer[..], b"{}"] {
        fs::write(&file, bytes).expect("writes");
        for list in [&lists, &scene.name("lists/a.bal.rlp")] {
            let line = scene.line(&["--bal", list, &block], 2);
            let said = line["error"].as_str().expect("an error");
            assert!(said.contains("lists/a.bal.rlp: expected an access list in RLP"), "{line}");
            assert_eq!(line["file"], json!(block));
        }
    }
    fs::remove_file(&file).expect("removes");
    // The other block runs nevertheless.
    let text = scene.run(&["--bal", &lists, &scene.name("blocks")], 2);
    assert!(text.contains("lists/a.bal.rlp: ") && text.contains("1 ok, 1 unusable"), "{text}");
    let missing = scene.run(&["--bal", &scene.name("none"), &block], 2);
    assert!(missing.contains(&scene.name("none")), "{missing}");
}

#[test]
fn nothing_is_overwritten_unasked() {
    let scene = Scene::listed();
    let (block, lists) = (scene.name("blocks/a.json"), scene.name("lists"));
    let file = scene.path("lists/a.bal.rlp");
    let whole = fs::read(&file).expect("reads");
    fs::write(&file, "mine").expect("writes");
    let line = scene.line(&["--emit-bal", &lists, &block], 2);
    let said = line["error"].as_str().expect("an error");
    assert!(said.contains("lists/a.bal.rlp: the file already exists"), "{line}");
    assert_eq!(fs::read(&file).expect("reads"), b"mine");
    scene.run(&["--emit-bal", &lists, "--force", &block], 0);
    assert_eq!(fs::read(&file).expect("reads"), whole);
}

#[test]
fn a_block_that_is_not_right_has_no_list() {
    let scene = Scene::new();
    let text = fs::read_to_string(scene.path("blocks/a.json")).expect("reads");
    let block: Value = serde_json::from_str(&text).expect("JSON");
    let (mut header, mut invalid) = (block.clone(), block);
    header["block"]["gasUsed"] = json!("0x1");
    invalid["block"]["transactions"][3]["nonce"] = json!("0x77");
    for (name, block, code) in [("header", header, 1), ("invalid", invalid, 2)] {
        let file = scene.path(&format!("{name}.json"));
        fs::write(&file, block.to_string()).expect("writes");
        let file = file.to_str().expect("UTF-8");
        let line = scene.line(&["--emit-bal", &scene.name("lists"), file], code);
        assert!(line["access_list"].is_null(), "{line}");
        assert!(!scene.path(&format!("lists/{name}.bal.rlp")).exists());
    }
}

#[test]
fn its_hash_is_compared_with_the_headers() {
    let scene = Scene::listed();
    let hash = keccak256(fs::read(scene.path("lists/a.bal.rlp")).expect("reads"));
    let text = fs::read_to_string(scene.path("blocks/a.json")).expect("reads");
    let mut block: Value = serde_json::from_str(&text).expect("JSON");
    let (more, list) = (scene.name("more"), scene.name("lists/a.bal.rlp"));
    for (hash, right) in [(hash, true), (keccak256(hash), false)] {
        block["block"]["blockAccessListHash"] = json!(hash);
        let file = scene.name("c.json");
        fs::write(&file, block.to_string()).expect("writes");
        for arguments in [["--bal", &list], ["--emit-bal", &more]] {
            let line = scene.line(&[&arguments[..], &[file.as_str()]].concat(), i32::from(!right));
            assert_eq!(line["checks"]["blockAccessListHash"], right, "{line}");
            let _ = fs::remove_dir_all(&more);
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let scene = Scene::listed();
    let (blocks, lists) = (scene.name("blocks"), scene.name("lists"));
    for arguments in [
        &["--bal", &lists, "--emit-bal", &lists, &blocks][..],
        &["--force", &blocks],
        &["--bal", &lists, "--mode", "build", &blocks],
        &["--emit-bal", &lists, "--force", "--mode", "build", &blocks],
        &["--bal", &scene.name("lists/a.bal.rlp"), &blocks],
        &["--emit-bal", &scene.name("blocks/a.json"), &blocks],
    ] {
        scene.run(arguments, 2);
    }
}
