//! `braid-node` as a child process.
//!
//! 1. A generated chain runs from RLP, from packed RLP, from block files and from standard input,
//!    at once or in parts. The state is the same each time, and its root is that of the last
//!    header.
//! 2. Unusable input ends with code 2 and advice; a wrong header ends with code 1.
//! 3. A folder in use is refused with the id of the process that uses it.
//! 4. The commands of docs/CHAIN.md and docs/NODE.md run verbatim.

use alloy_consensus::{Header, transaction::Recovered};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::BlockTransactions;
use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use braid_blocks::{block_file::BlockFile, workload::demo_chain};
use braid_chain::{ChainFolder, EmbeddedStore, open, rlp::RlpItems};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

pub(crate) fn braid_node(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid-node"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs `braid-node`, and returns its output.
#[track_caller]
pub(crate) fn chain(arguments: &[&str], code: i32) -> String {
    ended(braid_node(arguments), code)
}

#[track_caller]
fn ended(mut command: Command, code: i32) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the tool starts");
    let text = [stdout, stderr].map(|text| String::from_utf8(text).expect("text")).concat();
    assert_eq!(status.code(), Some(code), "{command:?}: {text}");
    text
}

#[track_caller]
pub(crate) fn json(arguments: &[&str]) -> Value {
    let text = chain(&[arguments, &["--json"]].concat(), 0);
    serde_json::from_str(&text).expect("one JSON object")
}

/// A generated chain in a folder, next to folders of chains.
pub(crate) struct Demo(TempDir);

impl Demo {
    /// Generates a chain of `blocks` blocks.
    pub(crate) fn new(blocks: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let this = Self(folder);
        chain(&["demo", "--blocks", &blocks.to_string(), &this.path("demo")], 0);
        this
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("a name in UTF-8").to_owned()
    }

    /// Creates a chain with the demo's genesis.
    pub(crate) fn begun(&self, name: &str) -> String {
        let (folder, genesis) = (self.path(name), self.path("demo/genesis.json"));
        chain(&["init", "--genesis", &genesis, &folder], 0);
        folder
    }

    fn digest(&self, name: &str) -> Value {
        json(&["inspect", &self.path(name), "digest"])
    }
}

/// Returns the state root of the chain in the folder, computed from all accounts.
fn state_root(folder: &str) -> B256 {
    let folder = ChainFolder::open(Path::new(folder)).expect("the folder is free");
    let reader = open(&EmbeddedStore::open(&folder.store()).expect("opens")).expect("a chain");
    let accounts = reader.accounts().map(|entry| {
        let (address, account) = entry.expect("reads");
        let slots = reader.slots(address).map(|slot| slot.expect("reads"));
        let slots = slots.map(|(slot, value): (U256, U256)| (B256::from(slot), value));
        let leaf = TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: storage_root_unhashed(slots),
            code_hash: account.code_hash,
        };
        (address, leaf)
    });
    state_root_unhashed(accounts)
}

