//! Awaits blocks on real tokio runtimes with one thread and with several.
//!
//! 1. Under load (many tasks, several handles, other tasks that never pause), each output equals
//!    that of `Executor`.
//! 2. The runtime continues while a block runs, even with one thread: here a block waits for a task
//!    of the runtime.
//! 3. Dropping a future ends its block, and the executor takes the next one.
//! 4. A panic of the database is raised in the future, and the executor takes the next block.
//! 5. The thread ends with the last handle.

mod build;

use crate::support::scene::{Scene, pay};
use alloy_primitives::{Address, U256};
use braid_blocks::faulty::Fault;
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::MemoryDatabase;
use braid_evm::{AsyncExecutor, BlockErrorKind, BlockOutput, CancellationToken, Config, Executor};
use braid_testkit::generate::Case;
use core::ops::ControlFlow;
use revm::primitives::hardfork::SpecId;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Time limit of a test that hangs.
const LONGEST: Duration = Duration::from_secs(60);

fn runtimes() -> [Runtime; 2] {
    let one = Builder::new_current_thread().enable_time().build();
    let several = Builder::new_multi_thread().worker_threads(2).enable_time().build();
    [one, several].map(|runtime| runtime.expect("a runtime starts"))
}

/// Runs `body` on both runtimes, with a time limit.
fn on_both<F: Future<Output = ()>>(body: impl Fn() -> F) {
    for runtime in runtimes() {
        let ended = runtime.block_on(async { tokio::time::timeout(LONGEST, body()).await });
        assert!(ended.is_ok(), "it hangs");
    }
}

fn executor() -> AsyncExecutor {
    let config = Config::builder().workers(2).build().expect("allowed");
    let executor = Executor::new(config).expect("threads start");
    AsyncExecutor::new(executor).expect("a thread starts")
}

/// Formats the results that must not depend on the executor.
fn essence(output: &BlockOutput) -> String {
    format!("{:?} {:?} {:?}", output.outcomes, output.receipts, output.gas_used)
}

