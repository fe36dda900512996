//! Disks that are full, write partially, fail to sync, or lose power. The process must say which
//! block could not be written, no block reported durable may be lost, and the state must be the one
//! after the last block in the store.
//!
//! The faults are injected by `faults/faults.c`, which the test compiles and preloads between the
//! process and the system.

use crate::{
    streams::within_a_minute,
    support::{Child, Stream, begin, check, go_on, report, store, try_begin},
};
use alloy_primitives::{B256, keccak256};
use braid_chain::{
    Chain, ChainBlock, ChainFolder, EmbeddedStore, Snapshot, StateStore, StoreError, TABLE_BYTES,
    Table, Writes, open,
};
use revm::DatabaseRef;
use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Environment variables of the process with the bad disk, in addition to those of `faults.c`.
const FOLDER: &str = "BRAID_DISK_FOLDER";
const SEED: &str = "BRAID_CHAIN_DISK_SEED";
const BLOCKS: u64 = 60;
const KINDS: [&str; 5] = ["full", "short", "sync", "cut", "tear"];
/// Time limit of a process.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
#[ignore = "the process whose disk is bad"]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let seed = env::var(SEED).expect("a seed").parse().expect("a number");
    end_after(LIMIT);
    let folder: &Path = folder.as_ref();
    let stream = Stream::new(seed, BLOCKS);
    let ended = if folder.join("state").is_dir() {
        on_a_bad_disk(folder, &stream)
    } else {
        try_begin(folder, &stream, TABLE_BYTES).map(|_| ())
    };
    report("ended", ended.err().unwrap_or_else(|| "well".to_owned()));
}

/// Ends the process after `limit`.
fn end_after(limit: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        report("ended", "by its time limit");
        std::process::abort();
    });
}

fn on_a_bad_disk(folder: &Path, stream: &Stream) -> Result<(), String> {
    let folder = ChainFolder::open(folder).map_err(|error| error.to_string())?;
    let store = EmbeddedStore::open_with_cache(&folder.store(), 1 << 20);
    let (chain, done) = go_on(store.map_err(|error| error.to_string())?, stream);
    if let (Some(chain), Err(_)) = (chain, &done) {
        refuses(chain, stream);
    }
    done.map_err(|error| error.to_string())
}

/// Asserts that a chain with a failed store executes nothing more, and that its state is the one
/// after its head.
fn refuses<S: StateStore>(mut chain: Chain<S>, stream: &Stream) {
    let (head, durable) = (chain.head().number, chain.durable());
    if let Ok(state) = chain.state() {
        let after = state.block_hash_ref(head + 1).expect("reads");
        assert_eq!(after, B256::ZERO, "the state has the block that was refused");
    }
    let at = (head - stream.head.number) as usize;
    if let Some((block, hash)) = stream.blocks.get(at) {
        let block = ChainBlock { block: block.clone(), hash: *hash, ..ChainBlock::default() };
        chain.execute(block).expect_err("the store has failed");
    }
    chain.flush().expect_err("the store has failed");
    assert_eq!((chain.head().number, chain.durable()), (head, durable));
}

/// The fault-injection library, and the folder in which it reports.
struct Layer {
    temporary: tempfile::TempDir,
}

/// Report of a process with injected faults.
struct Ran {
    durable: u64,
    ended: Option<String>,
    success: bool,
    /// Whether a fault was injected.
    fault: bool,
    /// Numbers of write and sync calls, if the process ended by itself.
    calls: Option<(u64, u64)>,
}