#[test]
fn every_form_of_input_gives_the_state_of_the_last_header() {
    let demo = Demo::new(3);
    let (_, files) = demo_chain(1, 3, braid_chain::genesis::header).expect("generates");
    let last = &files[2].block.header;
    let counts = files.iter().map(|file| file.block.transactions.len()).collect::<Vec<_>>();
    let rlp = demo.path("demo/blocks.rlp");

    let once = demo.begun("once");
    let report = json(&["run", &once, &rlp]);
    assert_eq!(
        (&report["blocks"], &report["transactions"]),
        (&3.into(), &counts.iter().sum::<usize>().into())
    );
    assert_eq!(report["head"]["hash"], last.hash.to_string());
    assert_eq!(state_root(&once), last.inner.state_root);
    let verified = json(&["verify", &once]);
    assert_eq!(verified["state_root"], last.inner.state_root.to_string());
    assert_eq!(verified["block_hashes"], 4);
    let expected = demo.digest("once");

    fs::create_dir(demo.path("files")).expect("a folder");
    for (index, file) in files.iter().enumerate() {
        let name = format!("files/{index}.json{}", ["", ".gz", ".zst"][index]);
        file.write(Path::new(&demo.path(&name))).expect("writes");
    }
    let by_file = demo.begun("by-file");
    chain(&["run", "--workers", "3", "--history", "2", &by_file, &demo.path("files")], 0);
    let receipts = &json(&["inspect", &by_file, "receipts", "3"])["receipts"];
    let used = receipts[counts[2] - 1]["cumulativeGasUsed"].as_str().expect("a number");
    assert_eq!(used, format!("{:#x}", last.gas_used));
    let text = chain(&["inspect", &by_file, "receipts", "2"], 0);
    assert!(text.starts_with(&format!("receipts {}\n{{", counts[1])), "{text}");
    let text = chain(&["inspect", &by_file, "receipts", "1"], 2);
    assert!(text.contains("the receipts of block 1 are not kept"), "{text}");
    assert_eq!(demo.digest("by-file"), expected);

    let text = chain(&["unwind", &by_file, "2"], 0);
    assert!(text.contains("head 1 "), "{text}");
    assert!(chain(&["unwind", &by_file, "2"], 2).contains("1 block can be unwound"));
    assert_eq!(
        json(&["inspect", &by_file])["state_root"],
        files[0].block.header.state_root.to_string()
    );
    chain(&["run", &by_file, &rlp], 0);
    assert_eq!(demo.digest("by-file"), expected);

    let without = demo.path("without");
    let genesis = demo.path("demo/genesis.json");
    chain(&["init", "--no-state-roots", "--genesis", &genesis, &without], 0);
    chain(&["run", &without, &rlp], 0);
    assert_eq!(json(&["verify", &without])["nodes"], 0);

    // First one block, then all of them: existing blocks are skipped.
    let resumed = demo.begun("resumed");
    chain(&["run", &resumed, &demo.path("files/0.json")], 0);
    let packed = demo.path("blocks.rlp.zst");
    let bytes = zstd::encode_all(File::open(&rlp).expect("opens"), 1).expect("packs");
    fs::write(&packed, bytes).expect("writes");
    let report = json(&["run", "--policy", "speculative", &resumed, &packed]);
    assert_eq!((&report["blocks"], &report["passed_over"]), (&2.into(), &1.into()));
    assert_eq!(demo.digest("resumed"), expected);

    let piped = demo.begun("piped");
    let mut command = braid_node(&["run", &piped, "-"]);
    command.stdin(File::open(&rlp).expect("opens"));
    ended(command, 0);
    assert_eq!(demo.digest("piped"), expected);
}

#[test]
fn inspect_shows_accounts_slots_and_codes() {
    let demo = Demo::new(3);
    let folder = demo.begun("chain");
    let (genesis, _) = demo_chain(1, 3, braid_chain::genesis::header).expect("generates");
    let contract = genesis.alloc.iter().find(|(_, it)| it.code.is_some() && it.storage.is_some());
    let (address, account) = contract.expect("a token");
    let address = address.to_string();
    let found = json(&["inspect", &folder, "account", &address]);
    assert_eq!(found["balance"], account.balance.to_string());
    assert_eq!(found["nonce"], account.nonce.unwrap_or_default());
    assert_eq!(found["code_hash"], account.code_hash().expect("code").to_string());
    let (slot, value) = account.storage.as_ref().and_then(|it| it.iter().next()).expect("a slot");
    let found = json(&["inspect", &folder, "slot", &address, &slot.to_string()]);
    assert_eq!(found["value"], value.to_string());
    let code = json(&["inspect", &folder, "code", &address]);
    assert_eq!(code["code"], account.code.as_ref().expect("code").to_string());
    let nothing = json(&["inspect", &folder, "account", &format!("0x{:040}", 77)]);
    assert_eq!(nothing["exists"], false);
    assert_eq!(json(&["inspect", &folder])["number"], 0);
    assert!(chain(&["inspect", &folder, "digest"], 0).contains("\naccounts "));
}

