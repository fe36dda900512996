//! Compares random blocks with sequential execution: every fork, 1, 2, 3 and 8 workers, forced to
//! speculate, in validate and in build mode, some of them with higher transactions first.
//!
//! `BRAID_SEED=n` replays one block and prints it; `BRAID_RANDOM_BLOCKS=n` tries that many, from
//! that seed on or from 0, and as many of arbitrary bytes.

#[cfg(feature = "mutants")]
use crate::support::chosen::is_chosen;
use braid_blocks::sequential::SequentialOutcome;
use braid_evm::{Config, Executor, Forced, Mode, Policy};
use braid_testkit::generate::Case;
use braid_testkit::hostile::declared::{Declared, honest};
use braid_testkit::lineup::{Lineup, WORKERS};
use braid_testkit::oracle::Expected;
use braid_testkit::spoil::draws;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};
use revm::context::result::ExecutionResult;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

const BLOCKS: u64 = 150;
/// Name in docs/data/seeded_bugs.tsv of these blocks with declarations.
#[cfg(feature = "mutants")]
const DECLARED: &str = "random blocks with declarations";
/// Number of blocks of arbitrary bytes.
const ARBITRARY: u64 = 60;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Counts of occurrences, to make sure that the generator reaches them.
#[derive(Debug, Default)]
struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    fn note(&mut self, what: &'static str, times: usize) {
        *self.0.entry(what).or_default() += times as u64;
    }

    fn note_outcome(&mut self, outcome: &SequentialOutcome) {
        match outcome {
            SequentialOutcome::Executed(ExecutionResult::Success { .. }) => self.note("success", 1),
            SequentialOutcome::Executed(ExecutionResult::Revert { .. }) => self.note("revert", 1),
            SequentialOutcome::Executed(ExecutionResult::Halt { .. }) => self.note("halt", 1),
            SequentialOutcome::Skipped(_) => self.note("skipped", 1),
        }
    }
}

#[test]
fn random_blocks_equal_sequential_execution() {
    let mut lineups = [Mode::Validate, Mode::Build]
        .map(|mode| Lineup::new(Policy::Forced(Forced::Speculative), mode));
    let first = number("BRAID_SEED");
    let count = number("BRAID_RANDOM_BLOCKS").unwrap_or(if first.is_some() { 1 } else { BLOCKS });
    let seeds = first.unwrap_or(0)..first.unwrap_or(0) + count;
    let mut seen = Seen::default();
    for seed in seeds {
        let case = Case::from_seed(seed);
        if count == 1 {
            println!("{case:#?}");
        }
        let (block, database) = (Arc::new(case.block.clone()), case.database());
        for lineup in &mut lineups {
            let compared = match seed % 5 {
                0 => lineup.compare_paced(&block, &database),
                _ => lineup.compare(&block, &database),
            };
            let expected = compared.unwrap_or_else(|difference| {
                panic!("BRAID_SEED={seed}: {:?}: {difference}", block.cfg.spec)
            });
            let Some(output) = expected.output() else {
                seen.note("invalid block", 1);
                continue;
            };
            output.outcomes.iter().for_each(|outcome| seen.note_outcome(outcome));
            let accounts = output.bundle.state.values();
            seen.note("destroyed", accounts.filter(|account| account.was_destroyed()).count());
            seen.note("new code", output.bundle.contracts.len());
            seen.note("logs", output.receipts.iter().map(|receipt| receipt.logs.len()).sum());
            seen.note("requests", output.requests.len());
        }
    }
    let [validate, build] = &lineups;
    seen.note("met", (validate.met + build.met) as usize);
    seen.note("aborted", (validate.aborts + build.aborts) as usize);
    seen.note("speculative", (validate.speculative + build.speculative) as usize);
    println!("{seen:?}");
    if count >= BLOCKS {
        assert_eq!(seen.0.len(), 12, "{seen:?}");
        assert!(seen.0.values().all(|times| *times > 0), "{seen:?}");
    }
}

/// Executes the block of `seed` with declarations on all executors of `lineup`. Every fourth block
/// declares all accesses.
fn check_declared(seed: u64, lineup: &mut Lineup) -> Result<Declared, String> {
    let mut draw = draws(seed);
    let (case, declared);
    if seed.is_multiple_of(4) {
        case = honest(&mut draw);
        declared = Declared::honest(&case.block, &case.database());
    } else {
        case = Case::from_seed(seed);
        declared = Declared::spoiled(&case.block, &case.database(), &mut draw);
    }
    lineup.compare_declared(&declared, &case.database())?;
    Ok(declared)
}

#[test]
fn declared_blocks_equal_sequential_execution() {
    let mut lineup = Lineup::new(Policy::Forced(Forced::Speculative), Mode::Build);
    let first = number("BRAID_SEED");
    let count = number("BRAID_RANDOM_BLOCKS").unwrap_or(if first.is_some() { 1 } else { BLOCKS });
    let (mut kept, mut left) = (0, 0);
    for seed in first.unwrap_or(0)..first.unwrap_or(0) + count {
        let declared = check_declared(seed, &mut lineup)
            .unwrap_or_else(|difference| panic!("BRAID_SEED={seed}: {difference}"));
        left += declared.left().len();
        kept += declared.expected().receipts.len() - declared.left().len();
    }
    println!("{kept} kept to what they declare, {left} did not");
    let is_enough = kept > 1_000 && left > 100 && lineup.speculative > 1_000;
    assert!(is_enough || count < BLOCKS, "{kept}, {left}, {} speculative", lineup.speculative);
}

