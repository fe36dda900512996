//! A token ends a block from another thread: each worker stops within a transaction, the committed
//! prefix is returned, and the executor stays usable.

use crate::support::POLICIES;
use crate::support::scene::{Scene, call, pay};
use alloy_primitives::Address;
use braid_blocks::code::Code;
use braid_blocks::hooked::{Hooked, Read};
use braid_evm::{
    BlockErrorKind, BlockPosition, CancellationToken, Cloned, Config, Executor, Mode, Policy,
    Rejection, TransactionPool, TxIndex,
};
use braid_testkit::oracle::{Expected, compare_prefix};
use core::ops::ControlFlow;
use revm::context::TxEnv;
use revm::primitives::Bytes;
use revm::primitives::hardfork::SpecId;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

const TRANSACTIONS: u64 = 240;
/// Returns calls of a few contracts from distinct senders; each call writes.
fn scene() -> Scene {
    let mut scene = Scene::on(SpecId::OSAKA);
    let contracts: Vec<Address> =
        (0..6).map(|at| scene.contract(at, Code::new().increment(0, 1))).collect();
    for tx in 0..TRANSACTIONS {
        let sender = scene.sender(tx);
        scene.send(sender, call(contracts[tx as usize % contracts.len()]));
    }
    scene
}

fn executor(workers: u16, policy: Policy, mode: Mode) -> Executor {
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("not 0"));
    (config.policy, config.engine.mode) = (policy, mode);
    Executor::new(config).expect("threads start")
}

#[test]
pub(crate) fn workers_end_within_a_transaction() {
    let scene = scene();
    let block = Arc::new(scene.block.clone());
    let senders: Arc<Vec<Address>> =
        Arc::new(block.transactions.iter().map(|tx| tx.caller).collect());
    let expected = Expected::new(&block, Mode::Validate, &scene.database());
    for policy in POLICIES {
        for workers in [1, 2, 3, 8] {
            let mut executor = executor(workers, policy, Mode::Validate);
            for at in [0, 1, 17, 100, 200] {
                let (token, late) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
                let (cancels, senders, counted) =
                    (token.clone(), Arc::clone(&senders), Arc::clone(&late));
                // Cancels at the first read of a transaction's sender, and counts the senders that
                // are read from then on.
                let database = Hooked::watched(scene.database(), move |read| {
                    let Read::Account(address) = read else { return };
                    if cancels.is_cancelled() && senders.contains(&address) {
                        counted.fetch_add(1, SeqCst);
                    }
                    if address == senders[at] {
                        cancels.cancel();
                    }
                });
                let request = executor.block(Arc::clone(&block)).database(database);
                let error = request.cancel(token).execute().expect_err("it is cancelled");
                let what = format!("{policy:?}, {workers} workers, at {at}");
                assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{what}: {error}");
                let committed = error.committed.outcomes.len();
                assert!(committed < TRANSACTIONS as usize, "{what}");
                assert_eq!(
                    error.at,
                    BlockPosition::Transaction(TxIndex(committed as u32)),
                    "{what}"
                );
                let prefix = (&*block, Mode::Validate, &scene.database());
                compare_prefix(prefix.0, prefix.1, prefix.2, &error.committed, false)
                    .unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
                // Each worker may have been about to start one.
                assert!(late.load(SeqCst) <= u64::from(workers), "{what}: {late:?} began late");
            }
            let found = executor.block(Arc::clone(&block)).database(scene.database()).execute();
            expected.compare(&found).unwrap_or_else(|wrong| panic!("{policy:?}: {wrong}"));
        }
    }
}

#[test]
fn a_token_may_be_cancelled_before_and_after() {
    let scene = scene();
    for policy in POLICIES {
        let mut executor = executor(2, policy, Mode::Validate);
        let token = CancellationToken::new();
        let request = executor.block(scene.block.clone()).database(scene.database());
        let output = request.cancel(token.clone()).execute().expect("it was not cancelled");
        assert_eq!(output.outcomes.len(), TRANSACTIONS as usize);
        token.cancel();
        let request = executor.block(scene.block.clone()).database(scene.database());
        let error = request.cancel(token).execute().expect_err("it is cancelled");
        assert!(matches!(error.kind, BlockErrorKind::Cancelled));
        assert!(
            error.committed.outcomes.is_empty()
                && error.at == BlockPosition::Transaction(TxIndex(0))
        );
    }
}

/// Another thread cancels at an arbitrary time while the caller receives commits.
#[test]
fn another_thread_cancels() {
    let scene = scene();
    let block = Arc::new(scene.block.clone());
    let mut cancelled = 0;
    for policy in POLICIES {
        let mut executor = executor(3, policy, Mode::Validate);
        for at in [0_u32, 5, 60, 239] {
            let token = CancellationToken::new();
            let (send, receive) = std::sync::mpsc::channel();
            let thread = thread::spawn({
                let token = token.clone();
                move || receive.recv().map(|()| token.cancel())
            });
            let mut heard = 0;
            let request =
                executor.block(Arc::clone(&block)).database(scene.database()).cancel(token);
            let found = request
                .on_commit(|committed| {
                    heard += 1;
                    if committed.tx.0 == at {
                        send.send(()).expect("it waits");
                    }
                    ControlFlow::Continue(())
                })
                .execute();
            thread.join().expect("it ends").expect("it was told");
            let outcomes = match &found {
                Ok(output) => output.outcomes.len(),
                Err(error) => {
                    assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{error}");
                    cancelled += 1;
                    error.committed.outcomes.len()
                }
            };
            assert_eq!(heard, outcomes, "{policy:?}: each commit was heard of");
            assert!(outcomes > at as usize);
        }
    }
    println!("{cancelled} cancelled");
}