#[test]
fn what_cannot_be_used_is_refused_with_advice() {
    let demo = Demo::new(3);
    let rlp = demo.path("demo/blocks.rlp");
    let text = chain(&["run", &demo.path("nowhere"), &rlp], 2);
    assert!(text.contains("create one with: braid-node init --genesis"), "{text}");
    let folder = demo.begun("chain");
    let text = chain(&["init", "--genesis", &demo.path("demo/genesis.json"), &folder], 2);
    assert!(text.contains("holds a chain already, at block 0; choose an empty folder"), "{text}");
    let text = chain(&["init", "--genesis", &rlp, &demo.path("other")], 2);
    assert!(text.contains("no genesis in geth's format"), "{text}");

    let bytes = fs::read(&rlp).expect("reads");
    let cut = demo.path("cut.rlp");
    fs::write(&cut, &bytes[..bytes.len() - 9]).expect("writes");
    let text = chain(&["run", &folder, &cut], 2);
    assert!(text.contains("the input ends within a block"), "{text}");
    assert!(text.contains("blocks up to 2 are durable"), "{text}");
    assert_eq!(json(&["inspect", &folder])["number"], 2);
    let text = chain(&["run", &folder, &rlp], 0);
    assert!(text.contains("2 blocks were in the chain already"), "{text}");

    chain(&["demo", "--blocks", "1", "--seed", "2", &demo.path("second")], 0);
    let text = chain(&["run", &folder, &demo.path("second/blocks.rlp")], 2);
    assert!(text.contains("the input is of another chain"), "{text}");
}

/// Only the headers of existing blocks are read, so their signatures are not recovered again.
#[test]
fn the_bodies_of_blocks_that_the_chain_has_are_not_read() {
    let demo = Demo::new(3);
    let (folder, rlp) = (demo.begun("chain"), demo.path("demo/blocks.rlp"));
    let bytes = fs::read(&rlp).expect("reads");
    let lengths = RlpItems::new(&*bytes).map(|item| item.expect("a block").len());
    let two: usize = lengths.take(2).sum();
    let first = demo.path("first.rlp");
    fs::write(&first, &bytes[..two]).expect("writes");
    chain(&["run", &folder, &first], 0);
    // The end of block 2 is within its last signature or after it.
    let mut bad = bytes;
    bad[two - 40..two].fill(0);
    fs::write(&rlp, bad).expect("writes");
    let report = json(&["run", &folder, &rlp]);
    assert_eq!((&report["blocks"], &report["passed_over"]), (&1.into(), &2.into()));
    let other = demo.begun("other");
    assert!(chain(&["run", &other, &rlp], 2).contains("blocks up to 1 are durable"));
}

#[test]
fn a_demo_does_not_overwrite_files() {
    let demo = Demo::new(1);
    let (_, files) = demo_chain(1, 1, braid_chain::genesis::header).expect("generates");
    let report = json(&["demo", "--blocks", "1", &demo.path("other")]);
    assert_eq!(report["hash"], files[0].block.header.hash.to_string());
    assert_eq!(report["genesis"], demo.path("other/genesis.json"));
    for (gone, left) in [("blocks.rlp", "genesis.json"), ("genesis.json", "blocks.rlp")] {
        let [gone, left] = [gone, left].map(|name| demo.path(&format!("other/{name}")));
        let bytes = fs::read(&gone).expect("it is there");
        fs::remove_file(&gone).expect("it is there");
        let text = chain(&["demo", "--seed", "2", &demo.path("other")], 2);
        assert!(text.contains(&format!("{left} exists; choose another folder")), "{text}");
        assert!(!Path::new(&gone).exists(), "nothing is written");
        fs::write(&gone, bytes).expect("writes");
    }
}

