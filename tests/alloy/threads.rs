//! Checks the threads of a factory. The tests run in processes of their own: one that cannot start
//! threads, and one whose threads are counted.

use super::running::run;
use super::{Ours, assert_equal, calls, ours, shells, theirs};
use crate::support::fees::Publishing;
use alloy_primitives::Address;
use braid_evm::Cloned;
use std::env;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;

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
