//! Memory mappings and threads do not grow with the number of inputs: a fuzzer runs millions in one
//! process. The test is alone in its program, because the counts are per process.
#![cfg(target_os = "linux")]

use braid_fuzz::generate::bytes_of_seed;
use braid_fuzz::targets::{
    ALLOY, BUNDLE, CHAIN, DECLARED, FEES, FORKS, JOURNALS, JSON_RPC, LISTS, POOL, STRATEGIES,
    Target,
};
use std::fs;

/// Targets with threads, fibers, or stores.
const TARGETS: [Target; 11] =
    [STRATEGIES, FEES, FORKS, JOURNALS, BUNDLE, LISTS, DECLARED, ALLOY, POOL, CHAIN, JSON_RPC];
/// Number of inputs of a target before the first count, and of those after it, which may add nothing.
const INPUTS: u64 = 250;
/// Length of an input in bytes.
const LENGTH: usize = 700;
/// Number by which the counts may differ, because executors with more or fewer workers are kept. So a
/// mapping that is lost with every second input is noticed.
const SLACK: usize = INPUTS as usize / 2;

/// Returns the numbers of mappings and of threads of this process.
fn counts() -> [usize; 2] {
    let mappings = fs::read_to_string("/proc/self/maps").expect("Linux");
    let threads = fs::read_dir("/proc/self/task").expect("Linux");
    [mappings.lines().count(), threads.count()]
}

fn run(target: Target, seeds: core::ops::Range<u64>) {
    for seed in seeds {
        let checked = target.check_chosen(&bytes_of_seed(seed, LENGTH));
        checked.unwrap_or_else(|wrong| panic!("{}, seed {seed}: {wrong}", target.name));
    }
}

#[test]
fn mappings_and_threads_stay() {
    for target in TARGETS {
        run(target, 0..INPUTS);
        let before = counts();
        run(target, INPUTS..2 * INPUTS);
        let after = counts();
        println!("{}: mappings and threads {before:?}, later {after:?}", target.name);
        for (before, after) in before.into_iter().zip(after) {
            assert!(after < before + SLACK, "{}: {before} before, {after} after", target.name);
        }
    }
}
