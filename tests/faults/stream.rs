//! Receiving commits while the block runs, and ending it from the callback.

use crate::support::scene::{Scene, call, pay};
use braid_blocks::code::Code;
use braid_blocks::hooked::{Hooked, Read};
use braid_evm::ids::TxIndex;
use braid_evm::{BlockErrorKind, BlockPosition, Cloned, Committed, Executor, Forced, Mode, Policy};
use braid_testkit::generate::Case;
use braid_testkit::lineup::{SETTINGS, executor};
use braid_testkit::oracle::{Expected, compare_prefix};
use core::convert::Infallible;
use core::ops::ControlFlow;
use revm::primitives::hardfork::SpecId;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

/// Returns a block of 30 transactions; some depend on each other.
fn scene() -> Scene {
    let mut scene = Scene::on(SpecId::OSAKA);
    let counter = scene.contract(0, Code::new().increment(0, 1));
    for index in 0..30 {
        let sender = scene.sender(index);
        let tx = if index % 3 == 0 { call(counter) } else { pay(counter, 0) };
        scene.send(sender, tx);
    }
    scene
}

fn execute_streaming(
    executor: &mut Executor,
    scene: &Scene,
    on_commit: impl FnMut(Committed) -> ControlFlow<()>,
) -> Result<braid_evm::BlockOutput, braid_evm::BlockError<Infallible>> {
    executor
        .block(scene.block.clone())
        .state(Cloned(scene.database()))
        .on_commit(on_commit)
        .execute()
}

#[test]
fn commits_are_heard_of_once_each_in_order_on_the_calling_thread() {
    let scene = scene();
    let here = std::thread::current().id();
    for (workers, policy) in SETTINGS {
        let mut executor = executor(workers, policy, Mode::Validate);
        let mut heard: Vec<Committed> = Vec::new();
        let output = execute_streaming(&mut executor, &scene, |committed| {
            assert_eq!(std::thread::current().id(), here);
            heard.push(committed);
            ControlFlow::Continue(())
        });
        let output = output.expect("a valid block");
        assert_eq!(heard.len(), 30);
        for (index, (committed, receipt)) in heard.iter().zip(&output.receipts).enumerate() {
            assert_eq!(committed.tx.position(), index);
            assert_eq!(committed.cumulative_gas_used, receipt.cumulative_gas_used);
            assert!(committed.rejection().is_none());
            assert_eq!(committed.result().map(|result| result.is_success()), Some(true));
            let sender = scene.block.transactions[index].caller;
            assert!(committed.changes().iter().any(|change| change.address == sender));
        }
    }
}

/// Random blocks in build mode: skipped transactions are reported too.
#[test]
fn what_is_heard_is_what_comes_out() {
    for (workers, policy) in SETTINGS {
        let mut executor = executor(workers, policy, Mode::Build);
        for seed in 0..40 {
            let case = Case::from_seed(seed);
            let mut heard = Vec::new();
            let source = Cloned(case.database());
            let found = executor
                .block(case.block.clone())
                .state(source)
                .on_commit(|committed| {
                    heard.push((committed.result().is_some(), committed.rejection().cloned()));
                    ControlFlow::Continue(())
                })
                .execute();
            let output = found.unwrap_or_else(|error| *error.committed);
            let outcomes = output.outcomes.into_iter().map(|outcome| match outcome {
                braid_evm::Outcome::Executed(_) => (true, None),
                braid_evm::Outcome::Skipped(reason) => (false, Some(reason)),
            });
            assert_eq!(heard, outcomes.collect::<Vec<_>>(), "seed {seed}");
        }
    }
}

