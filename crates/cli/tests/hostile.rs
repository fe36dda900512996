//! Malicious files: whatever a file contains, reading, converting and executing it ends with a
//! result or an error, never with a panic, and with the same one sequentially and on two workers.
//! The tests are built with overflow checks, including dependencies, so that a wrapped sum would
//! panic.
//!
//! 1. Each leaf of a valid file, replaced with values at and beyond the limits.
//! 2. Each leaf and each branch missing.
//! 3. A valid file, truncated at any position, and with any byte changed.
//! 4. Withdrawals of zero and of the maximum amount, to accounts of every kind.

use braid_blocks::{
    block_file::BlockFile,
    compare::braid,
    sequential::{self, SequentialError, SequentialOutput},
    workload::Workload,
};
use braid_evm::{BlockError, BlockOutput, Config, Executor, Forced, Mode, Policy};
use braid_testkit::hostile::files::{edges, good_file, pointers, remove};
use serde_json::{Value, json};
use std::{convert::Infallible, num::NonZeroU16, sync::Arc};

fn block(workload: Workload) -> Value {
    serde_json::to_value(good_file(workload, 2, 0).expect("generates")).expect("serialises")
}

/// Runs files through every use.
struct Mill {
    validating: Executor,
    building: Executor,
}

impl Mill {
    fn new() -> Self {
        let executor = |mode| {
            let mut config = Config::with_workers(NonZeroU16::new(2).expect("two"));
            (config.engine.mode, config.policy) = (mode, Policy::Forced(Forced::Speculative));
            Executor::new(config).expect("threads start")
        };
        Self { validating: executor(Mode::Validate), building: executor(Mode::Build) }
    }

    /// Uses the file, and returns `true` if it could be executed.
    fn use_up(&mut self, json: &[u8]) -> bool {
        let file = match BlockFile::from_bytes(json) {
            Ok(file) => file,
            Err(error) => {
                assert!(error.to_string().contains("expected"), "{error}");
                return false;
            }
        };
        let _ = file.check_signatures();
        let Ok((block, database)) = file.to_block() else { return false };
        let shared = Arc::new(braid_evm::Block::from(&block));
        let expected = sequential::execute(&block, database.clone());
        same(
            expected,
            self.validating.block(Arc::clone(&shared)).database(database.clone()).execute(),
        );
        let expected = sequential::build(&block, database.clone());
        same(expected, self.building.block(shared).database(database).execute());
        true
    }
}

type Sequential = Result<SequentialOutput, SequentialError<Infallible>>;

#[track_caller]
fn same(expected: Sequential, found: Result<BlockOutput, BlockError<Infallible>>) {
    match (expected, found) {
        (Ok(expected), Ok(found)) => {
            let differences = braid::outputs(&expected, &found);
            assert!(differences.is_empty(), "{differences}");
        }
        (Err(expected), Err(found)) => {
            let differences = braid::errors(&expected, &found);
            assert!(differences.is_empty(), "{differences}");
        }
        (Ok(_), Err(found)) => panic!("expected success, found {found}"),
        (Err(expected), Ok(_)) => panic!("expected {expected}, found success"),
    }
}

#[test]
fn no_value_of_any_field_panics() {
    let mut mill = Mill::new();
    let edges = edges();
    for workload in [Workload::Transfers, Workload::Dex] {
        let good = block(workload);
        let mut all = pointers(&good);
        // Storage has many slots that are alike.
        let mut slots = 0;
        all.retain(|at| {
            !at.contains("/storage/") || {
                slots += 1;
                slots <= 3
            }
        });
        let mut executed = 0;
        for at in &all {
            for edge in &edges {
                let mut bad = good.clone();
                *bad.pointer_mut(at).expect("it is there") = edge.clone();
                executed += u32::from(mill.use_up(bad.to_string().as_bytes()));
            }
        }
        println!("{workload}: {} fields, {executed} variants executed", all.len());
        assert!(executed > 100, "the edges are not at the edge");
    }
}

#[test]
fn no_missing_field_panics() {
    let mut mill = Mill::new();
    let good = block(Workload::Transfers);
    for at in &pointers(&good) {
        let mut bad = good.clone();
        remove(&mut bad, at);
        assert_ne!(bad, good, "{at}");
        mill.use_up(bad.to_string().as_bytes());
    }
}

#[test]
fn no_broken_bytes_panic() {
    let mut mill = Mill::new();
    let good = block(Workload::Transfers).to_string().into_bytes();
    let packed = zstd::encode_all(&good[..], 3).expect("in memory");
    for bytes in [&good, &packed] {
        for end in (0..bytes.len()).step_by(bytes.len() / 200 + 1) {
            assert!(!mill.use_up(&bytes[..end]), "cut at {end}");
        }
        for at in (0..bytes.len()).step_by(bytes.len() / 400 + 1) {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            mill.use_up(&bad);
        }
    }
}

#[test]
fn withdrawals_at_the_edges_are_the_same() {
    let mut mill = Mill::new();
    let good = block(Workload::Transfers);
    let accounts = good["pre_state"].as_object().expect("an object");
    let mut addresses: Vec<String> = accounts.keys().cloned().collect();
    addresses
        .extend(["0x01", "0x5e", "0x00"].map(|end| format!("0x{}{}", "0".repeat(38), &end[2..])));
    addresses.push(good["block"]["miner"].as_str().expect("hex").to_owned());
    for address in &addresses {
        for amounts in [&["0x0"][..], &["0x1"], &["0x0", "0x1"], &["0xffffffffffffffff"; 3]] {
            let withdrawal = |amount: &&str| {
                let (index, validator) = ("0x0", "0x1");
                json!({
                    "index": index, "validatorIndex": validator, "address": address,
                    "amount": amount,
                })
            };
            let mut bad = good.clone();
            bad["block"]["withdrawals"] = amounts.iter().map(withdrawal).collect();
            assert!(mill.use_up(bad.to_string().as_bytes()), "{address} {amounts:?}");
        }
    }
}
