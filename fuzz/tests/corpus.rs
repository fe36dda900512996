//! Replays the inputs that fuzzing starts from, and those that it has found: `corpus` and
//! `regressions`.
//!
//! 1. Every input is right with the shipped code.
//! 2. The corpus of each target notices seeded bugs.
//!
//! `BRAID_CORPUS` names another folder than `corpus` for the first test.

use braid_evm::runtime::simulated::Random;
use braid_fuzz::seeded::Seeded;
use braid_fuzz::targets::{
    ALLOY, BLOCK_EQUIVALENCE, BLOCK_FILE, BUNDLE, BYTECODE, CHAIN, DECLARED, FEES, FORKS, GENESIS,
    JOURNALS, JSON_RPC, LISTS, POOL, PROTOCOL_EVENTS, RLP, STRATEGIES, TARGETS, Target,
    VERSION_CHAIN,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Returns the inputs of `target` in `folder`, by name.
fn inputs(folder: &Path, target: Target) -> Vec<(String, Vec<u8>)> {
    let folder = folder.join(target.name);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.retain(|path| !path.ends_with(".gitkeep"));
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("the file can be read");
        (path.display().to_string(), bytes)
    };
    paths.into_iter().map(read).collect()
}

fn here(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn replay(target: Target) {
    let corpus = std::env::var_os("BRAID_CORPUS").map_or_else(|| here("corpus"), PathBuf::from);
    let started_from = inputs(&corpus, target);
    assert!(!started_from.is_empty(), "no inputs in {corpus:?} for {}", target.name);
    for (name, bytes) in started_from.into_iter().chain(inputs(&here("regressions"), target)) {
        for checked in [target.check_chosen(&bytes), target.check(&bytes)] {
            checked.unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        }
    }
}

#[test]
fn random_blocks_are_right() {
    replay(BLOCK_EQUIVALENCE);
}

#[test]
fn strategies_are_right() {
    replay(STRATEGIES);
}

#[test]
fn fees_are_right() {
    replay(FEES);
}

#[test]
fn forks_are_right() {
    replay(FORKS);
}

#[test]
fn journals_are_right() {
    replay(JOURNALS);
}

#[test]
fn bundles_are_right() {
    replay(BUNDLE);
}

#[test]
fn lists_are_right() {
    replay(LISTS);
}

#[test]
fn declared_accesses_are_right() {
    replay(DECLARED);
}

#[test]
fn arbitrary_bytecode_is_right() {
    replay(BYTECODE);
}

#[test]
fn block_files_are_right() {
    replay(BLOCK_FILE);
}

#[test]
fn version_chains_are_right() {
    replay(VERSION_CHAIN);
}

#[test]
fn orders_of_events_are_right() {
    replay(PROTOCOL_EVENTS);
}

#[test]
fn pools_are_right() {
    replay(POOL);
}

#[test]
fn chains_are_right() {
    replay(CHAIN);
}

#[test]
fn blocks_over_one_state_are_right() {
    replay(ALLOY);
}

#[test]
fn genesis_files_are_right() {
    replay(GENESIS);
}

#[test]
fn responses_are_right() {
    replay(JSON_RPC);
}

#[test]
fn encodings_are_right() {
    replay(RLP);
}

/// Whether the target finds something wrong with the bug; a panic counts.
fn is_noticed(bug: Seeded, target: Target, bytes: &[u8]) -> bool {
    let checked = catch_unwind(AssertUnwindSafe(|| bug.with(|| target.check(bytes))));
    !matches!(checked, Ok(Ok(())))
}

#[test]
fn every_target_has_inputs_that_notice_seeded_bugs() {
    let mut survivors = Vec::new();
    for target in TARGETS {
        let inputs = inputs(&here("corpus"), target);
        for bug in Seeded::of(target.name) {
            let notices = |bytes: &[u8]| is_noticed(bug, target, bytes);
            // Some inputs run on threads, which interleave at random.
            let noticed = (0..3).find_map(|_| inputs.iter().find(|(_, bytes)| notices(bytes)));
            match noticed {
                Some((name, _)) => println!("{bug:?}: {name}"),
                None => survivors.push((target.name, bug)),
            }
        }
    }
    assert!(survivors.is_empty(), "survived: {survivors:#?}");
}

/// Number of consecutive runs in which an input must notice a bug before it is kept for it.
const ALWAYS: u32 = 40;

/// Searches for inputs that notice bugs which no input notices yet, after changes to bugs or
/// targets: `cargo test -p braid-fuzz --test corpus -- --ignored`.
#[test]
#[ignore = "writes into the corpus"]
fn inputs_are_found_for_bugs_that_survive() {
    let mut random = Random::new(1);
    let mut next = || random.next_u64();
    for target in TARGETS {
        let inputs = inputs(&here("corpus"), target);
        let is_wrong = |bytes: &[u8], bug: Seeded| is_noticed(bug, target, bytes);
        let noticed = |bug: &Seeded| inputs.iter().any(|(_, bytes)| is_wrong(bytes, *bug));
        for bug in Seeded::of(target.name).into_iter().filter(|bug| !noticed(bug)) {
            let found = (0..400_000).find_map(|_| {
                let length = 24 + next() % 400;
                let mut bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
                // What leads far into a block is more often found near an input that does.
                if let Some((_, known)) = inputs.get(next() as usize % (2 * inputs.len())) {
                    let from = next() as usize % (known.len() + 1);
                    let kept = known[..from].iter().copied();
                    let end = bytes.len().min(known.len());
                    bytes = kept.chain(bytes[..end].iter().copied()).collect();
                }
                // Threads interleave at random, and hash tables have random seeds.
                let notices = |_| is_wrong(&bytes, bug);
                let is_right = || target.check(&bytes).is_ok();
                ((0..ALWAYS).all(notices) && is_right()).then_some(bytes)
            });
            let bytes = found.unwrap_or_else(|| panic!("nothing notices {bug:?}"));
            let name = format!("{}/finds-{bug:?}", target.name);
            println!("{name}");
            std::fs::write(here("corpus").join(name), bytes).expect("the folder can be written");
        }
    }
}
