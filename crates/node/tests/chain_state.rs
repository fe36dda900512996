//! `braid-node export`, `export-blocks`, `checkpoint` and `prune` as child processes.
//!
//! 1. A chain created from an exported file has the same state and the same state root, however the
//!    file is packed. A failed export leaves no file.
//! 2. After pruning, the folder verifies, and exactly the kept blocks can be unwound and executed
//!    again.

use crate::chain::{Demo, braid_node, chain, json};
use serde_json::Value;
use std::{fs, process::Output};

#[test]
fn an_exported_file_begins_a_chain_with_the_same_state() {
    let demo = Demo::new(2);
    let folder = demo.begun("chain");
    chain(&["run", &folder, &demo.path("demo/blocks.rlp")], 0);
    let inspected = json(&["inspect", &folder, "digest"]);
    for (name, magic) in [("plain", "{\n"), ("packed.gz", "\u{1f}"), ("packed.zst", "(")] {
        let file = demo.path(name);
        let report = json(&["export", &folder, &file]);
        for field in ["number", "hash", "state_root", "accounts", "slots"] {
            assert_eq!(report[field], inspected[field], "{field}");
        }
        assert!(fs::read(&file).expect("it is there").starts_with(magic.as_bytes()), "{name}");
        is_the_same(&demo, name, &inspected);
    }
    // Exports to standard output, and the summary to standard error.
    let Output { status, stdout, stderr } =
        braid_node(&["export", &folder, "--json"]).output().expect("the tool starts");
    assert!(status.success());
    fs::write(demo.path("piped"), stdout).expect("writes");
    is_the_same(&demo, "piped", &inspected);
    let report: Value = serde_json::from_slice(&stderr).expect("one JSON object");
    assert_eq!(report["accounts"], inspected["accounts"]);
}

fn is_the_same(demo: &Demo, file: &str, inspected: &Value) {
    let folder = demo.path(&format!("from-{file}"));
    let begun = json(&["init", "--genesis", &demo.path(file), &folder]);
    assert_eq!(begun["state_root"], inspected["state_root"], "{file}");
    let copy = json(&["inspect", &folder, "digest"]);
    assert_eq!(copy["digest"], inspected["digest"], "{file}");
    assert_eq!(copy["state_root"], inspected["state_root"], "{file}");
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let demo = Demo::new(1);
    let folder = demo.begun("chain");
    let file = demo.path("nowhere/state.json");
    assert!(chain(&["export", &folder, &file], 2).contains(&file));
    let taken = demo.path("taken");
    fs::create_dir(&taken).expect("a folder");
    assert!(chain(&["export", &folder, &taken], 2).contains(&taken));
    let left = fs::read_dir(demo.path("")).expect("a folder").map(|it| it.expect("reads"));
    assert!(!left.into_iter().any(|it| it.file_name().to_string_lossy().contains("partial")));
}

#[test]
fn a_checkpoint_is_another_folder_of_the_chain() {
    let demo = Demo::new(4);
    let (folder, rlp) = (demo.begun("chain"), demo.path("demo/blocks.rlp"));
    chain(&["run", &folder, &rlp], 0);
    let copy = demo.path("copy");
    let report = json(&["checkpoint", &folder, &copy]);
    assert_eq!(report["number"], 4, "{report}");
    assert!(report["records"].as_u64() > Some(100), "{report}");
    assert_eq!(json(&["inspect", &copy, "digest"]), json(&["inspect", &folder, "digest"]));
    assert_eq!(json(&["verify", &copy]), json(&["verify", &folder]));
    // Both can be unwound and go on.
    chain(&["unwind", &copy, "2"], 0);
    chain(&["run", &copy, &rlp], 0);
    assert_eq!(json(&["inspect", &copy, "digest"]), json(&["inspect", &folder, "digest"]));
    let text = chain(&["checkpoint", &folder, &copy], 2);
    assert!(text.contains("copy exists"), "{text}");
    let text = chain(&["checkpoint", &folder, &demo.path("nowhere/copy")], 0);
    assert!(text.contains("nowhere/copy"), "{text}");
}

