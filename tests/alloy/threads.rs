//! Checks the threads of a factory: where none starts, how many there are (each in a process of its
//! own), and that no block waits for a worker that the system has suspended.

use super::running::run;
use super::{MEETING, Ours, assert_equal, calls, ours, shells, theirs};
use crate::support::fees::Publishing;
use alloy_primitives::{Address, Bytes};
#[cfg(feature = "mutants")]
use braid_evm::mutants::{Bug, seed};
use braid_evm::{Cloned, Precompile, PrecompileCall, PrecompileState};
use revm::precompile::{PrecompileError, PrecompileOutput};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Tells a process that it runs one of the ignored tests below.
const CHILD: &str = "BRAID_TEST_THREADS";

/// Runs the ignored test `name` in a process of its own.
#[track_caller]
fn run_alone(name: &str, set: impl FnOnce(&mut Command)) {
    let mut command = Command::new(env::current_exe().expect("this program"));
    let name = format!("alloy::threads::{name}");
    command.args([&name, "--exact", "--ignored", "--test-threads=1"]).env(CHILD, "");
    set(&mut command);
    let output = command.output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
}

/// Factories without handles and with handles.
fn factories(workers: u16) -> [Ours; 2] {
    let (block, database) = calls(target);
    let own = ours(&block, workers).with_handles(move |_| Some(Cloned(database.clone())));
    [ours(&block, workers), own]
}

fn target(index: u8) -> Address {
    Address::repeat_byte(0x70 + index)
}

#[test]
#[ignore = "the process of `blocks_run_where_no_thread_starts`"]
fn child_without_threads() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    assert!(thread::Builder::new().spawn(|| {}).is_err(), "a thread starts");
    let (block, database) = calls(target);
    let transactions = shells(&block.transactions);
    let expected = run(&theirs(&block), &block, &transactions, database.clone());
    for workers in [1, 4] {
        let [plain, handles] = factories(workers);
        for factory in [&plain, &handles] {
            let found = run(factory, &block, &transactions, database.clone());
            assert_equal(&expected, &found, &format!("{workers} workers"));
        }
        assert_eq!(plain.executions().sequential, 8, "on the calling thread");
        assert_eq!(handles.executions().blocks, 1, "by Braid");
        // alloy-evm's executor cannot take a surcharge.
        let fee = Publishing { vault: Address::repeat_byte(0x66), per_byte: 7 };
        let charging = plain.with_surcharge(Arc::new(fee));
        let found = run(&charging, &block, &transactions, database.clone());
        assert!(found.0.is_err(), "{found:?}");
    }
}

#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn blocks_run_where_no_thread_starts() {
    // A stack that no machine has, in the variable from which std reads its size.
    run_alone("child_without_threads", |command| {
        command.env("RUST_MIN_STACK", "9000000000000000");
    });
}

/// Returns the names of this process's threads that Braid started.
fn own_threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("braid-")).collect()
}

#[test]
#[ignore = "the process of `a_factory_has_the_threads_of_two_executors_at_most`"]
fn child_with_counted_threads() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let (block, database) = calls(target);
    let transactions = shells(&block.transactions);
    let expected = run(&theirs(&block), &block, &transactions, database.clone());
    for factory in factories(4) {
        let all = Barrier::new(16);
        let ten = || {
            let one = |_| {
                all.wait();
                run(&factory, &block, &transactions, database.clone())
            };
            (0..10).map(one).collect::<Vec<_>>()
        };
        let found = thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(ten)).collect();
            threads.into_iter().flat_map(|it| it.join().expect("no panic")).collect::<Vec<_>>()
        });
        found.iter().for_each(|found| assert_equal(&expected, found, "one of 16 blocks"));
        // An executor has three threads: four workers are the calling thread and three others, or
        // three workers with one thread of their own for the caller's part.
        let names = own_threads();
        assert!((3..=6).contains(&names.len()), "{names:?}");
        drop(factory);
        // A thread that was joined is listed a little longer.
        let is_gone = || {
            own_threads().is_empty() || {
                thread::yield_now();
                false
            }
        };
        assert!((0..100_000).any(|_| is_gone()), "{:?}", own_threads());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_factory_has_the_threads_of_two_executors_at_most() {
    run_alone("child_with_counted_threads", |_| {});
}

/// A precompile that suspends the first worker that calls it for a transaction until that
/// transaction has run elsewhere, as the caller's help does, or until a time limit.
#[derive(Debug, Default)]
struct Suspending {
    state: Mutex<Suspended>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Suspended {
    /// Number of calls of each transaction, by its sender.
    calls: BTreeMap<Address, u32>,
    /// Number of workers that were suspended.
    workers: u32,
    /// Number of workers whose transaction did not run elsewhere.
    waited_in_vain: u32,
}

impl Precompile for Suspending {
    fn address(&self) -> Address {
        MEETING
    }

    fn call(
        &self,
        call: PrecompileCall<'_>,
        _: &mut dyn PrecompileState,
    ) -> Result<PrecompileOutput, PrecompileError> {
        const LIMIT: Duration = Duration::from_secs(5);
        let sender = call.caller;
        let mut state = self.state.lock().expect("no panic");
        let calls = state.calls.entry(sender).or_default();
        *calls += 1;
        let is_first = *calls == 1;
        self.changed.notify_all();
        let name = thread::current().name().map(str::to_owned);
        let is_worker = name.is_some_and(|it| it.starts_with("braid-") && it != "braid-block");
        if is_first && is_worker && state.workers == 0 {
            state.workers += 1;
            let is_alone = |state: &mut Suspended| state.calls[&sender] == 1;
            let waited = self.changed.wait_timeout_while(state, LIMIT, is_alone);
            let (mut state, _) = waited.expect("no panic");
            state.waited_in_vain += u32::from(is_alone(&mut state));
        } else if !is_worker {
            // Leaves the worker time to begin one.
            let nobody = |state: &mut Suspended| state.workers == 0;
            let waited = self.changed.wait_timeout_while(state, LIMIT / 50, nobody);
            drop(waited.expect("no panic"));
        }
        Ok(call.success(100, Bytes::new()))
    }
}

/// Returns the number of workers that were suspended, and of those that waited in vain.
fn suspended(has_handles: bool) -> (u32, u32) {
    let (block, database) = calls(|_| MEETING);
    let transactions = shells(&block.transactions);
    let precompile = Arc::new(Suspending::default());
    let factory = ours(&block, 3).with_precompiles(vec![Arc::<Suspending>::clone(&precompile)]);
    let handle = database.clone();
    let factory = match has_handles {
        true => factory.with_handles(move |_| Some(Cloned(handle.clone()))),
        false => factory,
    };
    let left = run(&factory, &block, &transactions, database);
    assert_eq!(left.0.expect("valid").receipts.len(), 8);
    let state = precompile.state.lock().expect("no panic");
    (state.workers, state.waited_in_vain)
}

#[test]
fn a_suspended_worker_holds_no_block_up() {
    for has_handles in [true, false] {
        assert_eq!(suspended(has_handles), (1, 0), "handles: {has_handles}");
    }
}

/// The test notices a caller that never helps.
#[cfg(feature = "mutants")]
#[test]
fn a_caller_that_never_helps_is_held_up() {
    let _bug = seed(Bug::NeverHelps);
    for has_handles in [true, false] {
        assert_eq!(suspended(has_handles), (1, 1), "handles: {has_handles}");
    }
}
