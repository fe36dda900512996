//! `braid trace`: geth's formats, equal to those of a sequential run.

use braid_blocks::block_file::BlockFile;
use braid_blocks::sequential::{Tracer, trace_all};
use braid_blocks::workload::{Workload, WorkloadSpec, generate};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

fn trace(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command.arg("trace").args(arguments).stdin(Stdio::null()).output().expect("the tool starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn file() -> BlockFile {
    generate(&WorkloadSpec::new(Workload::Erc20, 20, 50, 1).unsigned()).expect("a block")
}

#[test]
fn every_tracer_prints_what_it_prints_in_sequence() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("block.json");
    let file = file();
    file.write(&path).expect("it is written");
    let path = path.to_str().expect("text");
    let (block, database) = file.to_block().expect("a block");
    let tracers =
        [("prestate", Tracer::Prestate), ("call", Tracer::Call), ("struct", Tracer::Struct)];
    for (name, tracer) in tracers {
        let traced = trace_all(&block, &database, tracer, |_| true).expect("a valid block");
        for tx in [0, 7, 19] {
            let index = tx.to_string();
            let output =
                trace(&["--tx", &index, "--tracer", name, "--json", "--workers", "2", path]);
            assert!(output.status.success(), "{}", text(&output.stderr));
            let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let expected = serde_json::to_value(&traced[tx].trace).expect("JSON");
            assert_eq!(found, expected, "{name}, {tx}");
        }
        let human = text(&trace(&["--tx", "7", "--tracer", name, path]).stdout);
        assert!(human.lines().count() >= 1 && !human.contains('{'), "{human}");
    }
    let calls = text(&trace(&["--tx", "0", path]).stdout);
    assert!(calls.starts_with("CALL 0x") && calls.contains(" gas, 1 logs"), "{calls}");
    let steps = text(&trace(&["--tx", "0", "--tracer", "struct", path]).stdout);
    assert!(steps.contains("SSTORE") && steps.contains("it succeeded: "), "{steps}");
}

#[test]
fn what_cannot_be_traced_ends_with_2_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("block.json");
    file().write(&path).expect("it is written");
    let (path, folder) = (path.to_str().expect("text"), folder.path().to_str().expect("text"));
    for (arguments, why) in [
        (&["--tx", "20", path][..], "the block has transactions 0 to 19, not 20"),
        (&["--tx", "0", folder], "name one block file in it"),
        (&["--tx", "0", "nothing.json"], "nothing.json"),
        (&["--tx", "one", path], "--tx"),
    ] {
        let output = trace(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    }
}

#[test]
fn a_block_with_other_gas_than_its_file_says_ends_with_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("block.json");
    let mut file = file();
    file.expected.gas_used = Some(1);
    file.write(&path).expect("it is written");
    let path = path.to_str().expect("text");
    let output = trace(&["--tx", "0", "--json", path]);
    assert_eq!(output.status.code(), Some(1));
    serde_json::from_slice::<Value>(&output.stdout).expect("the trace is there all the same");
    let why = text(&output.stderr);
    assert!(
        why.contains("unexpected result: block file: ")
            && why.contains("gasUsed: expected 1, found"),
        "{why}"
    );
}
