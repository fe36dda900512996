//! Databases that fail. An error surfaces only if sequential execution meets it, and then it is the
//! same error at the same transaction, with the same transactions committed before it.

use crate::support::scene::{Scene, call, pay};
use alloy_primitives::{Address, U256};
use braid_blocks::code::Code;
use braid_blocks::faulty::{Fault, Faults};
use braid_blocks::hooked::Read;
use braid_evm::{BlockErrorKind, BlockPosition, Forced, Mode, Policy};
use braid_testkit::generate::Case;
use braid_testkit::lineup::{Lineup, SETTINGS, WORKERS, executor};
use braid_testkit::oracle::{Expected, compare_prefix};
use braid_testkit::pace::Gate;
use revm::bytecode::opcode;
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;
use std::time::Duration;

/// Returns all reads of sequential execution.
fn places(case: &Case, mode: Mode) -> Vec<Read> {
    let reads = Faults::new(Fault::Never);
    let _ = Expected::new(&case.block, mode, &reads.of(case.database()));
    reads.asked().into_iter().collect()
}

#[test]
fn an_unreadable_place_gives_the_error_of_sequential_execution() {
    let mut lineups = [Mode::Validate, Mode::Build]
        .map(|mode| (mode, Lineup::new(Policy::Forced(Forced::Speculative), mode)));
    let (mut failed, mut tried) = (0, 0);
    for seed in 0..60 {
        let case = Case::from_seed(seed);
        let block = Arc::new(case.block.clone());
        for (mode, lineup) in &mut lineups {
            let places = places(&case, *mode);
            let step = 1 + places.len() / 8;
            for place in places.into_iter().skip(seed as usize % step).step_by(step) {
                let database = Fault::At(place).of(case.database());
                let expected = lineup.compare(&block, &database);
                let expected = expected.unwrap_or_else(|difference| {
                    panic!("seed {seed}, {mode:?}, {place:?}: {difference}")
                });
                failed += u32::from(expected.error().is_some());
                tried += 1;
            }
        }
    }
    assert!(failed > tried / 2, "{failed} of {tried} blocks failed");
}

/// Returns a location that is read only on a wrong guess, because the first transaction blocks the
/// path to it.
fn wrong_way(place: Address) -> (Scene, Address) {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol] = scene.senders();
    let open =
        Code::new().op(opcode::CALLDATASIZE).if_nonzero(|code| code.sstore(0, 1).op(opcode::STOP));
    let open =
        open.sload(0).op(opcode::ISZERO).if_nonzero(|code| code.balance(place).sstore_top(1));
    let door = scene.contract(0, open.increment(2, 1));
    scene.send(alice, crate::support::scene::call_with(door, 1));
    scene.send(bob, call(door));
    scene.send(carol, call(door));
    (scene, door)
}

#[test]
fn an_error_that_only_a_wrong_guess_meets_does_not_surface() {
    let place = Address::repeat_byte(0x4f);
    let (scene, _) = wrong_way(place);
    let block = Arc::new(scene.block.clone());
    let mut faults = 0;
    for workers in &WORKERS[1..] {
        let mut executor = executor(*workers, Policy::Forced(Forced::Speculative), Mode::Validate);
        for _ in 0..30 {
            let fault = Faults::new(Fault::At(Read::Account(place)));
            let faulty = fault.of(scene.database());
            let gate = Arc::new(Gate::pairs(&block, 0, Duration::from_millis(50)));
            let database = gate.guard(faulty.clone());
            let found = executor.block(Arc::clone(&block)).database(database).execute();
            let expected = Expected::new(&block, Mode::Validate, &faulty);
            assert!(expected.output().is_some());
            expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
            faults += fault.count();
        }
    }
    assert!(faults > 0, "no transaction ever went the wrong way");
}

