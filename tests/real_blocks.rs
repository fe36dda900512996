//! Compares real blocks with sequential execution, on 1, 2, 3 and 8 workers, forced to speculate
//! and with the default strategy: outcomes, receipts, requests, gas, and the bundle with its
//! reverts.
//!
//! `BRAID_REAL_BLOCKS=n` takes `n` evenly spaced blocks instead of [`SAMPLE`]; the tool runs all of
//! them (`cargo xtask blocks`).

use crate::support::fixtures::{block_files, fixtures};
use braid_blocks::block_file::BlockFile;
use braid_evm::{Block, Forced, Mode, Policy};
use braid_testkit::lineup::{Lineup, executor};
use braid_testkit::oracle::Expected;
use braid_testkit::pace::Gate;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Number of real blocks; fewer would mean that some are not recognised any more.
const FIXTURES: usize = 78;
/// Default number of blocks.
const SAMPLE: usize = 26;

/// Returns evenly spaced entries of `files`.
fn sample(files: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    let wanted = std::env::var("BRAID_REAL_BLOCKS").ok();
    let wanted = wanted.map_or(SAMPLE, |count| count.parse().expect("a number"));
    files.iter().step_by(files.len().div_ceil(wanted.max(1)))
}

fn read(path: &Path) -> (Arc<Block>, braid_blocks::block_file::FileDatabase) {
    let file = BlockFile::read(path).unwrap_or_else(|error| panic!("{error}"));
    let (block, database) = file.to_block().unwrap_or_else(|error| panic!("{path:?}: {error}"));
    (Arc::new(Block::from(&block)), database)
}

fn compare_all(policy: Policy) -> Lineup {
    let mut lineup = Lineup::new(policy, Mode::Validate);
    let Some(folder) = fixtures() else { return lineup };
    let files = block_files(&folder);
    assert!(files.len() >= FIXTURES, "only {} block files", files.len());
    for path in sample(&files) {
        let (block, database) = read(path);
        let expected = lineup
            .compare(&block, &database)
            .unwrap_or_else(|difference| panic!("{path:?}: {difference}"));
        assert!(expected.output().is_some(), "{path:?}: {:?}", expected.error());
    }
    println!("{policy:?}: {} aborted, {} speculative", lineup.aborts, lineup.speculative);
    lineup
}

#[test]
fn speculation_equals_sequential_execution() {
    let lineup = compare_all(Policy::Forced(Forced::Speculative));
    assert!(fixtures().is_none() || lineup.speculative > 0, "nothing ran speculatively");
}

#[test]
fn the_automatic_policy_equals_sequential_execution() {
    compare_all(Policy::Auto);
}

/// Runs higher transactions before lower ones, so that real conflicts occur.
#[test]
fn real_conflicts_are_found_out() {
    let Some(folder) = fixtures() else { return };
    let mut executor = executor(3, Policy::Forced(Forced::Speculative), Mode::Validate);
    let (mut met, mut aborts) = (0, 0);
    for (index, path) in block_files(&folder).iter().step_by(3).enumerate() {
        let (block, database) = read(path);
        let expected = Expected::new(&block, Mode::Validate, &database);
        // Some pairs are in one chunk and never meet.
        let gate = Arc::new(Gate::pairs(&block, index, Duration::from_millis(1)));
        let found = executor.block(Arc::clone(&block)).database(gate.guard(database)).execute();
        expected.compare(&found).unwrap_or_else(|difference| panic!("{path:?}: {difference}"));
        met += gate.met();
        aborts += found.map_or(0, |output| output.stats.aborts);
    }
    println!("{met} met, {aborts} aborted");
    assert!(met > 0 && aborts > 0, "{met} met, {aborts} aborted");
}

/// Also in build mode: a valid block has no transaction to skip.
#[test]
fn building_a_valid_block_equals_validating_it() {
    let Some(folder) = fixtures() else { return };
    let mut validating = executor(2, Policy::Forced(Forced::Speculative), Mode::Validate);
    let mut building = executor(2, Policy::Forced(Forced::Speculative), Mode::Build);
    for path in block_files(&folder).iter().step_by(5) {
        let (block, database) = read(path);
        let validated = validating
            .block(Arc::clone(&block))
            .database(database.clone())
            .execute()
            .expect("valid");
        let built = building.block(block).database(database).execute().expect("valid");
        assert_eq!(validated.outcomes, built.outcomes, "{path:?}");
        assert_eq!(validated.receipts, built.receipts, "{path:?}");
        assert_eq!(validated.bundle.state, built.bundle.state, "{path:?}");
    }
}
