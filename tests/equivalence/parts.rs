//! Blocks that run in contiguous batches, each on the state before all of them: a batch that does
//! not conflict with the rest commits, and no other.

use crate::support::scene::{BENEFICIARY, Scene, call, create, pay};
use alloy_primitives::{Address, U256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_evm::{Config, Executor, Forced, Mode, Policy, Stats, Strategy};
use braid_testkit::lineup::{Copies, executor};
use braid_testkit::oracle::Expected;
use core::ops::ControlFlow;
use revm::bytecode::opcode::{BALANCE, CALLER, POP, SELFBALANCE, SLOAD, SSTORE};
use revm::context::{CfgEnv, TxEnv};
use revm::primitives::hardfork::SpecId;
use std::num::NonZeroU16;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

pub(crate) fn receiver(number: u64) -> Address {
    Address::left_padding_from(&(number + 5_000_000).to_be_bytes())
}

/// Returns payments without conflicts.
pub(crate) fn payments(count: u64) -> Scene {
    let mut scene = Scene::on(SpecId::OSAKA);
    scene.block.env.gas_limit = 1_000_000_000;
    for number in 0..count {
        // Each payment has a different receipt.
        let data = vec![1; number as usize % 200].into();
        send(&mut scene, number, TxEnv { data, ..pay(receiver(number), 1) });
    }
    // The first batches have 64 transactions at this limit.
    scene.block.transactions.iter_mut().for_each(|tx| tx.gas_limit = 30_000);
    scene
}

pub(crate) fn send(scene: &mut Scene, sender: u64, tx: TxEnv) {
    let sender = scene.sender(sender);
    scene.send(sender, TxEnv { gas_limit: 60_000, ..tx });
}

/// Executes the block with `executor` and compares all results.
#[track_caller]
pub(crate) fn run(executor: &mut Executor, scene: &Scene, database: impl Copies) -> Stats {
    let block = Arc::new(scene.block.clone());
    let expected = Expected::new(&block, Mode::Validate, &scene.database());
    let found = executor.block(block).database(database).execute();
    // Their errors cannot be compared, and there are none.
    let found = found.map_err(|error| panic!("{error}"));
    let compared = expected.compare_with_list(&found, executor.config().access_list);
    compared.unwrap_or_else(|difference| panic!("{difference}"));
    found.expect("a valid block").stats
}

pub(crate) fn seeded(workers: u16, policy: Policy) -> Executor {
    executor(workers, policy, Mode::Validate)
}

/// Batches of two. The third one reads a write of the first, and the fourth does not.
#[test]
pub(crate) fn what_a_part_reads_was_changed_before_it() {
    let mut scene = payments(0);
    let counter = scene.contract(0, Code::new().increment(0, 1));
    let other = scene.contract(1, Code::new().increment(0, 1));
    for (number, tx) in [call(counter), pay(receiver(1), 1), pay(receiver(2), 1), call(other)]
        .into_iter()
        .enumerate()
    {
        send(&mut scene, number as u64, tx);
    }
    send(&mut scene, 4, call(counter));
    for number in 5..9 {
        send(&mut scene, number, pay(receiver(number), 1));
    }
    for workers in [1, 2, 3, 8] {
        let stats = run(
            &mut seeded(workers, Policy::Forced(Forced::ContiguousBatches)),
            &scene,
            scene.database(),
        );
        assert!(stats.contiguous_batches >= 2 && stats.aborts > 0, "{workers}: {stats:?}");
    }
    assert_eq!(scene.play().slot(counter, 0), Some(U256::from(2)));
}

/// Only the last transaction reads the beneficiary's balance; the block adds to it, too.
#[test]
pub(crate) fn what_parts_have_deferred_is_seen_later() {
    let mut scene = payments(6);
    let place = Code::new().address(BENEFICIARY).op(BALANCE).push(7).op(SSTORE);
    let asker = scene.contract(0, place);
    send(&mut scene, 6, pay(receiver(6), 1));
    send(&mut scene, 7, call(asker));
    for workers in [1, 2, 8] {
        let stats = run(
            &mut seeded(workers, Policy::Forced(Forced::ContiguousBatches)),
            &scene,
            scene.database(),
        );
        assert!(stats.contiguous_batches >= 3, "{workers}: {stats:?}");
    }
    let played = scene.play();
    let seen = played.slot(asker, 7).expect("it was written");
    assert!(seen > U256::ZERO, "seven fees were paid by then");
}

/// The block has room for three, and each batch of two would fit by itself.
#[test]
pub(crate) fn parts_without_room_are_not_committed() {
    let mut scene = payments(6);
    scene.block.env.gas_limit = 3 * 21_000 + 9_100;
    for mode in [Mode::Validate, Mode::Build] {
        let block = Arc::new(scene.block.clone());
        let expected = Expected::new(&block, mode, &scene.database());
        for workers in [1, 2, 3] {
            let mut executor = executor(workers, Policy::Forced(Forced::ContiguousBatches), mode);
            let found = executor.block(Arc::clone(&block)).database(scene.database()).execute();
            expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
            // Each transaction of a streamed batch is admitted and committed by itself.
            let request = executor.block(Arc::clone(&block)).database(scene.database());
            let found = request.on_commit(|_| ControlFlow::Continue(())).execute();
            expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
        }
    }
}

/// Gas limits whose sum overflows.
#[test]
fn limits_that_cannot_be_added() {
    let mut scene = payments(6);
    scene.block.cfg = CfgEnv::new_with_spec(SpecId::CANCUN);
    scene.block.env.gas_limit = u64::MAX;
    scene.block.transactions.iter_mut().for_each(|tx| tx.gas_limit = u64::MAX);
    for mode in [Mode::Validate, Mode::Build] {
        let block = Arc::new(scene.block.clone());
        let expected = Expected::new(&block, mode, &scene.database());
        for workers in [1, 2, 3] {
            let mut executor = executor(workers, Policy::Forced(Forced::ContiguousBatches), mode);
            let found = executor.block(Arc::clone(&block)).database(scene.database()).execute();
            expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
            assert_eq!(found.is_ok(), mode == Mode::Build);
        }
    }
}

/// Candidates for many blocks: no batch runs for longer than one block, and none starts without
/// room after the finished batches.
#[test]
fn what_has_no_room_is_not_run() {
    let mut scene = payments(4_000);
    scene.block.env.gas_limit = 200 * 21_000;
    let block = Arc::new(scene.block.clone());
    let expected = Expected::new(&block, Mode::Validate, &scene.database());
    for workers in [2, 3] {
        let mut executor = executor(workers, Policy::Auto, Mode::Validate);
        let found = executor.block(Arc::clone(&block)).database(scene.database()).execute();
        expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
        let stats = found.expect_err("there is no room").committed.stats;
        assert!(stats.contiguous_batches > 0 && stats.incarnations < 1_500, "{workers}: {stats:?}");
    }
}

/// From Amsterdam on, state gas does not count when a transaction is admitted, and regular gas
/// counts once: all transactions run in batches though the receipts' gas exceeds the block's.
#[test]
fn state_gas_of_batches_is_not_counted_for_admission() {
    let mut scene = Scene::on(SpecId::AMSTERDAM);
    // The loads make regular gas the larger part, which the header counts.
    let loads = (0..40).fold(Code::new(), |code, slot| code.push(slot).op(SLOAD).op(POP));
    let store = scene.contract(0, loads.op(CALLER).op(CALLER).op(SSTORE));
    for number in 0..64 {
        send(&mut scene, number, call(store));
    }
    scene.block.transactions.iter_mut().for_each(|tx| tx.gas_limit = 500_000);
    let played = scene.play();
    let used = played.output().gas_used;
    scene.block.env.gas_limit = used + scene.block.transactions[0].gas_limit;
    let of_receipts = played.output().receipts.last().map(|it| it.cumulative_gas_used);
    assert!(of_receipts > Some(scene.block.env.gas_limit), "{of_receipts:?} {used}");
    for workers in [2, 3] {
        let mut executor = seeded(workers, Policy::Forced(Forced::ContiguousBatches));
        let request = executor.block(scene.block.clone()).database(scene.database());
        // A streamed batch has a group for each transaction.
        let found = request.on_commit(|_| ControlFlow::Continue(())).execute();
        let segments = found.expect("a valid block").segments;
        let batched = segments.iter().filter(|it| it.strategy == Strategy::ContiguousBatches);
        let lengths: Vec<_> = batched.map(|it| it.end - it.first).collect();
        let (_, whole) = lengths.split_last().expect("batches are forced");
        let together = 8 * u32::from(workers);
        assert!(whole.iter().all(|length| *length == together), "{workers}: {segments:?}");
    }
}

/// Creations end journals, and destructions affect more than is compared.
#[test]
fn parts_in_which_accounts_come_and_go() {
    let mut scene = payments(3);
    for number in 3..9 {
        send(&mut scene, number, create(deploying(Code::new().increment(number, 1))));
        scene.block.transactions.last_mut().expect("it was sent").gas_limit = 200_000;
        send(&mut scene, number + 100, pay(receiver(number), 1));
    }
    let doomed = scene.contract(5, Code::new().address(receiver(1)).op(0xff));
    send(&mut scene, 200, call(doomed));
    send(&mut scene, 201, pay(receiver(201), 1));
    send(&mut scene, 202, call(doomed));
    for workers in [1, 2, 3, 8] {
        let stats = run(
            &mut seeded(workers, Policy::Forced(Forced::ContiguousBatches)),
            &scene,
            scene.database(),
        );
        assert!(stats.contiguous_batches >= 3, "{workers}: {stats:?}");
    }
    scene.play();
}

/// A contract is paid in a batch that commits, and later called by transactions that do not read
/// its balance. Those run speculatively, because two of them conflict. The block runs many times,
/// because the threads decide which batches commit.
#[test]
pub(crate) fn balances_of_parts_are_filled_in_later() {
    // Calls with data, which do not look like payments.
    let call = |to| TxEnv { data: vec![0].into(), ..call(to) };
    let mut scene = payments(30);
    let quiet = scene.contract(0, Code::new().increment(0, 1));
    let looks = Code::new().op(SELFBALANCE).push(1).op(SSTORE);
    let looks = scene.contract(1, looks);
    send(&mut scene, 30, TxEnv { value: U256::from(9), ..call(quiet) });
    send(&mut scene, 31, TxEnv { value: U256::from(4), ..call(looks) });
    for number in 32..1_100 {
        match number {
            // A later batch conflicts with the first one here, where few transactions are left.
            877 | 1_077 => send(&mut scene, number, call(quiet)),
            878 | 1_078 => send(&mut scene, number, call(looks)),
            _ => {
                // Not so short that all would run sequentially.
                let data = vec![0].into();
                let told = TxEnv { gas_limit: 40_000, data, ..pay(receiver(number), 1) };
                send(&mut scene, number, told);
                scene.block.transactions.last_mut().expect("it was sent").gas_limit = 40_000;
            }
        }
    }
    for workers in [3, 8].repeat(20) {
        let stats = run(&mut seeded(workers, Policy::Auto), &scene, scene.database());
        assert!(
            stats.contiguous_batches >= 1 && stats.aborts > 0 && !stats.sequential,
            "{workers}: {stats:?}"
        );
    }
}

/// By default, an executor tries contiguous batches on blocks of many transactions, and after a
/// conflict, early, late, or never, continues sequentially or speculatively.
#[test]
fn blocks_that_meet_early_and_late() {
    for (meets_at, workers) in [
        (None, 2),
        (None, 3),
        (None, 8),
        (Some(40), 2),
        (Some(900), 2),
        (Some(900), 3),
        (Some(2_040), 8),
    ] {
        let mut scene = payments(2_048);
        if let Some(number) = meets_at {
            // The receiver of the first payment sends a payment.
            let TxEnv { caller, .. } = scene.block.transactions[number];
            scene.block.transactions[0].kind = caller.into();
        }
        let mut executor = seeded(workers, Policy::Auto);
        for _ in 0..3 {
            let stats = run(&mut executor, &scene, scene.database());
            assert!(
                stats.contiguous_batches > 0 && !stats.sequential,
                "{meets_at:?}, {workers}: {stats:?}"
            );
            if meets_at.is_none() {
                assert!(stats.speculative_commits >= 2_048 - 64 && stats.aborts == 0, "{stats:?}");
            } else if meets_at > Some(64) {
                assert!(stats.aborts > 0, "{meets_at:?}, {workers}: {stats:?}");
            }
        }
    }
}

/// Short blocks are tried too, if almost none of their transactions has a predicted dependency.
#[test]
fn short_blocks_of_which_none_is_tied_to_another() {
    let parts = |scene: &Scene, workers| {
        run(&mut seeded(workers, Policy::Auto), scene, scene.database()).contiguous_batches
    };
    // The first batches have 64 transactions, and there are two for each worker.
    let [untied, mut tied, few] = [256, 256, 255].map(payments);
    tied.block.transactions.iter_mut().step_by(20).for_each(|tx| tx.kind = receiver(7).into());
    assert!(parts(&untied, 2) > 1);
    assert_eq!((parts(&tied, 2), parts(&few, 2), parts(&untied, 3)), (0, 0, 0));
    assert!(parts(&payments(384), 3) > 1);
}

/// Calls of one counter do not look dependent: an executor that has seen their conflicts does not
/// immediately try again.
#[test]
fn short_blocks_that_did_not_hold_are_not_tried_again_at_once() {
    let mut scene = payments(0);
    let counter = scene.contract(0, Code::new().increment(0, 1));
    for number in 0..300_u64 {
        let data = [[0; 4].to_vec(), number.to_be_bytes().repeat(4)].concat().into();
        send(&mut scene, number, TxEnv { data, ..call(counter) });
    }
    let mut executor = seeded(2, Policy::Auto);
    let mut parts = || run(&mut executor, &scene, scene.database()).contiguous_batches;
    let tried: Vec<_> = (0..5).map(|_| parts()).collect();
    assert_eq!(
        tried.iter().map(|parts| *parts > 0).collect::<Vec<_>>(),
        [true, false, true, false, false]
    );
}

/// Native transfers, first among many accounts and then among few: some batches commit, and the
/// rest runs sequentially, followed by a worker that has those batches in the bundle.
#[test]
fn a_bundle_thread_goes_on_where_parts_have_ended() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let accounts: Vec<_> = (0..220).map(|number| scene.sender(number)).collect();
    for number in 0..1_500_usize {
        let [from, to] = match number {
            ..200 => [accounts[20 + number], receiver(number as u64)],
            _ => [number, 7 * number + 3].map(|number| accounts[number % 20]),
        };
        scene.send(from, TxEnv { gas_limit: 21_000, ..pay(to, number as u64) });
    }
    scene.block.env.gas_limit = 1_000_000_000;
    for workers in [2, 3, 5, 8] {
        let stats = run(&mut seeded(workers, Policy::Auto), &scene, scene.database());
        assert!(
            stats.contiguous_batches > 1 && stats.speculative_commits < 200,
            "{workers}: {stats:?}"
        );
        assert_eq!(stats.fallback_segments, 0, "it was not shared out");
    }
}

