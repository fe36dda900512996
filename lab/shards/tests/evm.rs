//! Compares EVM blocks on 2 to 64 shards with sequential execution: generated blocks, valid random
//! hostile blocks, and real ones. Outcomes, receipts, and every changed account and slot must be
//! equal, whatever the network does.
//!
//! `BRAID_SHARDS_BLOCKS=n` takes `n` random and `n` real blocks, evenly spaced.

use braid_blocks::block::Block;
use braid_blocks::block_file::{BlockFile, is_block_file_name};
use braid_blocks::{sequential, workload};
use braid_evm::runtime::simulated::Random;
use braid_shards::evm::{EvmKey, RecordError, compare, hash, record};
use braid_shards::{Agreed, Options, Placement, ShardId, Traffic, simulate};
use braid_testkit::generate::Case;
use revm::DatabaseRef;
use std::path::PathBuf;

/// Number of random blocks.
const RANDOM: u64 = 120;
/// Number of real blocks.
const REAL: usize = 8;
/// Numbers of shards.
const SHARDS: [u16; 6] = [2, 3, 4, 8, 16, 64];

fn wanted() -> Option<u64> {
    let wanted = std::env::var("BRAID_SHARDS_BLOCKS").ok();
    wanted.map(|count| count.parse().expect("a number"))
}

/// Executes `block` on `shards` shards, and returns the network statistics.
fn run<D: DatabaseRef>(
    block: &Block,
    database: &D,
    shards: u16,
    options: Options,
) -> Result<Traffic, String> {
    let expected = sequential::execute(block, database).map_err(|error| error.to_string())?;
    let placement = Placement::by_hash(shards, hash);
    let recorded = record(block, database, shards, |address| placement.home(address));
    let mut recorded = recorded.map_err(|error| error.to_string())?;
    let window = [2, 20, 100_000][Random::new(options.seed).below(3) as usize];
    let home = |key: &EvmKey| key.home(|address| placement.home(address));
    let agreed = Agreed::new(recorded.take_entries(), shards, window, home);
    let simulated =
        simulate(&agreed, &recorded.base, options).map_err(|error| error.to_string())?;
    compare(&recorded, &agreed, &simulated, &expected)?;
    Ok(simulated.traffic)
}

#[test]
fn generated_blocks_equal_sequential_execution() {
    for (index, file) in workload::demo(3).expect("a chain").iter().enumerate().take(2) {
        let (block, database) = file.to_block().expect("a block");
        for (seed, shards) in SHARDS.iter().enumerate() {
            let options = Options::faulty(seed as u64 + 100 * index as u64);
            let traffic = run(&block, &database, *shards, options);
            let traffic =
                traffic.unwrap_or_else(|why| panic!("{shards} shards, {options:?}: {why}"));
            assert!(traffic.values > 100, "{traffic:?}");
        }
    }
}

#[test]
fn random_blocks_equal_sequential_execution() {
    let (mut blocks, mut values) = (0, 0);
    for seed in 0..wanted().unwrap_or(RANDOM) {
        let case = Case::from_seed(seed);
        let (block, database) = (Block::from(&case.block), case.database());
        if block.rules.dao_fork || sequential::execute(&block, &database).is_err() {
            continue;
        }
        let shards = SHARDS[seed as usize % SHARDS.len()];
        let traffic = run(&block, &database, shards, Options::faulty(seed));
        let spec = block.cfg.spec;
        values += traffic.unwrap_or_else(|why| panic!("seed {seed}, {spec:?}: {why}")).values;
        blocks += 1;
    }
    println!("{blocks} valid random blocks, {values} messages with values");
    assert!(blocks > 20 && values > 100, "{blocks}, {values}");
}

#[test]
fn an_invalid_block_is_refused() {
    let invalid = (0..500).map(Case::from_seed).find(|case| {
        let block = Block::from(&case.block);
        !block.rules.dao_fork && sequential::execute(&block, case.database()).is_err()
    });
    let case = invalid.expect("some are invalid");
    let refused = record(&Block::from(&case.block), &case.database(), 2, |_| ShardId(0));
    assert!(matches!(refused, Err(RecordError::Invalid { .. })), "{refused:?}");
}

fn real_blocks() -> Option<Vec<PathBuf>> {
    let fixtures = std::env::var_os("BRAID_FIXTURES").map(PathBuf::from);
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let folder = fixtures.unwrap_or(beside).join("blocks");
    let entries = std::fs::read_dir(folder).ok()?;
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let mut paths: Vec<_> = paths
        .filter(|path| is_block_file_name(&path.file_name().unwrap_or_default().to_string_lossy()))
        .collect();
    paths.sort();
    Some(paths)
}

#[test]
fn real_blocks_equal_sequential_execution() {
    let Some(files) = real_blocks() else {
        let required = std::env::var_os("BRAID_REQUIRE_FIXTURES");
        assert!(required.is_none(), "there are no real blocks");
        println!("skipped: no real blocks; set BRAID_FIXTURES");
        return;
    };
    let count = wanted().map_or(REAL, |count| count as usize);
    let (mut equal, mut left_out) = (0, 0);
    for (seed, path) in files.iter().step_by(files.len().div_ceil(count.max(1))).enumerate() {
        let file = BlockFile::read(path).unwrap_or_else(|error| panic!("{error}"));
        let (block, database) = file.to_block().unwrap_or_else(|error| panic!("{path:?}: {error}"));
        if block.rules.dao_fork {
            left_out += 1;
            continue;
        }
        let shards = SHARDS[seed % SHARDS.len()];
        let options = Options::faulty(seed as u64);
        let traffic = run(&block, &database, shards, options);
        let traffic = traffic.unwrap_or_else(|why| panic!("{path:?}, {shards} shards: {why}"));
        println!(
            "{path:?}: {} transactions, {shards} shards, {traffic:?}",
            block.transactions.len()
        );
        equal += 1;
    }
    println!("{equal} real blocks equal, {left_out} left out (DAO fork)");
    assert!(equal > 0);
}