/// Pays from each sender in turn, and cancels after handing out a number of transactions.
struct Endless {
    senders: Vec<Address>,
    handed_out: usize,
    cancels_at: usize,
    token: CancellationToken,
}

impl TransactionPool for Endless {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        if self.handed_out == self.cancels_at {
            self.token.cancel();
        }
        let caller = self.senders[self.handed_out % self.senders.len()];
        let nonce = (self.handed_out / self.senders.len()) as u64;
        self.handed_out += 1;
        Some(TxEnv { caller, nonce, data: Bytes::new(), ..pay(Address::repeat_byte(0xb0), 1) })
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        panic!("{tx:?}: {reason}");
    }
}

/// The transactions committed by then form a complete block, also on a parent, and each commit is
/// reported.
#[test]
pub(crate) fn a_builder_gets_the_block_that_there_is() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let senders: Vec<Address> = (0..64).map(|at| scene.sender(at)).collect();
    scene.block.env.gas_limit = u64::MAX;
    scene.block.transactions.clear();
    for policy in POLICIES {
        for cancels_at in [0, 100, 700] {
            let mut executor = executor(2, policy, Mode::Build);
            let token = CancellationToken::new();
            let (senders, cancels) = (senders.clone(), token.clone());
            let mut pool = Endless { senders, handed_out: 0, cancels_at, token: cancels };
            let mut heard = 0;
            let request = executor.block(scene.block.clone()).state(Cloned(scene.database()));
            let built = request.cancel(token).on_commit(|_| {
                heard += 1;
                ControlFlow::Continue(())
            });
            let built = built.build(&mut pool).expect("a block");
            let count = built.block.transactions.len();
            assert!(count <= cancels_at && count == heard, "{policy:?}: {count} of {cancels_at}");
            assert!(cancels_at < 512 || count >= 512, "{policy:?}: whole rounds have run");
            let expected = Expected::new(&built.block, Mode::Build, &scene.database());
            let found = expected.compare(&Ok(built.output));
            found.unwrap_or_else(|wrong| panic!("{policy:?}: {wrong}"));
        }
    }
}

/// A condition ends the block where it first holds, even if it never holds again, or panics.
#[test]
fn a_condition_ends_the_block() {
    let scene = scene();
    let block = Arc::new(scene.block.clone());
    for policy in POLICIES {
        let mut executor = executor(2, policy, Mode::Validate);
        for (at, panics) in [(0, false), (1, false), (40, false), (40, true)] {
            let asked = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&asked);
            let token = CancellationToken::when(move || {
                let is_met = counted.fetch_add(1, SeqCst) == at;
                assert!(!(is_met && panics), "a condition of the test");
                is_met
            });
            let request = executor.block(Arc::clone(&block)).database(scene.database());
            let error = request.cancel(token.clone()).execute().expect_err("it is cancelled");
            let what = format!("{policy:?}, at {at}");
            assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{what}: {error}");
            // Another worker may have called the condition again before the first one stored the
            // answer.
            assert!(asked.load(SeqCst) > at, "{what}: {asked:?}");
            assert!(token.is_cancelled(), "{what}: it stays so");
            let database = scene.database();
            compare_prefix(&block, Mode::Validate, &database, &error.committed, false)
                .unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
        }
    }
}

/// A deadline is a condition: a builder with an endless pool gets a complete block.
#[test]
fn a_deadline_is_a_condition() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let senders: Vec<Address> = (0..64).map(|at| scene.sender(at)).collect();
    scene.block.env.gas_limit = u64::MAX;
    scene.block.transactions.clear();
    for policy in POLICIES {
        let mut executor = executor(2, policy, Mode::Build);
        let deadline = Instant::now() + Duration::from_millis(10);
        let token = CancellationToken::when(move || Instant::now() >= deadline);
        let (senders, cancels_at) = (senders.clone(), usize::MAX);
        let mut pool = Endless { senders, handed_out: 0, cancels_at, token: token.clone() };
        let request = executor.block(scene.block.clone()).state(Cloned(scene.database()));
        let built = request.cancel(token).build(&mut pool).expect("a block");
        assert!(Instant::now() >= deadline, "{policy:?}: it ended before");
        let expected = Expected::new(&built.block, Mode::Build, &scene.database());
        let found = expected.compare(&Ok(built.output));
        found.unwrap_or_else(|wrong| panic!("{policy:?}: {wrong}"));
    }
}
