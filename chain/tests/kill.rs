//! A process that is killed while it writes: nothing that it has reported durable is lost, and the
//! state is that after the last block in the store.

use crate::support::{Stream, contents};
use alloy_primitives::keccak256;
use braid_chain::{
    Chain, ChainBlock, ChainConfig, ChainFolder, EmbeddedStore, StateRoots, create, open, verify,
};
use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Set for the process that is killed: the folder, then the seed of the stream.
const FOLDER: &str = "BRAID_CHAIN_KILL_FOLDER";
const SEED: &str = "BRAID_CHAIN_KILL_SEED";
const BLOCKS: u64 = 60;
/// Bytes of the store's cache: little, so that reads reach the files.
const CACHE: u64 = 1 << 20;

fn store(folder: &ChainFolder) -> EmbeddedStore {
    EmbeddedStore::open_with_cache(&folder.store(), CACHE).expect("the store opens")
}

/// Executes the rest of the stream and says after each block which one is durable.
fn go_on(folder: &Path, stream: &Stream) {
    let folder = ChainFolder::open(folder).expect("the folder is free");
    let mut config = ChainConfig::default();
    config.executor.workers = 2.try_into().expect("some");
    let mut chain = Chain::open(store(&folder), config).expect("a chain");
    let begin = (chain.head().number - stream.head.number) as usize;
    for (block, hash) in &stream.blocks[begin..] {
        let block = ChainBlock { block: block.clone(), hash: *hash, ..ChainBlock::default() };
        chain.execute(block).expect("a valid block");
        report(chain.durable().number);
    }
    report(chain.flush().expect("it is written").number);
}

fn report(number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "durable {number}").and_then(|()| out.flush()).expect("the parent listens");
}

#[test]
#[ignore = "the process that `a_killed_process_loses_nothing_durable` kills"]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let seed = env::var(SEED).expect("a seed").parse().expect("a number");
    go_on(folder.as_ref(), &Stream::new(seed, BLOCKS));
}

/// Starts the child, kills it after `delay` from its first report on, and returns the last block that
/// it reported durable.
fn killed(folder: &Path, seed: u64, delay: Duration) -> u64 {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["kill::child", "--exact", "--ignored", "--nocapture"]);
    command.env(FOLDER, folder).env(SEED, seed.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut durable = 0;
    let mut hear = |line: String| {
        // The test harness writes on the same line.
        let number = line.rsplit_once("durable ").and_then(|(_, number)| number.parse().ok());
        durable = number.unwrap_or(0_u64).max(durable);
        number.is_some()
    };
    while lines.next().is_some_and(|line| !hear(line.expect("text"))) {}
    std::thread::sleep(delay);
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    for line in lines.map_while(Result::ok) {
        hear(line);
    }
    durable
}

/// Checks what is in the folder, and returns the last block.
fn check(folder: &Path, stream: &Stream, durable: u64) -> u64 {
    let folder = ChainFolder::open(folder).expect("the folder is free");
    let reader = open(&store(&folder)).expect("a chain");
    let number = reader.head().number;
    assert!(number >= durable, "block {durable} was reported durable, the store ends at {number}");
    verify(&reader).expect("all is as it must be");
    let state = &stream.states[(number - stream.head.number) as usize];
    assert_eq!(contents(&reader), state.contents(), "after block {number}");
    number
}

#[test]
fn a_killed_process_loses_nothing_durable() {
    let kills = env::var("BRAID_CHAIN_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(12);
    let first = env::var("BRAID_CHAIN_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(1_u64);
    let (mut done, mut seed) = (0, first);
    while done < kills {
        let stream = Stream::new(seed, BLOCKS);
        let temporary = tempfile::tempdir().expect("a folder");
        let path = temporary.path();
        let folder = ChainFolder::create(path).expect("a new folder");
        create(&store(&folder), b"{}", &stream.states[0].batch(stream.head), StateRoots::Computed)
            .expect("created");
        drop(folder);
        let last = stream.head.number + BLOCKS;
        let (mut head, mut times) = (stream.head.number, 0);
        while head < last && done < kills {
            let random = keccak256([seed, times].map(u64::to_be_bytes).concat());
            let delay =
                Duration::from_micros(u64::from(u16::from_be_bytes([random[0], random[1]])));
            let durable = killed(path, seed, delay);
            head = check(path, &stream, durable);
            println!("seed {seed}: killed {delay:?} after the first report, store at block {head}");
            (done, times) = (done + 1, times + 1);
        }
        // The rest, by this process.
        go_on(path, &stream);
        assert_eq!(check(path, &stream, last), last);
        seed += 1;
    }
}
