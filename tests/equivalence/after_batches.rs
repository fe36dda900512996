//! Blocks whose contiguous batches end early: what conflicts runs again, its first result leaves no
//! trace, and what follows finds what the batches have left.

use super::parts::{payments, receiver, run, seeded, send};
use crate::support::scene::{BENEFICIARY, call, create, pay};
use alloy_primitives::{Address, Bytes, U256};
use braid_blocks::code::{Code, deploying};
use braid_evm::runtime::simulated::{Costs, Options, Schedule};
use braid_evm::{Cloned, Config, Forced, Mode, Policy, Reason, SimulatedExecutor, Strategy};
use braid_testkit::lineup::executor;
use braid_testkit::oracle::Expected;
use core::ops::ControlFlow;
use revm::bytecode::opcode::{
    ADD, BALANCE, CALLDATALOAD, CALLER, DUP1, LOG1, SLOAD, SSTORE, SWAP1,
};
use revm::context::TxEnv;
use std::num::NonZeroU16;
use std::sync::Arc;

/// Returns a call that looks unrelated to calls with other data.
fn bring(contract: Address, what: u8) -> TxEnv {
    TxEnv { data: Bytes::from([what; 36]), ..call(contract) }
}

/// Contiguous batches commit until some conflict; speculation with predicted dependencies continues
/// from their writes and nonces.
#[test]
fn speculation_goes_on_where_neighbours_have_ended() {
    let mut scene = payments(0);
    let own = Code::new().push(4).op(CALLDATALOAD).op(DUP1).op(SLOAD).push(1).op(ADD);
    let own = scene.contract(0, own.op(SWAP1).op(SSTORE));
    let shared = scene.contract(1, Code::new().increment(0, 1));
    for number in 0..1_100_u64 {
        let to = if (200..260).contains(&number) { shared } else { own };
        let data = [&[7; 4], &U256::from(number).to_be_bytes::<32>()[..]].concat().into();
        let sender = if number < 260 { number } else { number - 260 };
        send(&mut scene, sender, TxEnv { data, ..call(to) });
        let tx = scene.block.transactions.last_mut().expect("it was sent");
        (tx.gas_limit, tx.nonce) = (49_000, u64::from((260..520).contains(&number)));
    }
    let block = Arc::new(scene.block.clone());
    let expected = Expected::new(&block, Mode::Validate, &scene.database());
    for is_streamed in [false, true] {
        // Contiguous batches do not pay for two workers.
        let mut executor = executor(4, Policy::Auto, Mode::Validate);
        let request = executor.block(Arc::clone(&block)).database(scene.database());
        let found = if is_streamed {
            request.on_commit(|_| ControlFlow::Continue(())).execute()
        } else {
            request.execute()
        };
        let what = |difference| panic!("streamed: {is_streamed}: {difference}");
        expected.compare(&found).unwrap_or_else(what);
        let path = found.unwrap_or_else(|error| panic!("{:?} {}", error.at, error.kind)).segments;
        let how = path.iter().map(|segment| (segment.strategy, segment.reason));
        let predicted = (Strategy::Speculative, Reason::Contended);
        let batches = (Strategy::ContiguousBatches, Reason::DisjointStart);
        assert!(how.collect::<Vec<_>>().starts_with(&[batches, predicted]), "{path:?}");
    }
}

/// A reader of the beneficiary ends the contiguous batches, and runs first in the next segment.
#[test]
pub(crate) fn what_comes_first_after_neighbours_reads_the_fees() {
    for (count, next) in [(200, Reason::Default), (1_100, Reason::Contended)] {
        let mut scene = payments(0);
        let own = Code::new().push(4).op(CALLDATALOAD).op(DUP1).op(SLOAD).push(1).op(ADD);
        let own = scene.contract(0, own.op(SWAP1).op(SSTORE));
        let asks = scene.contract(1, Code::new().address(BENEFICIARY).op(BALANCE).sstore_top(0));
        for number in 0..count {
            let data = [&[7; 4], &U256::from(number).to_be_bytes::<32>()[..]].concat().into();
            let to = if number == 10 { asks } else { own };
            send(&mut scene, number, TxEnv { data, ..call(to) });
        }
        for workers in [2, 3] {
            run(&mut seeded(workers, Policy::Auto), &scene, scene.database());
            let (mut executor, block) =
                (seeded(workers, Policy::Auto), Arc::new(scene.block.clone()));
            let again = executor.block(block).database(scene.database()).execute();
            let path = again.expect("a valid block").segments;
            let how: Vec<_> = path.iter().map(|it| (it.strategy, it.reason)).skip(1).collect();
            assert_eq!(path[0].strategy, Strategy::ContiguousBatches, "{workers}: {path:?}");
            assert!(how.starts_with(&[(Strategy::Speculative, next)]), "{workers}: {path:?}");
        }
    }
}

/// Calls in several batches increment one counter. One worker runs them all.
#[test]
pub(crate) fn what_a_batch_reads_another_one_has_changed() {
    let mut scene = payments(0);
    let counter = scene.contract(0, Code::new().increment(0, 1));
    for number in 0..8 {
        send(&mut scene, number, bring(counter, (number % 2) as u8));
    }
    for workers in [1, 2, 3, 8] {
        let stats = run(
            &mut seeded(workers, Policy::Forced(Forced::ContiguousBatches)),
            &scene,
            scene.database(),
        );
        assert!(stats.contiguous_batches > 0 && stats.aborts > 0, "{workers}: {stats:?}");
    }
    assert_eq!(scene.play().slot(counter, 0), Some(U256::from(8)));
}

