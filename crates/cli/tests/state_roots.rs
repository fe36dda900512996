//! State roots of real blocks, from the bundle of a parallel run and the nodes of a witness.

use crate::support::{block_files, fixtures};
use alloy_primitives::{B256, Bytes, U256};
use braid_blocks::{
    block_file::BlockFile,
    state_root::{PartialRootError, Witness, path_beside},
    verify::checks,
};
use braid_evm::{Config, Executor};
use revm::database::BundleState;
use serde_json::json;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the names of the files whose state root was checked when they were recorded: the column
/// `checked` of `index.tsv`.
fn checked(folder: &Path) -> BTreeSet<String> {
    let index = std::fs::read_to_string(folder.join("index.tsv")).expect("an index");
    let mut lines = index.lines();
    let column = lines.next().and_then(|head| head.split('\t').position(|name| name == "checked"));
    let column = column.expect("a column `checked`");
    let rows = lines.filter(|line| {
        let checked = line.split('\t').nth(column).unwrap_or_default();
        checked.split(',').any(|check| check == "stateRoot")
    });
    rows.filter_map(|line| Some(line.split('\t').next()?.to_owned())).collect()
}

fn bundle_of(executor: &mut Executor, file: &BlockFile) -> BundleState {
    let (block, database) = file.to_block().expect("a block");
    let output = executor.block(braid_evm::Block::from(&block)).database(database).execute();
    output.expect("a valid block").bundle
}

#[test]
fn every_checkable_fixture_gives_the_root_of_its_header() {
    let Some(folder) = fixtures() else { return };
    let mut expected = checked(&folder);
    let mut executor = Executor::new(Config::default()).expect("threads start");
    let (mut compared, mut without) = (0, 0);
    for path in block_files(&folder) {
        let Some(beside) = path_beside(&path) else {
            without += 1;
            continue;
        };
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let witness = Witness::read(&beside).expect("a witness");
        let file = BlockFile::read(&path).expect("a block file");
        let mut bundle = bundle_of(&mut executor, &file);
        let check = checks::state_root(&file, &witness, &bundle);
        let check = match check {
            Err(error) if !expected.contains(&name) => {
                println!("{name}: {error}");
                continue;
            }
            other => other.expect(&name),
        };
        assert_eq!(check.mismatch, None, "{name}");
        compared += 1;
        expected.remove(&name);
        spoil(&mut bundle);
        let spoiled = checks::state_root(&file, &witness, &bundle).expect("the same nodes do");
        assert!(spoiled.mismatch.is_some(), "{name}: another bundle gives the same root");
    }
    println!("{compared} state roots compared; {without} block files have no witness");
    assert!(expected.is_empty(), "not compared: {expected:?}");
    assert!(compared > 0);
}

/// Adds one wei to the first account that the block changed without deleting it.
fn spoil(bundle: &mut BundleState) {
    let mut accounts: Vec<_> = bundle.state.iter_mut().collect();
    accounts.sort_unstable_by_key(|(address, _)| **address);
    let info = accounts.into_iter().find_map(|(_, account)| account.info.as_mut());
    let info = info.expect("an account that is left");
    info.balance = info.balance.checked_add(U256::ONE).expect("less than all ether");
}

/// Returns the smallest fixture with a witness.
fn smallest(folder: &Path) -> (PathBuf, PathBuf) {
    let pairs = block_files(folder).into_iter().filter_map(|path| {
        let beside = path_beside(&path)?;
        Some((path, beside))
    });
    let size = |path: &Path| path.metadata().expect("it is there").len();
    pairs.min_by_key(|(_, witness)| size(witness)).expect("a witness")
}

/// If any node is missing, the root is either the same or not available.
#[test]
fn a_missing_node_never_gives_another_root() {
    #[derive(serde::Deserialize)]
    struct Parts {
        parent_state_root: B256,
        nodes: Vec<Bytes>,
    }
    let Some(folder) = fixtures() else { return };
    let (path, beside) = smallest(&folder);
    let unpacked = zstd::decode_all(std::fs::File::open(beside).expect("opens")).expect("unpacks");
    let parts: Parts = serde_json::from_slice(&unpacked).expect("a witness");
    let file = BlockFile::read(&path).expect("a block file");
    let mut executor = Executor::new(Config::default()).expect("threads start");
    let bundle = bundle_of(&mut executor, &file);
    let (mut needed, mut spare) = (0, 0);
    for missing in 0..parts.nodes.len() {
        let some = parts.nodes.iter().enumerate().filter(|(index, _)| *index != missing);
        let witness = Witness::new(parts.parent_state_root, some.map(|(_, node)| node));
        match checks::state_root(&file, &witness, &bundle) {
            Ok(check) => {
                assert_eq!(check.mismatch, None, "without node {missing}");
                spare += 1;
            }
            Err(PartialRootError::NotCheckable { .. }) => needed += 1,
            Err(error) => panic!("without node {missing}: {error}"),
        }
    }
    println!("{}: {needed} nodes are needed, {spare} are not", path.display());
    assert!(needed > 10);
}

/// Returns the output of `braid run --json` for the block at `path`, and its exit code.
fn run(path: &Path) -> (serde_json::Value, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    let output = command.args(["run", "--rounds", "1", "--json"]).arg(path).output();
    let output = output.expect("the tool starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let line = text.lines().next().expect("a line for the block");
    (serde_json::from_str(line).expect("JSON"), output.status.code())
}

#[test]
fn the_tool_tells_right_wrong_and_unknown_apart() {
    let Some(folder) = fixtures() else { return };
    let (path, beside) = smallest(&folder);
    let (line, code) = run(&path);
    assert_eq!((&line["checks"]["stateRoot"], code), (&json!(true), Some(0)), "{line}");

    let unpack = |path: &Path| -> serde_json::Value {
        let file = std::fs::File::open(path).expect("opens");
        serde_json::from_slice(&zstd::decode_all(file).expect("unpacks")).expect("JSON")
    };
    let copy = tempfile::tempdir().expect("a folder");
    let write = |name: &str, value: &serde_json::Value| -> PathBuf {
        let path = copy.path().join(name);
        std::fs::write(&path, value.to_string()).expect("written");
        path
    };
    let (block, mut witness) = (unpack(&path), unpack(&beside));
    let mut wrong = block.clone();
    wrong["block"]["stateRoot"] = json!(B256::repeat_byte(1));
    write("wrong.witness.json", &witness);
    let (line, code) = run(&write("wrong.json", &wrong));
    assert_eq!((&line["checks"]["stateRoot"], code), (&json!(false), Some(1)), "{line}");

    witness["nodes"].as_array_mut().expect("nodes").clear();
    write("unknown.witness.json", &witness);
    let (line, code) = run(&write("unknown.json", &block));
    assert_eq!((&line["checks"]["stateRoot"], code), (&json!(null), Some(0)), "{line}");
    let why = line["not_checkable"]["stateRoot"].as_str().expect("a reason");
    assert!(why.starts_with("not checkable"), "{why}");

    std::fs::write(copy.path().join("broken.witness.json"), "{}").expect("written");
    let (line, code) = run(&write("broken.json", &block));
    assert_eq!((&line["ok"], code), (&json!(false), Some(2)), "{line}");
    assert!(line["error"].as_str().is_some_and(|error| error.contains("witness")), "{line}");
}