#[test]
fn many_tasks_get_what_the_executor_gives() {
    let mut plain = Executor::new(Config::default()).expect("threads start");
    let cases: Vec<_> = (0..40).map(Case::from_seed).collect();
    let expected = cases.iter().map(|case| {
        let output = plain.block(case.block.clone()).database(case.database()).execute();
        output.map(|output| (essence(&output), output.bundle)).map_err(|error| error.to_string())
    });
    let expected: Arc<Vec<_>> = Arc::new(expected.collect());
    assert!(expected.iter().filter(|result| result.is_ok()).count() > 5);
    let cases = Arc::new(cases);
    on_both(|| async {
        let (handles, is_done) = ([executor(), executor()], Arc::new(AtomicBool::new(false)));
        let mut restless = JoinSet::new();
        for _ in 0..20 {
            let is_done = Arc::clone(&is_done);
            restless.spawn(async move {
                while !is_done.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut tasks = JoinSet::new();
        for index in 0..cases.len() {
            let (cases, handle) = (Arc::clone(&cases), handles[index % 2].clone());
            tasks.spawn(async move {
                let case = &cases[index];
                let request = handle.block(case.block.clone()).database(case.database());
                let output = request.execute().await;
                let output = output.map(|output| (essence(&output), output.bundle));
                (index, output.map_err(|error| error.to_string()))
            });
        }
        let mut seen = 0;
        while let Some(task) = tasks.join_next().await {
            let (index, output) = task.expect("no task panics");
            assert!(output == expected[index], "block {index} is another one");
            seen += 1;
        }
        is_done.store(true, Ordering::SeqCst);
        while restless.join_next().await.is_some() {}
        assert_eq!(seen, cases.len());
    });
}

#[derive(Default)]
struct Gate {
    begun: Notify,
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.is_open.lock().expect("no panic") = true;
        self.opened.notify_all();
    }

    fn pass(&self) {
        self.begun.notify_one();
        let is_open = self.is_open.lock().expect("no panic");
        let passed = self.opened.wait_timeout_while(is_open, LONGEST, |is_open| !*is_open);
        assert!(*passed.expect("no panic").0, "the gate stays closed");
    }
}

const PAYMENTS: usize = 500;

fn payments() -> Scene {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    for _ in 0..PAYMENTS {
        scene.send(alice, pay(bob, 1));
    }
    scene.block.env.gas_limit = 1_000_000_000;
    scene
}

/// Returns a database whose first read of an account reports its start and waits until the gate is
/// open.
fn gated(scene: &Scene) -> (Hooked<MemoryDatabase>, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let passed = Arc::clone(&gate);
    let database = Hooked::watched(scene.database(), move |read| {
        if matches!(read, Read::Account(_)) {
            passed.pass();
        }
    });
    (database, gate)
}

#[test]
fn the_runtime_goes_on_while_a_block_runs() {
    on_both(|| async {
        let (scene, handle) = (payments(), executor());
        let (database, gate) = gated(&scene);
        let block = handle.block(scene.block.clone()).database(database).execute();
        // The gate opens once the block has started, in a task that a blocked runtime would never
        // run.
        let opener = async {
            gate.begun.notified().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            gate.open();
        };
        let (output, ()) = tokio::join!(block, opener);
        assert_eq!(output.expect("it is valid").receipts.len(), PAYMENTS);
    });
}

#[test]
fn a_future_that_is_dropped_ends_its_block() {
    on_both(|| async {
        let (scene, handle) = (payments(), executor());
        let (database, gate) = gated(&scene);
        let commits = Arc::new(AtomicUsize::new(0));
        let (token, counted) = (CancellationToken::new(), Arc::clone(&commits));
        let on_commit = move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            ControlFlow::Continue(())
        };
        let request = handle.block(scene.block.clone()).database(database);
        let block = request.cancel(token.clone()).on_commit(on_commit).execute();
        tokio::select! {
            _ = block => panic!("the gate is closed"),
            () = gate.begun.notified() => {}
        }
        assert!(token.is_cancelled(), "the block goes on");
        gate.open();
        // The next block starts after that one has ended.
        let output = handle.block(scene.block.clone()).database(scene.database()).execute().await;
        assert_eq!(output.expect("it is valid").receipts.len(), PAYMENTS);
        let commits = commits.load(Ordering::SeqCst);
        assert!(commits < PAYMENTS, "all {commits} were committed");
    });
}

/// A future dropped before its turn never runs, and does not delay the following ones.
#[test]
fn a_future_that_is_dropped_in_the_queue_never_runs() {
    on_both(|| async {
        let (scene, handle, ran) = (payments(), executor(), Arc::new(AtomicBool::new(false)));
        let (database, gate) = gated(&scene);
        let first = tokio::spawn({
            let request = handle.block(scene.block.clone()).database(database);
            async move { request.execute().await.expect("it is valid").receipts.len() }
        });
        gate.begun.notified().await;
        let noted = Arc::clone(&ran);
        let second = handle.run(move |_| noted.store(true, Ordering::SeqCst));
        assert!(tokio::time::timeout(Duration::from_millis(5), second).await.is_err());
        gate.open();
        assert_eq!(first.await.expect("no panic"), PAYMENTS);
        assert_eq!(handle.run(|executor| executor.config().workers.get()).await, 2);
        assert!(!ran.load(Ordering::SeqCst));
    });
}

#[test]
fn a_token_gives_the_committed_prefix() {
    on_both(|| async {
        let (scene, handle, token) = (payments(), executor(), CancellationToken::new());
        let stop = token.clone();
        let on_commit = move |committed: braid_evm::Committed| {
            if committed.tx.position() == 9 {
                stop.cancel();
            }
            ControlFlow::Continue(())
        };
        let request = handle.block(scene.block.clone()).database(scene.database());
        let error = request.cancel(token).on_commit(on_commit).execute().await;
        let error = error.expect_err("it is cancelled");
        assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{error}");
        let committed = error.committed.receipts.len();
        assert!((10..PAYMENTS).contains(&committed), "{committed}");
    });
}

#[test]
fn a_panic_is_the_futures_and_the_executor_goes_on() {
    on_both(|| async {
        let (scene, handle) = (payments(), executor());
        let place = Read::Account(scene.block.transactions[0].caller);
        let database = Fault::PanicAt(place).of(scene.database());
        let request = handle.block(scene.block.clone()).database(database);
        let task = tokio::spawn(async move { request.execute().await.is_ok() });
        let error = task.await.expect_err("it panics");
        assert!(error.is_panic());
        let output = handle.block(scene.block.clone()).database(scene.database()).execute().await;
        assert_eq!(output.expect("it is valid").receipts.len(), PAYMENTS);
    });
}

/// A panic payload that panics when it is dropped.
struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        std::panic::panic_any(Self);
    }
}

/// The result of an abandoned future is dropped on the executor's thread, which survives.
#[test]
fn a_payload_that_panics_when_it_is_dropped_ends_no_thread() {
    on_both(|| async {
        let executor = executor();
        let ((begin, begun), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel::<()>());
        let body = move |_: &mut Executor| {
            begin.send(()).expect("the test listens");
            goes_on.recv().expect("the test goes on");
            std::panic::panic_any(Explosive);
        };
        let running = executor.run::<()>(body);
        let ended = tokio::time::timeout(Duration::from_millis(50), running).await;
        assert!(ended.is_err(), "it waits");
        begun.recv().expect("it has begun");
        go_on.send(()).expect("it listens");
        assert_eq!(executor.run(|_| 7).await, 7);
    });
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    on_both(|| async {
        let (handle, held) = (executor(), Arc::new(()));
        let theirs = Arc::clone(&held);
        // The values held by the thread are dropped with the executor.
        handle.run(move |executor| *executor = owner(theirs)).await;
        let clone = handle.clone();
        drop(handle);
        assert_eq!(clone.run(|_| 7).await, 7);
        assert_eq!(Arc::strong_count(&held), 2);
        drop(clone);
        while Arc::strong_count(&held) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

/// Returns an executor that holds `held`.
fn owner(held: Arc<()>) -> Executor {
    #[derive(Debug)]
    struct Holder(#[allow(dead_code, reason = "it is held")] Arc<()>);
    impl braid_evm::Surcharge for Holder {
        fn receiver(&self) -> Address {
            Address::ZERO
        }

        fn amount(&self, _: &revm::context::TxEnv) -> U256 {
            U256::ZERO
        }
    }
    let executor = Executor::new(Config::default()).expect("threads start");
    executor.with_surcharge(Arc::new(Holder(held)))
}