impl Layer {
    /// Compiles the library; returns `None` where that is impossible.
    fn new() -> Option<Self> {
        if !cfg!(target_os = "linux") {
            println!("skipped: faults of the disk are injected on Linux only");
            return None;
        }
        let temporary = tempfile::tempdir().expect("a folder");
        let layer = Self { temporary };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/faults.c");
        let mut command = Command::new("cc");
        command.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]);
        match command.arg(layer.path("faults.so")).arg(source).status() {
            Ok(status) => assert!(status.success(), "faults.c compiles"),
            Err(why) => {
                let required = env::var_os("BRAID_REQUIRE_FIXTURES").is_some_and(|it| it == "1");
                assert!(!required, "BRAID_REQUIRE_FIXTURES=1, but cc cannot be started: {why}");
                println!("skipped: cc cannot be started: {why}");
                return None;
            }
        }
        Some(layer)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// Executes the rest of the stream in a process whose call number `at` fails in the way of
    /// `kind`.
    fn run(&self, folder: &Path, seed: u64, kind: &str, at: u64) -> Ran {
        self.run_child("disk::child", folder, seed, kind, at)
    }

    fn run_child(&self, test: &str, folder: &Path, seed: u64, kind: &str, at: u64) -> Ran {
        let [told, errors] = ["report", "errors"].map(|name| self.path(name));
        fs::write(&told, "").expect("written");
        let mut child = Child::start(test, |command| {
            command.env(FOLDER, folder).env(SEED, seed.to_string());
            command.env("BRAID_DISK_KIND", kind).env("BRAID_DISK_AT", at.to_string());
            command.env("BRAID_DISK_REPORT", &told).env("LD_PRELOAD", self.path("faults.so"));
            command.stderr(File::create(&errors).expect("created"));
        });
        let success = child.wait().success();
        let errors = fs::read_to_string(&errors).expect("text");
        assert!(!errors.contains("panicked at"), "{errors}");
        let told = fs::read_to_string(&told).expect("text");
        let end = told.lines().find_map(|line| line.strip_prefix("end "));
        let calls = end.and_then(|end| {
            let (writes, syncs) = end.split_once(' ')?;
            Some((writes.parse().ok()?, syncs.parse().ok()?))
        });
        let fault = told.starts_with("fault ");
        Ran { durable: child.durable, ended: child.ended, success, fault, calls }
    }
}

/// Creates the chain on which the stream of `seed` starts, in a new folder. With some seeds the
/// tables write their own files after a few blocks; with some of these the journal is nearly full.
fn begun(seed: u64) -> (tempfile::TempDir, PathBuf, Stream) {
    let stream = Stream::new(seed, BLOCKS);
    let temporary = tempfile::tempdir().expect("a folder");
    let path = temporary.path().canonicalize().expect("it is there");
    let store = begin(&path, &stream, if seed.is_multiple_of(2) { 16 << 10 } else { TABLE_BYTES });
    if seed.is_multiple_of(4) {
        // A journal ends after 64 MB.
        let mut writes = Writes::default();
        writes.put(Table::Codes, [0; 32], vec![0; 63_900_000]);
        store.write(writes).expect("written");
    }
    (temporary, path, stream)
}

/// Asserts the report of a process that did not lose power.
fn ended_as_it_must(ran: &Ran, path: &Path, last: u64) {
    let why = ran.ended.as_deref().expect("it says why it ended");
    assert!(ran.success, "{why}");
    if why == "well" {
        assert_eq!(ran.durable, last);
        return;
    }
    let number = why.strip_prefix("block ").and_then(|why| why.split_once(' '));
    match number {
        Some((number, _)) => assert!(number.parse::<u64>().expect("a number") > ran.durable),
        None => assert!(why.contains(&*path.to_string_lossy()), "it names no block: {why}"),
    }
}

/// Returns the first seed, and the number of faults.
fn variables() -> (u64, u64) {
    let number = |name| env::var(name).ok().and_then(|it| it.parse().ok());
    (number("BRAID_CHAIN_SEED").unwrap_or(1), number("BRAID_CHAIN_FAULTS").unwrap_or(24))
}

