//! Threads, memory and open files do not grow while blocks execute and fail.

use crate::{
    execution_faults::{random_config, with_lists},
    streams::begun,
    support::{Child, Seen, Stream, Subject, Trouble, Troubled, each_seed, report},
};
use braid_evm::{Config, Executor};
use std::{env, fs, num::NonZeroU16, thread, time::Duration};

/// Environment variable of the measured process: the number of blocks.
const BLOCKS: &str = "BRAID_CHAIN_LEAK_BLOCKS";

/// Number of blocks in a stream, which one chain executes.
const LENGTH: u64 = 25;

/// Growth permitted after the first fifth of the blocks, in KiB.
const TOLERANCE: u64 = 4 << 10;

/// Resources of the process.
#[derive(Clone, Copy, Debug)]
struct Held {
    threads: u64,
    files: usize,
    /// Resident memory in KiB.
    resident: u64,
}

impl Held {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        let files = fs::read_dir("/proc/self/fd").expect("Linux").count();
        Self { threads: number("Threads:"), files, resident: number("VmRSS:") }
    }

    /// Like `now`, once there are `threads` threads: a joined thread is counted for a moment.
    fn settled(threads: u64) -> Self {
        let mut held = Self::now();
        for _ in 0..100 {
            if held.threads == threads {
                break;
            }
            thread::sleep(Duration::from_millis(10));
            held = Self::now();
        }
        held
    }
}

#[test]
#[ignore = "the process that `nothing_grows` measures"]
fn child() {
    let Ok(blocks) = env::var(BLOCKS) else { return };
    let blocks = blocks.parse::<u64>().expect("a number of blocks");
    let streams: Vec<_> = (0..8)
        .map(|seed| {
            let stream = Stream::new(seed, LENGTH);
            let lists = with_lists(seed, &stream);
            (stream, lists)
        })
        .collect();
    // One executor serves all chains.
    let config = Config::with_workers(NonZeroU16::new(3).expect("some"));
    let mut executor = Executor::new(config).expect("threads");
    let mut threads = None;
    let runs = each_seed(0..blocks.div_ceil(LENGTH), move |seed| {
        let threads = *threads.get_or_insert_with(|| Held::now().threads);
        let (stream, lists) = &streams[seed as usize % streams.len()];
        let store = Troubled { inner: begun(stream), trouble: Trouble::new(seed) };
        let (config, executor) = (random_config(seed), &mut executor);
        let mut subject = Subject { stream, store, config, executor, lists, seen: Seen::default() };
        subject.run();
        let seen = subject.seen;
        drop(subject);
        (seen.refused + seen.writer + seen.panicked + seen.cancelled, Held::settled(threads))
    });
    let (before, after) = (runs[runs.len() / 5].1, runs[runs.len() - 1].1);
    let failures: u64 = runs.iter().map(|(failures, _)| failures).sum();
    let grown = after.resident.saturating_sub(before.resident);
    report("ended", format!("{blocks} blocks, {failures} failures, {grown} KiB more: {after:?}"));
    assert!(failures > blocks / 20, "{failures} failures");
    assert_eq!((after.threads, after.files), (runs[0].1.threads, before.files));
    assert!(grown <= TOLERANCE, "{grown} KiB more");
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_grows() {
    let blocks = env::var(BLOCKS).unwrap_or_else(|_| "400".to_owned());
    let mut child = Child::start("leaks::child", |command| {
        // With one arena per thread, free memory of an arena would count as used.
        command.env(BLOCKS, blocks).env("MALLOC_ARENA_MAX", "1");
    });
    let status = child.wait();
    assert!(status.success(), "{:?}", child.ended);
    println!("{}", child.ended.expect("it reports what it has measured"));
}