#[test]
fn the_caller_ends_the_block_at_any_commit() {
    let scene = scene();
    for (workers, policy) in SETTINGS {
        let mut executor = executor(workers, policy, Mode::Validate);
        for last in 0..30 {
            let mut heard = 0;
            let found = execute_streaming(&mut executor, &scene, |committed| {
                heard += 1;
                if committed.tx.position() == last {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            // Transactions committed before the caller was called stay committed.
            let committed = match found {
                Err(error) => {
                    assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{error}");
                    let next = error.committed.outcomes.len();
                    let at = match next {
                        30 => BlockPosition::PostBlock,
                        _ => BlockPosition::Transaction(TxIndex(next as u32)),
                    };
                    assert_eq!(error.at, at, "stopped at {last}");
                    *error.committed
                }
                Ok(output) => {
                    assert_eq!(output.outcomes.len(), 30, "stopped at {last}");
                    output
                }
            };
            assert!(heard > last, "{heard} heard, stopped at {last}");
            assert!(committed.outcomes.len() >= heard, "stopped at {last}");
            compare_prefix(&scene.block, Mode::Validate, &scene.database(), &committed, false)
                .unwrap_or_else(|difference| panic!("stopped at {last}: {difference}"));
        }
        let expected = Expected::new(&scene.block, Mode::Validate, &scene.database());
        let found = executor.block(scene.block.clone()).database(scene.database()).execute();
        expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
    }
}

/// With one worker there is no race: the block ends where the caller says.
#[test]
fn one_worker_stops_at_once() {
    let scene = scene();
    let mut executor = executor(1, Policy::Sequential, Mode::Validate);
    let found = execute_streaming(&mut executor, &scene, |committed| {
        if committed.tx.position() == 4 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let error = found.expect_err("cancelled");
    assert!(matches!(error.kind, BlockErrorKind::Cancelled));
    assert!(error.committed.outcomes.len() < 30, "{}", error.committed.outcomes.len());
}

#[test]
fn a_panic_of_the_caller_is_raised_once_all_are_idle() {
    let scene = scene();
    for (workers, policy) in SETTINGS {
        let mut executor = executor(workers, policy, Mode::Validate);
        for at in [0, 1, 15, 29] {
            let mut heard = 0;
            let run = || {
                execute_streaming(&mut executor, &scene, |committed| {
                    heard += 1;
                    if committed.tx.position() == at {
                        std::panic::panic_any(at);
                    }
                    ControlFlow::Continue(())
                })
            };
            let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
            assert_eq!(payload.downcast_ref::<usize>(), Some(&at));
            assert_eq!(heard, at + 1, "nothing is heard after a panic");
        }
        let output = executor.block(scene.block.clone()).database(scene.database()).execute();
        assert!(output.is_ok());
    }
}

/// Progress of one execution.
#[derive(Debug)]
struct Progress {
    caller: ThreadId,
    /// Whether the second transaction has started, and whether the caller has received the first
    /// commit.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Progress {
    fn change(&self, change: impl FnOnce(&mut (bool, bool))) {
        change(&mut self.state.lock().expect("no panic holds it"));
        self.changed.notify_all();
    }

    /// Waits for the other thread, and returns whether it came in time.
    fn wait(&self, missing: impl Fn(&(bool, bool)) -> bool) -> bool {
        let state = self.state.lock().expect("no panic holds it");
        let patience = Duration::from_secs(2);
        let waited = self.changed.wait_timeout_while(state, patience, |state| missing(state));
        let (state, end) = waited.expect("no panic holds it");
        drop(state);
        !end.timed_out()
    }
}

/// The second transaction is still running when the caller receives the first commit.
#[test]
fn commits_are_heard_of_while_others_still_run() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    scene.send(alice, pay(alice, 1));
    scene.send(bob, pay(bob, 1));
    let mut executor = executor(3, Policy::Forced(Forced::Speculative), Mode::Validate);
    let heard_in_time = Arc::new(AtomicU64::new(0));
    for _ in 0..50 {
        let caller = std::thread::current().id();
        let progress = Progress { caller, state: Mutex::default(), changed: Condvar::new() };
        let progress = Arc::new(progress);
        let (meets, in_time) = (Arc::clone(&progress), Arc::clone(&heard_in_time));
        // The first sender waits for the second, and the second until the caller has received the
        // first commit.
        let database = Hooked::watched(scene.database(), move |read| {
            if read == Read::Account(alice) {
                meets.wait(|(begun, _)| !begun);
            } else if read == Read::Account(bob) {
                meets.change(|(begun, _)| *begun = true);
                // The calling thread cannot wait for itself.
                let elsewhere = std::thread::current().id() != meets.caller;
                if elsewhere && meets.wait(|(_, heard)| !heard) {
                    in_time.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let output = executor
            .block(scene.block.clone())
            .state(Cloned(database))
            .on_commit(|_| {
                progress.change(|(_, heard)| *heard = true);
                ControlFlow::Continue(())
            })
            .execute();
        assert!(output.is_ok());
    }
    let in_time = heard_in_time.load(Ordering::SeqCst);
    assert!(in_time > 0, "the caller never heard anything before the block was over");
}
