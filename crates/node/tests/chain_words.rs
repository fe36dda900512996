//! Messages of `braid-node`: they name the problem and what to do about it.
//!
//! 1. Blocks of another chain are refused with both chain ids.
//! 2. An unusable genesis is refused with the field and its line.
//! 3. A folder or a file with other contents is left unchanged.
//! 4. A failing output is reported as such, and not as an error of the chain's folder.
//! 5. Progress counts executed blocks, and not buffered ones.
//! 6. The rules of a new chain are named.
//! 7. One block is not "1 blocks", and a state root that was compared with nothing is not "all
//!    right".

use crate::chain::{Demo, braid_node, chain, json};
use braid_blocks::workload::demo_chain;
use braid_chain::{Rules, rlp::RlpItems};
use braid_node::chain_input::Inputs;
use serde_json::{Value, json as value};
use std::{
    fs::{self, File},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// Creates a chain with the demo's genesis, but another chain id.
fn another_id(demo: &Demo, id: u64) -> String {
    let text = fs::read(demo.path("demo/genesis.json")).expect("reads");
    let mut genesis: Value = serde_json::from_slice(&text).expect("JSON");
    genesis["config"]["chainId"] = value!(id);
    let (file, folder) = (demo.path("another.json"), demo.path("another"));
    fs::write(&file, genesis.to_string()).expect("writes");
    chain(&["init", "--genesis", &file, &folder], 0);
    folder
}

/// The rule is reported and stored with the chain, and changes the results of the demo's blocks.
#[test]
fn a_chain_of_declared_accesses_says_so() {
    let demo = Demo::new(1);
    let genesis = demo.path("demo/genesis.json");
    let (plain, declared) = (demo.path("plain"), demo.path("declared"));
    let begun = chain(&["init", "--genesis", &genesis, &plain], 0);
    assert!(!begun.contains("declared"), "{begun}");
    let begun = chain(&["init", "--declared", "--genesis", &genesis, &declared], 0);
    assert!(begun.contains(", declared accesses\n"), "{begun}");
    let again = ["init", "--if-missing", "--genesis", &genesis, &declared];
    assert!(chain(&again, 2).contains("another genesis"));
    chain(&["init", "--if-missing", "--declared", "--genesis", &genesis, &declared], 0);
    let blocks = demo.path("demo/blocks.rlp");
    chain(&["run", &plain, &blocks], 0);
    assert!(chain(&["run", &declared, &blocks], 1).contains("block 1: the header states gas used"));
}

#[test]
fn blocks_of_another_chain_are_refused_with_both_chain_ids() {
    let demo = Demo::new(1);
    let folder = another_id(&demo, 4_242);
    let (genesis, files) = demo_chain(1, 1, braid_chain::genesis::header).expect("generates");
    let id = genesis.config.chain_id;
    let rlp = demo.path("demo/blocks.rlp");
    let text = chain(&["run", &folder, &rlp], 2);
    let transaction = format!(
        "{rlp}: block 1, transaction 0: it is signed for the chain id {id}, this chain has the id \
         4242; blocks up to 0"
    );
    assert!(text.contains(&transaction), "{text}");
    let file = demo.path("1.json");
    files[0].write(Path::new(&file)).expect("writes");
    let refused = chain(&["run", &folder, &file], 2);
    let block = format!("{file}: the block is of the chain with id {id}, this chain has id 4242; ");
    assert!(refused.contains(&block), "{refused}");
    for text in [text, refused] {
        let advice = "blocks up to 0 are durable; the input is of another chain: give this chain's";
        assert!(text.contains(advice) && !text.contains("correct the input"), "{text}");
    }
    // The parent differs.
    chain(&["demo", "--blocks", "1", "--seed", "2", &demo.path("second")], 0);
    let text = chain(&["run", &folder, &demo.path("second/blocks.rlp")], 2);
    assert!(text.contains("its parent is 0x") && text.contains("is of another chain"), "{text}");
}

const GENESIS: &str = r#"{
  "config": {
    "chainId": 7,
    "londonBlock": 0,
    "terminalTotalDifficulty": 0
  },
  "gasLimit": "0x1c9c380",
  "difficulty": "0x1",
  "extraData": "0x",
  "alloc": {
    "0x00000000000000000000000000000000000000aa": { "balance": "0x1" },
    "0x00000000000000000000000000000000000000bb": {
      "nonce": "0x1",
      "balance": "0x2",
      "code": "0x00",
      "storage": {
        "0x01": "0x02"
      }
    }
  }
}"#;