#[test]
fn a_block_that_is_not_what_its_header_says_is_not_written() {
    let demo = Demo::new(3);
    let folder = demo.begun("chain");
    let (_, mut files) = demo_chain(1, 3, braid_chain::genesis::header).expect("generates");
    let sealed = |file: &mut BlockFile| file.block.header.hash = file.block.header.hash_slow();
    files[1].block.header.inner.gas_used += 1;
    sealed(&mut files[1]);
    let paths = [0, 1].map(|index| demo.path(&format!("{index}.json")));
    for (file, path) in files.iter().zip(&paths) {
        file.write(Path::new(path)).expect("writes");
    }
    let text = chain(&["run", &folder, &paths[0], &paths[1]], 1);
    assert!(text.contains("block 2: the header states gas used"), "{text}");
    assert!(text.contains("blocks up to 1 are durable"), "{text}");
    assert_eq!(json(&["inspect", &folder])["number"], 1);

    files[1].block.header.inner.gas_used -= 1;
    files[1].block.header.inner.state_root = B256::ZERO;
    sealed(&mut files[1]);
    files[1].write(Path::new(&paths[1])).expect("writes");
    let text = chain(&["run", &folder, &paths[1]], 1);
    assert!(text.contains("the header states the state root 0x0000"), "{text}");
    assert!(text.contains("blocks up to 1 are durable"), "{text}");
    chain(&["verify", &folder], 0);
}

#[test]
fn a_block_file_whose_parts_do_not_fit_together_is_refused() {
    let demo = Demo::new(1);
    let folder = demo.begun("chain");
    let (_, files) = demo_chain(1, 1, braid_chain::genesis::header).expect("generates");
    let (good, path) = (&files[0], demo.path("block.json"));
    let refused = |change: &dyn Fn(&mut BlockFile), field: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        bad.write(Path::new(&path)).expect("writes");
        let text = chain(&["run", &folder, &path], 2);
        let field = format!("{path}: field block.{field}: expected the ");
        assert!(text.contains(&field), "{text}");
        assert!(text.contains("blocks up to 0 are durable; correct the input"), "{text}");
    };
    let header = |file: &mut BlockFile| file.block.header.hash = file.block.header.hash_slow();
    refused(&|file| file.block.header.hash = B256::ZERO, "hash");
    let root = |file: &mut BlockFile, root: fn(&mut Header) -> &mut B256| {
        *root(&mut file.block.header.inner) = B256::ZERO;
        header(file);
    };
    refused(&|file| root(file, |header| &mut header.transactions_root), "transactionsRoot");
    refused(&|file| root(file, |header| &mut header.ommers_hash), "sha3Uncles");
    refused(&|file| file.block.withdrawals = None, "withdrawalsRoot");
    let another_sender = |file: &mut BlockFile| {
        let BlockTransactions::Full(transactions) = &mut file.block.transactions else {
            panic!("whole transactions");
        };
        let signed = transactions[7].inner.inner().clone();
        transactions[7].inner = Recovered::new_unchecked(signed, Address::ZERO);
    };
    refused(&another_sender, "transactions[7].from");
    good.write(Path::new(&path)).expect("writes");
    chain(&["run", &folder, &path], 0);
}

#[test]
fn a_folder_in_use_is_refused_with_the_process() {
    let demo = Demo::new(3);
    let folder = demo.begun("chain");
    let held = ChainFolder::open(Path::new(&folder)).expect("the folder is free");
    for arguments in [&["inspect", &folder][..], &["run", &folder, &demo.path("demo/blocks.rlp")]] {
        let text = chain(arguments, 2);
        let process = format!("is in use by process {}; wait", std::process::id());
        assert!(text.contains(&process), "{text}");
    }
    drop(held);
    chain(&["inspect", &folder], 0);
}

#[test]
fn the_commands_of_the_page_run() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut script = String::new();
    for (page, least) in [("CHAIN.md", 6), ("NODE.md", 1)] {
        let page = fs::read_to_string(docs.join(page)).expect("the page is there");
        let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        let commands: String = blocks.collect();
        assert!(commands.matches("braid-node").count() >= least, "{commands}");
        script += &commands;
    }
    let tool = PathBuf::from(env!("CARGO_BIN_EXE_braid-node"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("sh");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", tool.parent().expect("a folder").display()));
    command.args(["-euc", &script]).current_dir(folder.path());
    ended(command, 0);
}