/// Reverts are omitted if they are not requested.
#[test]
fn parts_without_reverts() {
    let scene = payments(1_100);
    let block = Arc::new(scene.block.clone());
    let mut config = Config::with_workers(NonZeroU16::new(2).expect("not zero"));
    config.reverts = false;
    let mut executor = Executor::new(config).expect("a thread");
    let found = executor
        .block(Arc::clone(&block))
        .database(scene.database())
        .execute()
        .expect("a valid block");
    assert!(found.stats.contiguous_batches > 1 && found.bundle.reverts.iter().all(Vec::is_empty));
    let expected = Expected::new(&block, Mode::Validate, &scene.database());
    let expected = expected.output().expect("a valid block");
    assert_eq!(found.bundle.state, expected.bundle.state);
}

/// Threads that have arrived.
#[derive(Default)]
struct Come {
    others: bool,
    caller: bool,
}

/// Returns a database that makes the caller start its first batch after another worker has started
/// one, and makes that worker continue after the caller has reached about its third batch.
fn held(scene: &Scene) -> Hooked<MemoryDatabase> {
    let senders: Vec<Address> = scene.block.transactions.iter().map(|tx| tx.caller).collect();
    let first: Vec<Address> = senders.iter().step_by(64).copied().collect();
    let caller = std::thread::current().id();
    let (come, one_came) = (Mutex::new(Come::default()), Condvar::new());
    Hooked::watched(scene.database(), move |read| {
        let Read::Account(address) = read else { return };
        // Waits for the others, and returns whether they arrived.
        let wait = |come: MutexGuard<'_, Come>, is_there: fn(&Come) -> bool| {
            let patience = Duration::from_secs(5);
            let waited = one_came.wait_timeout_while(come, patience, |come| !is_there(come));
            waited.is_ok_and(|(_, end)| !end.timed_out())
        };
        let mut come = come.lock().expect("no thread panics");
        let is_caller = std::thread::current().id() == caller;
        come.others |= !is_caller;
        come.caller |= is_caller && senders[3 * 64..].contains(&address);
        one_came.notify_all();
        if !is_caller {
            assert!(wait(come, |come| come.caller), "the caller does not go on");
        } else if first.contains(&address) {
            assert!(wait(come, |come| come.others), "no other worker runs anything");
        }
    })
}

/// The beneficiary exists and is empty: the first fee makes it an account like any other.
#[test]
fn an_empty_beneficiary_holds_nothing_up() {
    let mut scene = payments(1_100);
    scene.put(BENEFICIARY, MemoryAccount::default());
    for workers in [2, 3] {
        let stats = run(&mut seeded(workers, Policy::Auto), &scene, scene.database());
        assert!(stats.contiguous_batches >= 2 && stats.aborts == 0, "{workers}: {stats:?}");
    }
}

/// The database sees two batches run at once, and a later one ends first.
#[test]
pub(crate) fn a_later_part_ends_first() {
    let scene = payments(1_100);
    for workers in [2, 3] {
        let stats = run(&mut seeded(workers, Policy::Auto), &scene, held(&scene));
        assert!(stats.speculative_commits >= 1_000 && stats.aborts == 0, "{workers}: {stats:?}");
    }
}