/// A database that fails permanently from some read on: the committed prefix is right, and the
/// executor stays usable (I13).
#[test]
fn a_database_that_breaks_down_leaves_a_valid_prefix() {
    for mode in [Mode::Validate, Mode::Build] {
        for (workers, policy) in SETTINGS {
            let mut executor = executor(workers, policy, mode);
            for seed in 0..25 {
                let case = Case::from_seed(seed);
                let block = Arc::new(case.block.clone());
                let log = Faults::new(Fault::Never);
                let whole = log.of(case.database());
                let expected = Expected::new(&block, mode, &whole);
                let reads = log.reads();
                for first in (0..reads).step_by(1 + reads as usize / 6) {
                    for fault in [Fault::From(first), Fault::Once(first)] {
                        let text = format!("seed {seed}, {workers} workers, {fault:?}");
                        let database = fault.of(case.database());
                        match executor.block(Arc::clone(&block)).database(database).execute() {
                            Err(error) if matches!(error.kind, BlockErrorKind::Base(_)) => {
                                let committed = &error.committed;
                                if let BlockPosition::Transaction(tx) = error.at {
                                    assert_eq!(tx.position(), committed.outcomes.len(), "{text}");
                                    check_prefix(&case, mode, committed, &text);
                                }
                            }
                            // The block ended before the failing read.
                            found => expected
                                .compare(&found)
                                .unwrap_or_else(|difference| panic!("{text}: {difference}")),
                        }
                    }
                }
                let found = executor.block(block).database(whole).execute();
                expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
            }
        }
    }
}

fn check_prefix(case: &Case, mode: Mode, committed: &braid_evm::BlockOutput, text: &str) {
    let database = case.database();
    // The oracle cannot stop before the system calls at the end, which may fail.
    if Expected::new(&case.block, mode, &database).output().is_none() {
        return;
    }
    if let Err(difference) = compare_prefix(&case.block, mode, &database, committed, false) {
        panic!("{text}: committed: {difference}");
    }
}

/// Speculative errors are dropped, not cached: the second try may succeed.
#[test]
fn an_error_is_forgotten_once_it_is_gone() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let senders: [Address; 4] = scene.senders();
    for _ in 0..10 {
        for (index, sender) in senders.into_iter().enumerate() {
            scene.send(sender, pay(senders[(index + 1) % 4], 1));
        }
    }
    let block = Arc::new(scene.block.clone());
    let mut executor = executor(3, Policy::Forced(Forced::Speculative), Mode::Validate);
    let good = Fault::Never.of(scene.database());
    let expected = Expected::new(&block, Mode::Validate, &good);
    for place in senders {
        let bad = Fault::At(Read::Account(place)).of(scene.database());
        let error =
            executor.block(Arc::clone(&block)).database(bad).execute().expect_err("unreadable");
        assert!(matches!(error.kind, BlockErrorKind::Base(_)), "{error}");
        let found = executor.block(Arc::clone(&block)).database(good.clone()).execute();
        expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
    }
}

/// A block hash and code by hash are in no read set, but their errors count nevertheless.
#[test]
fn hashes_and_codes_that_cannot_be_read() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol] = scene.senders();
    let code = Code::new().push(990).op(opcode::BLOCKHASH).sstore_top(0);
    let asks = scene.contract(0, code.clone());
    scene.send(alice, pay(bob, 1));
    scene.send(bob, call(asks));
    scene.send(carol, call(asks));
    let block = Arc::new(scene.block.clone());
    let mut lineup = Lineup::new(Policy::Forced(Forced::Speculative), Mode::Validate);
    let hash = alloy_primitives::keccak256(code.bytes());
    for place in [Read::BlockHash(990), Read::Code(hash), Read::Slot(asks, U256::ZERO)] {
        let database = Fault::At(place).of(scene.database());
        let expected = lineup.compare(&block, &database).unwrap_or_else(|text| panic!("{text}"));
        assert!(expected.error().is_some(), "{place:?}");
    }
}
