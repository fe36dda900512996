//! The example's loop on a folder: killed, interrupted, and with the folder of another chain.

use super::{SEED, TRANSACTIONS, WRITE, example, forced, states};
use crate::{
    streams::within_a_minute,
    support::{Child, Reference, contents, store},
};
use alloy_primitives::keccak256;
use braid_chain::{
    ChainFolder, Head, MemoryStore, StateRoots, create, genesis, open, prune, verify,
};
use braid_evm::Policy;
use clap::Parser;
use example::{Options, node::Node, rules};
use std::{env, fs, io, path::Path, sync::mpsc, time::Duration};

/// Environment variable of the killed process: the folder.
const FOLDER: &str = "BRAID_PRIVATE_CHAIN_FOLDER";
const BLOCKS: u64 = 40;
const KILLS: u64 = 5;

/// Runs the example until the chain has `blocks` blocks.
fn run(folder: &Path, blocks: u64, out: &mut impl io::Write) -> Result<(), String> {
    let (_stop, stopped) = mpsc::channel();
    let [blocks, seed, count] = [blocks, SEED, TRANSACTIONS].map(|number| number.to_string());
    let folder = folder.to_str().expect("a name in UTF-8");
    let options = ["private-chain", folder, "--interval", "0", "--blocks", &blocks];
    let options = [&options[..], &["--seed", &seed, "--transactions", &count]].concat();
    let options = Options::try_parse_from(options).expect("options");
    example::run(&options, &stopped, out).map_err(|error| error.to_string())
}

#[test]
#[ignore = "the process that `a_killed_chain_goes_on_to_the_same_state` kills"]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    run(folder.as_ref(), BLOCKS, &mut io::stdout()).expect("all blocks are durable");
}

/// Checks the contents of the folder, and returns the last block.
fn check(folder: &Path, states: &[Reference]) -> u64 {
    let folder = ChainFolder::open(folder).expect("the folder is free");
    let reader = open(&store(&folder)).expect("a chain");
    let number = reader.head().number;
    assert_eq!(contents(&reader), states[number as usize].contents(), "after block {number}");
    let verified = verify(&reader).expect("all is as it must be");
    assert_eq!(verified.state_root, states[number as usize].root());
    number
}

#[test]
fn a_killed_chain_goes_on_to_the_same_state() {
    let executor = rules::executor(forced(2, Policy::Auto)).expect("threads");
    let states = states(executor, WRITE, BLOCKS).expect("the oracle's blocks");
    let temporary = tempfile::tempdir().expect("a folder");
    let [killed, whole] = ["killed", "whole"].map(|name| temporary.path().join(name));
    let mut stopped_early = 0;
    for kill in 0..KILLS {
        let mut child = Child::start("private_chain::kills::child", |command| {
            command.env(FOLDER, &killed);
        });
        while child.durable == 0 && child.hear() {}
        let random = keccak256(kill.to_be_bytes());
        let delay = Duration::from_micros(u64::from(u16::from_be_bytes([random[0], random[1]])));
        std::thread::sleep(delay / 4);
        child.kill();
        let number = check(&killed, &states);
        println!("killed {:?} after the first block, store at block {number}", delay / 4);
        assert!(number >= child.durable, "block {} was reported durable", child.durable);
        stopped_early += u64::from(number < BLOCKS);
    }
    assert!(stopped_early > 0, "all kills came after the last block");
    let mut ends = [Vec::new(), Vec::new()];
    for (folder, text) in [&killed, &whole].into_iter().zip(&mut ends) {
        run(folder, BLOCKS, text).expect("all blocks are durable");
        assert_eq!(check(folder, &states), BLOCKS);
    }
    // Equal hashes and state roots.
    let ends = ends.map(|text| String::from_utf8(text).expect("text"));
    let [killed, whole] = ends.each_ref().map(|text| text.split_once("head 40 ").expect(text).1);
    assert_eq!(killed, whole);
    assert!(whole.contains(&states[BLOCKS as usize].root().to_string()), "{whole}");
}