/// Draws a kind of fault and the call at which it occurs, from the numbers of write and sync calls.
fn draw(seed: u64, time: u64, writes: u64, syncs: u64) -> (&'static str, u64) {
    let random = keccak256([seed, time].map(u64::to_be_bytes).concat());
    let [kind, at] = [0, 8].map(|at| {
        let bytes = random[at..].first_chunk().expect("8 bytes");
        u64::from_be_bytes(*bytes)
    });
    let kind = KINDS[(kind % 5) as usize];
    let calls = match kind {
        "sync" => syncs,
        "full" | "short" => writes,
        _ => writes + syncs,
    };
    (kind, 1 + at % calls)
}

#[test]
fn a_bad_disk_loses_nothing_durable() {
    let Some(layer) = Layer::new() else { return };
    let (first, faults) = variables();
    let (mut done, mut seed, mut runs) = (0, first, 0);
    while done < faults {
        // A run without faults gives the number of calls.
        let (_counted, path, stream) = begun(seed);
        let last = stream.head.number + BLOCKS;
        let ran = layer.run(&path, seed, "none", 0);
        assert_eq!((ran.ended.as_deref(), ran.durable, ran.fault), (Some("well"), last, false));
        let (writes, syncs) = ran.calls.expect("it ended by itself");
        assert!(writes >= BLOCKS && syncs >= BLOCKS, "the layer sees {writes} and {syncs} calls");
        let (_temporary, path, stream) = begun(seed);
        let (mut head, mut times) = (stream.head.number, 0);
        while head < last && done < faults {
            let rest = |calls: u64| (calls * (last - head) / BLOCKS).max(8);
            let (kind, at) = draw(seed, times, rest(writes), rest(syncs));
            println!("seed {seed}, time {times}: {kind} at call {at}, from block {head} on");
            let ran = layer.run(&path, seed, kind, at);
            if kind != "cut" && kind != "tear" || !ran.fault {
                ended_as_it_must(&ran, &path, last);
            }
            head = check(&path, &stream, ran.durable);
            println!("    durable: {}, in the store: {head}, {:?}", ran.durable, ran.ended);
            (done, times) = (done + u64::from(ran.fault), times + 1);
            runs += 1;
        }
        // Execute the remaining blocks without faults.
        let folder = ChainFolder::open(&path).expect("the folder is free");
        go_on(store(&folder), &stream).1.expect("it is written");
        drop(folder);
        assert_eq!(check(&path, &stream, last), last);
        seed += 1;
    }
    println!("{done} faults in {runs} runs");
}

/// A folder in which creating a chain was interrupted holds a complete chain, or none and can be
/// reused. If fjall was stopped while writing its first files, the folder does not open.
#[test]
fn a_bad_disk_leaves_a_whole_chain_or_none() {
    let Some(layer) = Layer::new() else { return };
    let (seed, faults) = variables();
    let stream = Stream::new(seed, BLOCKS);
    let mut ended = [0; 3];
    let folder = || tempfile::tempdir().expect("a folder");
    let calls = layer.run(&folder().path().canonicalize().expect("it is there"), seed, "none", 0);
    let (writes, syncs) = calls.calls.expect("it ended by itself");
    for time in 0..faults {
        let (kind, at) = draw(seed, time, writes, syncs);
        let temporary = folder();
        let path = temporary.path().canonicalize().expect("it is there");
        println!("seed {seed}, time {time}: {kind} at call {at} of {}", writes + syncs);
        let ran = layer.run(&path, seed, kind, at);
        println!("    {:?}", ran.ended);
        assert!(ran.fault);
        let folder = ChainFolder::create(&path).expect("the folder is free");
        let found = EmbeddedStore::open_with_cache(&folder.store(), 1 << 20);
        let found = found.and_then(|store| open(&store).map(|_| ()));
        let was = match found {
            Ok(()) => 0,
            Err(StoreError::Empty) => 1,
            // As the error advises, the chain is created again in a new folder.
            Err(StoreError::Open { .. }) => {
                fs::remove_dir_all(folder.store()).expect("removed");
                2
            }
            Err(error) => panic!("{error}"),
        };
        drop(folder);
        ended[was] += 1;
        if was > 0 {
            assert_ne!(ran.ended.as_deref(), Some("well"));
            drop(try_begin(&path, &stream, TABLE_BYTES).expect("the folder can be used again"));
        }
        assert_eq!(check(&path, &stream, stream.head.number), stream.head.number);
    }
    let [whole, none, refused] = ended;
    println!("{whole} chains are whole, {none} folders hold none, {refused} do not open");
    assert!(refused <= faults / 8, "{refused} folders do not open");
}