#[test]
fn a_genesis_that_cannot_be_used_is_refused_with_field_and_line() {
    let demo = Demo::new(1);
    let file = demo.path("genesis.json");
    let bb = "alloc.0x00000000000000000000000000000000000000bb";
    for (old, new, field, line) in [
        (r#""londonBlock": 0"#, r#""londonBlock": "soon""#, "config.londonBlock", 4),
        (r#""chainId": 7"#, r#""chainId": -7"#, "config.chainId", 3),
        (r#"0x1c9c380"#, "much", "gasLimit", 7),
        (r#""extraData": "0x""#, r#""extraData": "0xq""#, "extraData", 9),
        (r#""balance": "0x2""#, r#""balance": "0xq""#, &format!("{bb}.balance"), 14),
        (r#""nonce": "0x1""#, r#""nonce": true"#, &format!("{bb}.nonce"), 13),
        (r#""code": "0x00""#, r#""code": 7"#, &format!("{bb}.code"), 15),
        (r#""0x01": "0x02""#, r#""0x01": "two""#, &format!("{bb}.storage"), 17),
        (r#""0x01": "0x02""#, r#""one": "0x02""#, &format!("{bb}.storage"), 17),
        ("00bb\"", "00b\"", "alloc", 12),
        (r#""difficulty": "0x1","#, r#""difficulty": "0x1""#, "expected `,` or `}`", 9),
    ] {
        fs::write(&file, GENESIS.replace(old, new)).expect("writes");
        let text = chain(&["init", "--genesis", &file, &demo.path("chain")], 2);
        let place = format!(" at line {line}");
        assert!(
            text.starts_with(&format!("error: {file}: no genesis in geth's format: ")),
            "{text}"
        );
        assert!(text.contains(field) && text.contains(&place), "{field}, line {line}: {text}");
        assert!(!Path::new(&demo.path("chain")).exists(), "nothing is created");
    }
    fs::write(&file, GENESIS).expect("writes");
    let text = chain(&["init", "--genesis", &file, &demo.path("chain")], 0);
    assert!(text.contains("2 accounts, 1 slot in"), "{text}");
}

#[test]
fn a_folder_with_other_things_is_left_as_it_is() {
    let demo = Demo::new(1);
    let (folder, genesis) = (demo.path("full"), demo.path("demo/genesis.json"));
    fs::create_dir(&folder).expect("a folder");
    for name in ["thesis.txt", "picture.png"] {
        fs::write(demo.path(&format!("full/{name}")), "years of work").expect("writes");
    }
    let text = chain(&["init", "--genesis", &genesis, &folder], 2);
    let refused = format!("{folder} holds other things, picture.png for example; choose an empty");
    assert!(text.contains(&refused), "{text}");
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 2, "nothing is created");
    // An empty folder, and one that already belongs to a chain, which is a different error.
    let empty = demo.path("empty");
    fs::create_dir(&empty).expect("a folder");
    chain(&["init", "--genesis", &genesis, &empty], 0);
    fs::write(demo.path("empty/notes.txt"), "a note").expect("writes");
    let text = chain(&["init", "--genesis", &genesis, &empty], 2);
    assert!(text.contains("holds a chain already, at block 0"), "{text}");
}

#[test]
fn a_file_is_overwritten_only_by_force() {
    let demo = Demo::new(1);
    let folder = demo.begun("chain");
    let file = demo.path("thesis.json");
    fs::write(&file, "years of work").expect("writes");
    let text = chain(&["export", &folder, &file], 2);
    let refused = format!("{file} exists; choose another name, or overwrite the file with --force");
    assert!(text.contains(&refused), "{text}");
    assert_eq!(fs::read_to_string(&file).expect("reads"), "years of work");
    chain(&["export", "--force", &folder, &file], 0);
    chain(&["init", "--genesis", &file, &demo.path("copy")], 0);
    let text = chain(&["export", "--force", &folder, &demo.path("demo")], 2);
    assert!(text.contains("is a folder; name a file in it"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_and_a_link_are_written_to_and_not_replaced() {
    let demo = Demo::new(1);
    let folder = demo.begun("chain");
    let device = fs::metadata("/dev/null").expect("it is there");
    chain(&["export", &folder, "/dev/null"], 0);
    assert!(!device.is_file() && !fs::metadata("/dev/null").expect("it is there").is_file());
    let text = chain(&["export", &folder, "/dev/full"], 2);
    assert!(text.contains("/dev/full: the file cannot be written: "), "{text}");
    let (file, link) = (demo.path("state.json"), demo.path("link.json"));
    fs::write(&file, "old").expect("writes");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    chain(&["export", "--force", &folder, &link], 0);
    assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
    assert!(fs::read_to_string(&file).expect("reads").contains("\"alloc\""));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_output_is_blamed_and_not_the_folder() {
    let demo = Demo::new(2);
    let (folder, rlp) = (demo.begun("chain"), demo.path("demo/blocks.rlp"));
    let genesis = demo.path("demo/genesis.json");
    let [new, new_demo] = ["new", "new-demo"].map(|name| demo.path(name));
    for command in [
        &["run", &folder, &rlp][..],
        &["inspect", &folder],
        &["inspect", "--json", &folder, "digest"],
        &["verify", &folder],
        &["prune", "--undo-blocks", "1", &folder],
        &["export", &folder],
        &["unwind", &folder, "1"],
        &["init", "--genesis", &genesis, &new],
        &["demo", &new_demo],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let mut started = braid_node(command);
        let output = started.stdout(full).output().expect("the tool starts");
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{command:?}: {text}");
        assert!(text.contains("error: cannot write the output: "), "{command:?}: {text}");
        assert!(!text.contains(&folder), "{command:?}: {text}");
    }
    // The command was completed nevertheless: a block was unwound.
    assert_eq!(json(&["inspect", &folder])["number"], 1);
}

/// Returns the input position in bytes after each block.
fn read_so_far(file: &str) -> Vec<u64> {
    let (genesis, _) = demo_chain(1, 1, braid_chain::genesis::header).expect("generates");
    let files = [PathBuf::from(file)];
    let inputs = Inputs::new(&files, Rules::new(genesis.config), 0, NonZeroUsize::MIN);
    let inputs = inputs.expect("it opens");
    let bytes = inputs.bytes();
    let read: Vec<_> = inputs.map(|block| block.expect("a block").read).collect();
    assert_eq!(bytes, Some(fs::metadata(file).expect("it is there").len()));
    assert!(read.last() <= bytes.as_ref(), "{read:?}");
    read
}

#[test]
fn progress_is_that_of_the_blocks() {
    let demo = Demo::new(4);
    let rlp = demo.path("demo/blocks.rlp");
    let bytes = fs::read(&rlp).expect("reads");
    let lengths = RlpItems::new(&*bytes).map(|item| item.expect("a block").len() as u64);
    let ends = lengths.scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    assert_eq!(read_so_far(&rlp), ends.collect::<Vec<_>>());
    // A packed file is unpacked in pieces.
    let packed = demo.path("blocks.rlp.zst");
    fs::write(&packed, zstd::encode_all(&*bytes, 1).expect("packs")).expect("writes");
    let read = read_so_far(&packed);
    assert!(read.is_sorted() && read[0] < read[3], "{read:?}");
}

#[test]
fn one_block_is_not_several() {
    let demo = Demo::new(1);
    let (folder, rlp) = (demo.begun("chain"), demo.path("demo/blocks.rlp"));
    let text = chain(&["run", &folder, &rlp], 0);
    assert!(text.starts_with("block 1: 1 block, "), "{text}");
    let text = chain(&["run", &folder, &rlp], 0);
    assert!(text.starts_with("1 block was in the chain already\n"), "{text}");
    let text = chain(&["verify", &folder], 0);
    assert!(text.contains(" 2 block hashes, 1 undo record, receipts of 1 block: "), "{text}");
    let text = chain(&["unwind", &folder, "2"], 2);
    assert!(text.contains("block 0 has no undo record: 1 block can be unwound"), "{text}");
    assert!(chain(&["unwind", &folder, "1"], 0).starts_with("1 block unwound\n"));
}

#[test]
fn a_state_root_that_was_compared_with_nothing_says_so() {
    let demo = Demo::new(1);
    let (folder, genesis) = (demo.path("without"), demo.path("demo/genesis.json"));
    chain(&["init", "--no-state-roots", "--genesis", &genesis, &folder], 0);
    let text = chain(&["verify", &folder], 0);
    let root = json(&["verify", &folder]);
    assert_eq!(root["state_root_compared"], false);
    let root = root["state_root"].as_str().expect("a hash");
    let said = format!("state root {root}, computed and compared with nothing: the chain keeps no");
    assert!(text.contains(&said), "{text}");
    let folder = demo.begun("with");
    assert!(chain(&["verify", &folder], 0).contains(&format!("state root {root}\n")));
    assert_eq!(json(&["verify", &folder])["state_root_compared"], true);
}

#[test]
fn init_tells_whose_rules_a_chain_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let newest = value!({"chainId": 7, "terminalTotalDifficulty": 0, "osakaTime": 0});
    for (config, fork) in [(value!({"chainId": 7}), "Frontier"), (newest, "Osaka")] {
        let file = at("genesis.json");
        fs::write(&file, value!({"config": config, "alloc": {}}).to_string()).expect("writes");
        let text = chain(&["init", "--genesis", &file, &at(fork)], 0);
        assert!(text.starts_with(&format!("chain id 7, rules of {fork}\n")), "{text}");
        let told = json(&["init", "--genesis", &file, &at(&format!("{fork}, JSON"))]);
        assert_eq!(told["fork"], fork);
    }
}