/// Interrupts the chain when it reports block 3.
struct Interrupt {
    text: String,
    stop: mpsc::Sender<()>,
}

impl io::Write for Interrupt {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.push_str(&String::from_utf8_lossy(bytes));
        if self.text.contains("block 3: ") {
            // The first interrupt ends the chain.
            let _ = self.stop.send(());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_interrupted_chain_says_where_it_ended() {
    let text = within_a_minute(|| {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = temporary.path().to_str().expect("a name in UTF-8");
        let options = Options::try_parse_from(["private-chain", folder, "--interval", "1"]);
        let (stop, stopped) = mpsc::channel();
        let mut out = Interrupt { text: String::new(), stop };
        example::run(&options.expect("options"), &stopped, &mut out).expect("it ends");
        out.text
    });
    assert!(
        text.starts_with("chain id 7007, after block 0\nblock 1: 200 transactions, "),
        "{text}"
    );
    assert!(text.contains("\nhead 3 0x") && text.contains("\nstate root 0x"), "{text}");
    assert!(!text.contains("left out") && !text.contains("block 4"), "{text}");
}

/// Pruning removes the hash of the first block once there are more than 256.
#[test]
fn a_pruned_chain_goes_on() {
    let executor = || rules::executor(forced(1, Policy::Sequential)).expect("threads");
    let store = MemoryStore::new();
    let mut node = Node::open(store.clone(), executor()).expect("an empty store");
    for _ in 0..260 {
        node.block(SEED, 1).expect("it is built");
    }
    drop(node);
    assert_eq!(prune(&store, 2, None).expect("in memory").block_hashes, 3);
    assert_eq!(open(&store).expect("a chain").block_hash(0).expect("reads"), None);
    let mut node = Node::open(store, executor()).expect("the same chain");
    node.block(SEED, 1).expect("it is built");
    assert_eq!(node.chain.head().number, 261);
}

#[test]
fn the_folder_of_another_chain_is_refused() {
    let genesis = rules::genesis();
    let config = genesis::encode(&genesis).expect("JSON");
    let first = Head { number: 0, hash: genesis::header(&genesis).hash_slow() };
    // Another configuration, and another state.
    for (config, head) in [(&b"{}"[..], first), (&config, Head::default())] {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = ChainFolder::create(temporary.path()).expect("a folder");
        let batch = genesis::batch(&genesis, head);
        create(&store(&folder), config, &batch, StateRoots::Computed).expect("created");
        drop(folder);
        let refused = run(temporary.path(), 1, &mut io::sink()).expect_err("it is another chain");
        assert!(refused.contains("holds another chain; choose another folder"), "{refused}");
    }
}

/// An output that accepts no bytes.
struct Full;

impl io::Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn errors_blame_what_failed_and_name_the_folder_once() {
    let temporary = tempfile::tempdir().expect("a folder");
    let name = temporary.path().to_str().expect("a name in UTF-8");
    let refused = run(temporary.path(), 1, &mut Full).expect_err("nothing can be written");
    assert!(refused.starts_with("cannot write the output: "), "{refused}");
    assert!(!refused.contains(name), "{refused}");
    let held = ChainFolder::open(temporary.path()).expect("the folder is free");
    let refused = run(temporary.path(), 1, &mut io::sink()).expect_err("it is in use");
    assert!(refused.starts_with(name) && refused.matches(name).count() == 1, "{refused}");
    drop(held);
    // The folder contains the chain, so other files do not matter.
    fs::write(temporary.path().join("notes.txt"), "a note").expect("writes");
    run(temporary.path(), 1, &mut io::sink()).expect("the chain goes on");

    let other = tempfile::tempdir().expect("a folder");
    fs::write(other.path().join("thesis.txt"), "years of work").expect("writes");
    let refused = run(other.path(), 1, &mut io::sink()).expect_err("there is something else");
    assert!(refused.contains("holds other things, thesis.txt for example"), "{refused}");
    assert_eq!(fs::read_dir(other.path()).expect("a folder").count(), 1, "nothing is created");
}