#[test]
fn blocks_are_imported_into_an_archive_that_stays_one() {
    let demo = Demo::new(5);
    let (folder, rlp) = (demo.begun("chain"), demo.path("demo/blocks.rlp"));
    chain(&["run", &folder, &rlp, "--archive", "--history", "1MiB"], 0);
    chain(&["unwind", &folder, "2"], 0);
    chain(&["run", &folder, &rlp], 0);
    chain(&["prune", &folder, "--undo-blocks", "0"], 0);
    chain(&["verify", &folder], 0);
    let store =
        braid_chain::EmbeddedStore::open(demo.path("chain/state").as_ref()).expect("it opens");
    let reader = braid_chain::open(&store).expect("a chain");
    assert_eq!(reader.archived_since().expect("it reads"), Some(0));
    let state = reader.block(1).expect("it reads");
    assert!(state.is_some(), "an archive keeps all blocks");
    drop((reader, store));
    let text = chain(&["run", &folder, &rlp, "--history", "1MiB", "--receipts", "3"], 2);
    assert!(text.contains("--receipts cannot be combined with a size in --history"), "{text}");
}

#[test]
fn exported_blocks_are_the_imported_ones() {
    let demo = Demo::new(5);
    let (folder, rlp) = (demo.begun("chain"), demo.path("demo/blocks.rlp"));
    let text = chain(&["export-blocks", &folder], 2);
    assert!(text.contains("the folder holds no block with its transactions"), "{text}");
    chain(&["run", &folder, &rlp, "--history", "3"], 0);
    let text = chain(&["run", &folder, &rlp, "--history", "1"], 0);
    assert!(text.contains("block 4 and those before it are removed for good"), "{text}");
    let (whole, some) = (fs::read(&rlp).expect("it is there"), demo.path("some.rlp"));
    let report = json(&["export-blocks", &folder, &some]);
    let written = fs::read(&some).expect("it is there");
    assert!(whole.ends_with(&written), "{report}");
    let numbers = (&report["first"], &report["last"], &report["blocks"], &report["bytes"]);
    assert_eq!(numbers, (&3.into(), &5.into(), &3.into(), &written.len().into()));
    let piped = braid_node(&["export-blocks", &folder, "--from", "4"]).output();
    let piped = piped.expect("the tool starts");
    assert!(piped.status.success() && written.ends_with(&piped.stdout));
    for (options, why) in [
        (["--from", "2"], "does not hold block 2 with its transactions"),
        (["--to", "6"], "there is no block 6: the last one is 5"),
        (["--to", "2"], "--from 3 is above the last block to write, 2"),
    ] {
        let file = demo.path("not-written.rlp");
        let text = chain(&[&["export-blocks", &folder, &file][..], &options].concat(), 2);
        assert!(text.contains(why), "{text}");
        assert!(!fs::exists(&file).expect("a folder"));
    }
    let text = chain(&["export-blocks", &folder, &some], 2);
    assert!(text.contains("--force"), "{text}");
}

#[test]
fn a_pruned_chain_can_be_unwound_as_far_as_it_says() {
    let demo = Demo::new(5);
    let (folder, rlp) = (demo.begun("chain"), demo.path("demo/blocks.rlp"));
    chain(&["run", &folder, &rlp], 0);
    let expected = json(&["inspect", &folder, "digest"]);
    let pruned = json(&["prune", "--undo-blocks", "2", &folder]);
    assert_eq!(
        (&pruned["removed_undo_records"], &pruned["removed_block_hashes"]),
        (&3.into(), &0.into())
    );
    assert!(pruned["removed_bytes"].as_u64() > Some(1_000), "{pruned}");
    let text = chain(&["prune", "--undo-blocks", "2", &folder], 0);
    assert!(
        text.contains("removed: 0 undo records, receipts of 0 blocks, 0 block hashes, 0 bytes"),
        "{text}"
    );
    assert_eq!(json(&["verify", &folder])["undo_blocks"], 2);
    let text = chain(&["unwind", &folder, "3"], 2);
    assert!(text.contains("block 3 has no undo record: 2 blocks can be unwound"), "{text}");
    let text = chain(&["inspect", &folder, "receipts", "17"], 2);
    assert!(text.contains("there is no block 17: the last one is 5"), "{text}");
    assert_eq!(json(&["unwind", &folder, "2"])["number"], 3);
    chain(&["verify", &folder], 0);
    chain(&["run", &folder, &rlp], 0);
    assert_eq!(json(&["inspect", &folder, "digest"]), expected);
}