/// Returns a transaction that fills the memory of every table.
fn filling(number: u64) -> Writes {
    let mut writes = Writes::default();
    let value = number.to_be_bytes();
    Table::ALL.into_iter().for_each(|table| writes.put(table, value, value));
    writes
}

/// Number of files that one table must have written.
const FILES: u64 = 30;

/// Returns the highest file number that fjall's worker has used for a table.
fn newest_file(store: &Path) -> u64 {
    let keyspaces = fs::read_dir(store.join("keyspaces")).expect("a folder").flatten();
    let files = keyspaces.filter_map(|it| fs::read_dir(it.path().join("tables")).ok());
    let numbers = files.flatten().flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
    numbers.max().unwrap_or(0)
}

/// Writes transactions that fill the memory of every table, until enough files have been written.
#[test]
#[ignore = "the process whose thread for files is held up"]
fn filler() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    end_after(LIMIT);
    let folder = Path::new(&folder);
    let store = EmbeddedStore::open_with_sizes(folder, 1 << 20, 1).expect("a store");
    let mut number = 0;
    // The worker does not meet a transaction while the files are counted, so they are counted
    // rarely.
    while number % 50 > 0 || newest_file(folder) < FILES {
        number += 1;
        store.write(filling(number)).expect("it is written");
        report("durable", number);
    }
    report("ended", "well");
}

/// fjall's own file thread would deadlock if it were notified of each full table while it is
/// delayed: its queue holds 1,000 messages (fjall-rs/fjall#323).
#[test]
fn a_thread_for_files_that_is_held_up_goes_on() {
    let Some(layer) = Layer::new() else { return };
    let temporary = tempfile::tempdir().expect("a folder");
    let path = temporary.path().canonicalize().expect("it is there");
    let ran = layer.run_child("disk::filler", &path, 0, "hold", 150);
    assert!(ran.fault, "the thread was not held up");
    assert_eq!(ran.ended.as_deref(), Some("well"), "after {} transactions", ran.durable);
    let store = EmbeddedStore::open_with_cache(&path, 1 << 20).expect("a store");
    let snapshot = store.snapshot().expect("it reads");
    let last = ran.durable.to_be_bytes();
    assert_eq!(snapshot.get(Table::Meta, &last).expect("it reads"), Some(last.to_vec()));
}

/// A write fails instead of waiting when the thread that writes the tables' files has ended.
#[test]
fn a_write_does_not_wait_for_a_thread_that_has_ended() {
    let error = within_a_minute(|| {
        let temporary = tempfile::tempdir().expect("a folder");
        // Each transaction fills the memory of all tables, so the files always lag behind.
        let store = EmbeddedStore::open_with_sizes(temporary.path(), 1 << 20, 1).expect("a store");
        let folders = fs::read_dir(temporary.path().join("keyspaces")).expect("a folder");
        let folders = folders.map(|it| it.expect("a folder").path().join("tables"));
        let folders: Vec<_> = folders.filter(|it| it.is_dir()).collect();
        assert!(folders.len() > Table::ALL.len(), "{folders:?}");
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500));
            // Like a full disk, this prevents new files. Removing a folder would fail if a file is
            // created in it at the same time.
            for folder in folders {
                fs::rename(&folder, folder.with_extension("away")).expect("moved away");
            }
        });
        let write = |number| store.write(filling(number));
        (0..).find_map(|number| write(number).err()).expect("an error").to_string()
    });
    assert!(error.contains("an earlier write to its files failed"), "{error}");
}
