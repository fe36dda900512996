//! A stream of blocks in a folder: created by this process, continued by another, and checked.

use super::{Stream, contents};
use braid_chain::{
    Chain, ChainBlock, ChainConfig, ChainError, ChainFolder, EmbeddedStore, StateRoots, StateStore,
    create, open, verify,
};
use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

/// Cache size of the store in bytes, so small that reads reach the files.
const CACHE: u64 = 1 << 20;

pub(crate) fn store(folder: &ChainFolder) -> EmbeddedStore {
    EmbeddedStore::open_with_cache(&folder.store(), CACHE).expect("the store opens")
}

/// Creates the chain on which `stream` starts. `table` is the number of bytes that a table keeps in
/// memory.
pub(crate) fn begin(path: &Path, stream: &Stream, table: u64) -> EmbeddedStore {
    try_begin(path, stream, table).expect("created")
}

/// Like [`begin`], but returns the error.
pub(crate) fn try_begin(path: &Path, stream: &Stream, table: u64) -> Result<EmbeddedStore, String> {
    let folder = ChainFolder::create(path).map_err(|error| error.to_string())?;
    let store = EmbeddedStore::open_with_sizes(&folder.store(), CACHE, table)
        .map_err(|error| error.to_string())?;
    create(&store, b"{}", &stream.states[0].batch(stream.head), StateRoots::Computed)
        .map_err(|error| error.to_string())?;
    Ok(store)
}

/// Opens the chain, executes the rest of `stream`, and reports the durable block after each block.
pub(crate) fn go_on<S: StateStore>(
    store: S,
    stream: &Stream,
) -> (Option<Chain<S>>, Result<(), ChainError>) {
    let mut config = ChainConfig::default();
    config.executor.workers = 2.try_into().expect("some");
    let mut chain = match Chain::open(store, config) {
        Ok(chain) => chain,
        Err(error) => return (None, Err(error)),
    };
    let begin = (chain.head().number - stream.head.number) as usize;
    let mut rest = stream.blocks[begin..].iter();
    let done = rest.try_for_each(|(block, hash)| {
        let block = ChainBlock { block: block.clone(), hash: *hash, ..ChainBlock::default() };
        chain.execute(block)?;
        report("durable", chain.durable().number);
        Ok(())
    });
    let done = done.and_then(|()| {
        report("durable", chain.flush()?.number);
        Ok(())
    });
    (Some(chain), done)
}

/// Reports a value to the parent process.
pub(crate) fn report(what: &str, value: impl core::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {value}").and_then(|()| out.flush()).expect("the parent listens");
}

/// Checks the contents of the folder, and returns the last block.
pub(crate) fn check(folder: &Path, stream: &Stream, durable: u64) -> u64 {
    let folder = ChainFolder::open(folder).expect("the folder is free");
    let reader = open(&store(&folder)).expect("a chain");
    let number = reader.head().number;
    assert!(number >= durable, "block {durable} was reported durable, the store ends at {number}");
    verify(&reader).expect("all is as it must be");
    let state = &stream.states[(number - stream.head.number) as usize];
    assert_eq!(contents(&reader), state.contents(), "after block {number}");
    number
}

/// A test of this program in a child process.
pub(crate) struct Child {
    process: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    /// The last block that the process reported durable.
    pub(crate) durable: u64,
    /// The reason it reported for its end.
    pub(crate) ended: Option<String>,
}

impl Child {
    /// Starts the ignored test `name`; `set` sets its environment.
    pub(crate) fn start(name: &str, set: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args([name, "--exact", "--ignored", "--nocapture"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        set(&mut command);
        let mut process = command.spawn().expect("it starts");
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Self { process, lines, durable: 0, ended: None }
    }

    /// Reads a line, and returns whether there was one.
    pub(crate) fn hear(&mut self) -> bool {
        let Some(line) = self.lines.next().and_then(Result::ok) else { return false };
        // The test harness prints on the same line.
        if let Some((_, number)) = line.rsplit_once("durable ") {
            self.durable = number.parse().unwrap_or(0).max(self.durable);
        }
        if let Some((_, why)) = line.split_once("ended ") {
            self.ended = Some(why.to_owned());
        }
        true
    }

    /// Kills the process, and reads its output up to that point.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it can be killed");
        self.wait();
    }

    /// Reads the output until the process ends.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        while self.hear() {}
        self.process.wait().expect("it ends")
    }
}
