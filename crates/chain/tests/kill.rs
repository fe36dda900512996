//! A process that is killed while it writes: no block that it reported durable is lost, and the
//! state is the one after the last block in the store.

use crate::support::{Child, Stream, begin, check, go_on, store};
use alloy_primitives::keccak256;
use braid_chain::{ChainFolder, TABLE_BYTES};
use std::{env, path::Path, time::Duration};

/// Environment variables of the killed process: the folder, and the seed of the stream.
const FOLDER: &str = "BRAID_CHAIN_KILL_FOLDER";
const SEED: &str = "BRAID_CHAIN_KILL_SEED";
const BLOCKS: u64 = 60;

/// Executes the rest of the stream.
fn finish(path: &Path, stream: &Stream) {
    let folder = ChainFolder::open(path).expect("the folder is free");
    let (_chain, done) = go_on(store(&folder), stream);
    done.expect("every block is valid, and written");
}

#[test]
#[ignore = "the process that `a_killed_process_loses_nothing_durable` kills"]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let seed = env::var(SEED).expect("a seed").parse().expect("a number");
    finish(folder.as_ref(), &Stream::new(seed, BLOCKS));
}

/// Starts the child, kills it `delay` after its first report, and returns the last block that it
/// reported durable.
fn killed(folder: &Path, seed: u64, delay: Duration) -> u64 {
    let mut child = Child::start("kill::child", |command| {
        command.env(FOLDER, folder).env(SEED, seed.to_string());
    });
    while child.durable == 0 && child.hear() {}
    assert!(child.durable > 0, "the process ended before it reported a durable block");
    std::thread::sleep(delay);
    child.kill();
    child.durable
}

#[test]
fn a_killed_process_loses_nothing_durable() {
    let kills = env::var("BRAID_CHAIN_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(12);
    let first = env::var("BRAID_CHAIN_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(1_u64);
    // A kill after the last block tests nothing and does not count.
    let (mut done, mut late, mut seed) = (0, 0, first);
    while done < kills {
        assert!(late <= done + kills, "{late} of {} kills came after the last block", done + late);
        let stream = Stream::new(seed, BLOCKS);
        let temporary = tempfile::tempdir().expect("a folder");
        let path = temporary.path();
        drop(begin(path, &stream, TABLE_BYTES));
        let last = stream.head.number + BLOCKS;
        let (mut head, mut times) = (stream.head.number, 0);
        while head < last && done < kills {
            let random = keccak256([seed, times].map(u64::to_be_bytes).concat());
            let delay =
                Duration::from_micros(u64::from(u16::from_be_bytes([random[0], random[1]])));
            let durable = killed(path, seed, delay);
            head = check(path, &stream, durable);
            println!("seed {seed}: killed {delay:?} after the first report, store at block {head}");
            let is_late = u64::from(head == last);
            (done, late, times) = (done + 1 - is_late, late + is_late, times + 1);
        }
        // Execute the remaining blocks in this process.
        finish(path, &stream);
        assert_eq!(check(path, &stream, last), last);
        seed += 1;
    }
    println!("{done} kills before the last block, {late} after it");
}