/// Covers the rows of docs/data/seeded_bugs.tsv that name this test.
#[cfg(feature = "mutants")]
#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn seeded_bugs_of_declarations_are_noticed() {
    let rows = crate::support::evm_rows().into_iter();
    let named = rows.filter(|(_, killers)| killers.iter().any(|it| it == DECLARED));
    let bugs: Vec<_> = named.map(|(bug, _)| bug).collect();
    assert!(!bugs.is_empty());
    for bug in bugs.into_iter().filter(|bug| is_chosen(&format!("{bug:?}"))) {
        let _bug = braid_evm::mutants::seed(bug);
        let mut lineup = Lineup::new(Policy::Forced(Forced::Speculative), Mode::Build);
        let noticed = (0..BLOCKS).find(|seed| check_declared(*seed, &mut lineup).is_err());
        println!("{bug:?}: seed {noticed:?}");
        assert!(noticed.is_some(), "{bug:?} survived");
    }
}

/// No configuration choice except the mode and the reverts changes a result.
#[test]
fn choices_change_nothing() {
    let choices = [
        (1, 1, 0, Policy::Forced(Forced::Speculative)),
        (1, 64, 400_000, Policy::Auto),
        (2, 3, 0, Policy::Auto),
        (3, 2, 50_000, Policy::Forced(Forced::Speculative)),
        (9, 1, 1, Policy::Auto),
        (4, 64, 400_000, Policy::Sequential),
    ];
    for (max_speculative_runs, window_per_worker, patience, policy) in choices {
        for workers in WORKERS {
            let workers = NonZeroU16::new(workers).expect("not 0");
            let mut config = Config::with_workers(workers);
            config.engine.mode = Mode::Build;
            config.engine.max_speculative_runs = max_speculative_runs;
            config.engine.window_per_worker = window_per_worker;
            config.engine.patience = patience;
            config.policy = policy;
            config.engine.share_journals = patience != 1;
            config.engine.cache_keccak = patience != 1;
            config.learn = patience != 1;
            let mut executor = Executor::new(config).expect("threads start");
            for seed in 0..40 {
                let case = Case::from_seed(seed);
                let expected = Expected::new(&case.block, Mode::Build, &case.database());
                let found = executor.block(case.block.clone()).database(case.database()).execute();
                expected.compare(&found).unwrap_or_else(|difference| {
                    panic!("BRAID_SEED={seed}: {config:?}: {difference}")
                });
            }
        }
    }
}

/// Without reverts, all other results are equal.
#[test]
fn reverts_are_left_out() {
    for workers in WORKERS {
        let mut config = Config::with_workers(NonZeroU16::new(workers).expect("not 0"));
        config.engine.mode = Mode::Build;
        // Three workers: two more build the bundle while the caller continues.
        config.policy = if workers == 3 { Policy::Sequential } else { Policy::Auto };
        let mut with = Executor::new(config).expect("threads start");
        config.reverts = false;
        let mut without = Executor::new(config).expect("threads start");
        for seed in 0..40 {
            let case = Case::from_seed(seed);
            let found = with.block(case.block.clone()).database(case.database()).execute();
            let Ok(with) = found else { continue };
            let without = without
                .block(case.block.clone())
                .database(case.database())
                .execute()
                .expect("the same");
            assert_eq!(with.outcomes, without.outcomes, "seed {seed}");
            assert_eq!(with.bundle.state, without.bundle.state, "seed {seed}");
            assert_eq!(with.bundle.contracts, without.bundle.contracts, "seed {seed}");
            assert!(without.bundle.reverts.iter().all(Vec::is_empty), "seed {seed}");
            assert_eq!(without.bundle.reverts_size, 0, "seed {seed}");
        }
    }
}

/// Arbitrary bytes make a block. A block with a wrong result is shrunk, and can be kept as an input
/// of the fuzzer.
#[test]
fn blocks_of_arbitrary_bytes_equal_sequential_execution() {
    if number("BRAID_SEED").is_some() {
        return;
    }
    let cases = number("BRAID_RANDOM_BLOCKS").unwrap_or(ARBITRARY);
    let cases = u32::try_from(cases).expect("fewer");
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let bytes = prop::collection::vec(any::<u8>(), 0..2_000);
    let lineup = RefCell::new(Lineup::new(Policy::Forced(Forced::Speculative), Mode::Build));
    let result = TestRunner::new(config).run(&bytes, |bytes| {
        let case = Case::from_bytes(&bytes);
        let compared = lineup.borrow_mut().compare(&Arc::new(case.block.clone()), &case.database());
        compared.map(drop).map_err(|difference| TestCaseError::fail(difference.to_string()))
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(difference, bytes)) => {
            panic!("{difference}\n{bytes:?}\n{:#?}", Case::from_bytes(&bytes))
        }
        Err(TestError::Abort(reason)) => panic!("no block was judged: {reason}"),
    }
}