/// Each call stores its sender in the next slot. An aborted run stored it in another call's slot,
/// which later calls copy.
#[test]
pub(crate) fn what_was_in_vain_is_not_seen_later() {
    let mut scene = payments(0);
    // `slot[99] = slot[10]`, `slot[10 + slot[0]] = caller`, `slot[0] += 1`
    let list = Code::new().push(10).op(SLOAD).push(99).op(SSTORE);
    let list = list.op(CALLER).push(0).op(SLOAD).push(10).op(ADD).op(SSTORE);
    let list = scene.contract(0, list.increment(0, 1));
    send(&mut scene, 0, bring(list, 1));
    send(&mut scene, 1, bring(list, 2));
    for number in 2..22 {
        send(&mut scene, number, pay(receiver(number), 1));
    }
    for number in 22..25 {
        send(&mut scene, number, bring(list, 3));
    }
    scene.block.transactions.iter_mut().for_each(|tx| tx.gas_limit = 200_000);
    for workers in [1, 2, 3, 8] {
        let stats = run(
            &mut seeded(workers, Policy::Forced(Forced::ContiguousBatches)),
            &scene,
            scene.database(),
        );
        assert!(stats.contiguous_batches > 1 && stats.aborts > 0, "{workers}: {stats:?}");
    }
}

/// Batches change the same accounts again, and some transactions are skipped.
#[test]
pub(crate) fn what_batches_leave_is_folded() {
    let mut scene = payments(0);
    let counter = scene.contract(0, Code::new().increment(0, 1).push(7).push(32).push(0).op(LOG1));
    for number in 0..30 {
        match number % 5 {
            0 => send(&mut scene, number, bring(counter, 1)),
            1 => send(&mut scene, number, create(deploying(Code::new().increment(number, 1)))),
            // No account has that much ether.
            2 => send(&mut scene, number, TxEnv { value: U256::MAX, ..pay(receiver(1), 1) }),
            _ => send(&mut scene, number, pay(receiver(number % 3), 1)),
        }
        scene.block.transactions.last_mut().expect("it was sent").gas_limit = 200_000;
    }
    let block = Arc::new(scene.block.clone());
    let expected = Expected::new(&block, Mode::Build, &scene.database());
    for workers in [1, 2, 3, 8] {
        let mut executor =
            executor(workers, Policy::Forced(Forced::ContiguousBatches), Mode::Build);
        let found = executor.block(Arc::clone(&block)).database(scene.database()).execute();
        expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
        let stats = found.expect("a block that is built").stats;
        assert!(stats.contiguous_batches > 2, "{workers}: {stats:?}");
    }
}

/// The first contiguous batches commit and the rest is one batch: their deltas must reach the
/// sequential run.
#[test]
fn batches_that_end_lose_nothing() {
    let mut scene = payments(0);
    let counter = scene.contract(0, Code::new().increment(0, 1));
    let place = Code::new().address(BENEFICIARY).op(BALANCE).push(7).op(SSTORE);
    let asker = scene.contract(1, place);
    // Long enough for the first contiguous batches, then transactions of one sender.
    for number in 0..100 {
        send(&mut scene, number, pay(receiver(number), 1));
    }
    let one = scene.sender(100);
    for _ in 0..1_100 {
        scene.send(one, TxEnv { gas_limit: 60_000, ..bring(counter, 1) });
    }
    send(&mut scene, 2_000, bring(asker, 1));
    send(&mut scene, 2_001, pay(BENEFICIARY, 1));
    for workers in [2, 3, 8] {
        let stats = run(&mut seeded(workers, Policy::Auto), &scene, scene.database());
        assert!(stats.contiguous_batches > 0, "{workers}: {stats:?}");
    }
}

/// By default, an executor predicts dependencies after many aborts of speculation, starts with that
/// if it has paid, and remembers if it has not. On simulated workers, with 20 us per run.
#[test]
fn many_of_its_transactions_conflict() {
    let workers = NonZeroU16::new(8).expect("some");
    let mut options = Options::new(workers.get(), 0);
    let (runs, others) = (vec![20_000; 600].into(), Costs { publish: 100, ..Costs::default() });
    options.schedule = Schedule::Priced { runs, others };
    let mut executor = SimulatedExecutor::new(Config::with_workers(workers), options);
    // Ten counters that the callee distinguishes, or one that nothing predicts.
    let mut begin = |counters: u64| {
        let mut scene = payments(0);
        let code = || Code::new().increment(0, 1);
        let all: Vec<_> = (0..counters).map(|number| scene.contract(number, code())).collect();
        for number in 0..600 {
            let (to, what) = (all[(number % counters) as usize], (number / 7 + number) as u8);
            let what = if counters > 1 { 0 } else { what };
            send(&mut scene, number, TxEnv { gas_limit: 100_000, ..bring(to, what) });
        }
        let block = Arc::new(scene.block.clone());
        let ran = executor.execute(Arc::clone(&block), Cloned(scene.database())).expect("an end");
        let expected = Expected::new(&block, Mode::Validate, &scene.database());
        expected.compare(&ran.result).unwrap_or_else(|difference| panic!("{difference}"));
        let path = ran.result.unwrap_or_else(|error| panic!("{error:?}")).segments;
        path.into_iter().map(|segment| (segment.strategy, segment.reason)).collect::<Vec<_>>()
    };
    let [speculative, predicted] =
        [Reason::Default, Reason::Contended].map(|reason| (Strategy::Speculative, reason));
    assert_eq!(begin(10), [speculative, predicted]);
    assert_eq!(begin(10), [predicted]);
    // Predictions are tried at once if they last paid, and fail here.
    assert_eq!(begin(1)[0], predicted);
    assert_eq!(begin(10)[0], speculative);
}
