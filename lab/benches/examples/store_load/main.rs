//! Measures an embedded store under a chain's load: `docs/DESIGN.md` has the figures.
//!
//! ```text
//! cargo run --profile dist -p braid-benches --example store_load -- fjall 10000000 60
//! cargo run --profile dist -p braid-benches --example store_load -- redb 10000000 60
//! ```
//!
//! Fills a store with accounts, writes blocks of 10,000 changed accounts and 2,000 changed slots,
//! each as one durable transaction, and reads random accounts. Finally, it kills a process that
//! writes such blocks, and opens the store again.

mod load;
mod process;
mod redb;

use crate::redb::Redb;
use braid_chain::{EmbeddedStore, Snapshot, StateStore, StoreError, Table};
use load::Load;
use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Size of each store's cache in bytes.
const CACHE: u64 = 256 << 20;
/// Number of timed reads.
const READS: u64 = 200_000;

type Result<T> = core::result::Result<T, Box<dyn core::error::Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let [_, store, accounts, blocks, rest @ ..] = arguments.as_slice() else {
        return Err("store_load fjall|redb ACCOUNTS BLOCKS".into());
    };
    let (load, blocks) = (Load { accounts: accounts.parse()? }, blocks.parse()?);
    let folder = env::temp_dir().join(format!("braid-store-load-{store}"));
    let child = rest.first().is_some_and(|word| word == "endless");
    match (store.as_str(), child) {
        ("fjall", true) => endless(&fjall(&folder)?, load, blocks),
        ("redb", true) => endless(&Redb::open(&folder, CACHE)?, load, blocks),
        ("fjall", false) => run(store, &folder, load, blocks, fjall),
        ("redb", false) => run(store, &folder, load, blocks, |folder| Redb::open(folder, CACHE)),
        _ => Err(format!("{store}: expected fjall or redb").into()),
    }
}

fn fjall(folder: &Path) -> core::result::Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open_with_cache(folder, CACHE)
}

fn run<S: StateStore>(
    name: &str,
    folder: &Path,
    load: Load,
    blocks: u64,
    open: impl Fn(&Path) -> core::result::Result<S, StoreError>,
) -> Result<()> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    let store = open(folder)?;
    fill(name, &store, load, folder)?;
    write(name, &store, load, blocks, folder)?;
    read(name, &store, load)?;
    drop(store);
    kill(name, folder, load, blocks, open)?;
    fs::remove_dir_all(folder)?;
    Ok(())
}

fn fill<S: StateStore>(name: &str, store: &S, load: Load, folder: &Path) -> Result<()> {
    let begun = Instant::now();
    for batch in load.genesis() {
        store.write(batch)?;
    }
    let (seconds, disk) = (begun.elapsed().as_secs_f64(), process::mib_on_disk(folder)?);
    println!("{name}: {} accounts in {seconds:.1} s, {disk} MiB on disk", load.accounts);
    Ok(())
}

fn write<S: StateStore>(
    name: &str,
    store: &S,
    load: Load,
    blocks: u64,
    folder: &Path,
) -> Result<()> {
    let (written, cpu) = (process::mib_written()?, process::cpu_seconds()?);
    let mut times = Vec::new();
    for number in 1..=blocks {
        let block = load.block(number);
        let begun = Instant::now();
        store.write(block)?;
        times.push(begun.elapsed());
    }
    let seconds: f64 = times.iter().map(Duration::as_secs_f64).sum();
    let changes = (blocks * load::CHANGES) as f64;
    times.sort();
    println!(
        "{name}: {:.0} changes/s; a block of {} takes {:.1} ms (p50), {:.1} (p99), {:.1} (worst); \
         {:.2} us of processor time a change, the making of blocks included; {} MiB written; {} MiB \
         on disk; {} MiB of memory",
        changes / seconds,
        load::CHANGES,
        percentile(&times, 50),
        percentile(&times, 99),
        percentile(&times, 100),
        (process::cpu_seconds()? - cpu) * 1e6 / changes,
        process::mib_written()? - written,
        process::mib_on_disk(folder)?,
        process::mib_of_memory()?,
    );
    Ok(())
}

fn read<S: StateStore>(name: &str, store: &S, load: Load) -> Result<()> {
    let snapshot = store.snapshot()?;
    let mut sets = [Vec::new(), Vec::new()];
    for (absent, times) in sets.iter_mut().enumerate() {
        for index in 0..READS {
            let key = load.key(index, absent == 1);
            let begun = Instant::now();
            let found = snapshot.get(Table::Accounts, &key)?;
            times.push(begun.elapsed());
            assert_eq!(found.is_some(), absent == 0);
        }
        times.sort();
    }
    let [there, absent] = sets.map(|times| {
        let [half, most] = [50, 99].map(|share| percentile(&times, share) * 1e3);
        format!("{half:.2} us (p50), {most:.2} (p99)")
    });
    println!("{name}: an account is read in {there}; one that is absent in {absent}");
    Ok(())
}

/// Kills a process in the middle of its writes and opens the store again.
fn kill<S: StateStore>(
    name: &str,
    folder: &Path,
    load: Load,
    blocks: u64,
    open: impl Fn(&Path) -> core::result::Result<S, StoreError>,
) -> Result<()> {
    let mut command = Command::new(env::current_exe()?);
    command.args([name, &load.accounts.to_string(), &blocks.to_string(), "endless"]);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let mut reported = 0;
    let begun = Instant::now();
    for line in lines {
        reported = line?.parse()?;
        if begun.elapsed() > Duration::from_secs(5) {
            child.kill()?;
        }
    }
    child.wait()?;
    let begun = Instant::now();
    let snapshot = open(folder)?.snapshot()?;
    let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
    let number = load::head(&snapshot)?;
    assert!(number >= reported, "block {reported} was reported, {number} is the last one");
    println!(
        "{name}: killed after block {reported}, opened in {milliseconds:.1} ms at block {number}"
    );
    Ok(())
}

fn endless<S: StateStore>(store: &S, load: Load, blocks: u64) -> Result<()> {
    for number in blocks + 1.. {
        store.write(load.block(number))?;
        println!("{number}");
    }
    Ok(())
}

/// Returns a percentile of sorted times, in milliseconds.
fn percentile(times: &[Duration], share: usize) -> f64 {
    let last = times.len().saturating_sub(1);
    times.get(last * share / 100).map_or(0.0, Duration::as_secs_f64) * 1e3
}
