//! State sources of workers, and what remains after a block.

use crate::support::scene::{Scene, call, contract, pay, storage};
use alloy_primitives::{Address, U256};
use braid_blocks::code::Code;
use braid_blocks::faulty::{Fault, Faulty, Unreadable};
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_evm::ids::WorkerId;
use braid_evm::{
    Block, BlockErrorKind, BlockPosition, Cloned, Config, Forced, Mode, Policy, StateSource,
    TxIndex, execute_scoped,
};
use braid_testkit::generate::Case;
use braid_testkit::lineup::{SETTINGS, executor};
use braid_testkit::oracle::{Expected, compare_prefix};
use core::convert::Infallible;
use core::ops::ControlFlow;
use revm::bytecode::opcode::{BLOCKHASH, POP};
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn scene() -> Scene {
    let mut scene = Scene::on(SpecId::OSAKA);
    let counter = scene.contract(0, Code::new().increment(0, 1));
    for index in 0..40 {
        let sender = scene.sender(index);
        // ContiguousBatches without conflicts, for batches by account too.
        let tx = match index % 4 {
            0 => call(counter),
            1 => pay(counter, 0),
            _ => pay(Address::repeat_byte(0x40 + index as u8), 0),
        };
        scene.send(sender, tx);
    }
    scene
}

/// A handle that belongs to one thread: neither `Send` nor `Sync`.
type Handle = Hooked<Rc<MemoryDatabase>>;

/// Opens handles, and records for which worker.
#[derive(Debug)]
struct Opener {
    database: MemoryDatabase,
    opened: Arc<Mutex<Vec<WorkerId>>>,
}

impl StateSource for Opener {
    type State = Handle;

    fn open(&self, worker: WorkerId) -> Result<Handle, Infallible> {
        self.opened.lock().expect("no panic holds it").push(worker);
        let thread = std::thread::current().id();
        Ok(Hooked::watched(Rc::new(self.database.clone()), move |_| {
            assert_eq!(std::thread::current().id(), thread, "used on another thread");
            // Gives other workers time to start before the caller has run everything.
            if worker == WorkerId(0) {
                std::thread::sleep(Duration::from_micros(300));
            }
        }))
    }
}

#[test]
fn every_worker_reads_through_a_handle_of_its_own() {
    let scene = scene();
    let expected = Expected::new(&scene.block, Mode::Validate, &scene.database());
    for (workers, policy) in SETTINGS {
        let mut executor = executor(workers, policy, Mode::Validate);
        let opened = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..5 {
            let source = Opener { database: scene.database(), opened: Arc::clone(&opened) };
            let found = executor.block(scene.block.clone()).state(source).execute();
            expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
        }
        let opened = opened.lock().expect("no panic holds it");
        let opened: BTreeSet<WorkerId> = opened.iter().copied().collect();
        // If all workers read all the time, more are started.
        let most =
            if policy == Policy::Forced(Forced::ContiguousBatches) { 8 * workers } else { workers };
        assert!(opened.iter().all(|worker| worker.0 < most), "{opened:?}");
        let runs_alone = workers == 1 || policy == Policy::Sequential;
        assert_eq!(opened.len() > 1, !runs_alone, "{workers} workers, {policy:?}, {opened:?}");
    }
}

/// Slow storage delays a block by each read, so no read is repeated: of the accounts and slots of
/// many contracts, and of the hash of a block that is asked for twice.
#[test]
fn a_sequential_block_reads_nothing_twice() {
    let mut scene = Scene::on(SpecId::OSAKA);
    // Each vault calls the one before it, so its own slot is read after other accounts.
    let mut vaults: Vec<Address> = Vec::new();
    for index in 100..=120 {
        let call = vaults.last().map(|vault| Code::new().call(*vault, 0, 5_000_000).op(POP));
        let vault = contract(call.unwrap_or_default().sload(0).op(POP));
        let vault = MemoryAccount { storage: storage([(0, 7)]), ..vault };
        vaults.push(scene.put(Address::with_last_byte(index), vault));
    }
    let hash = |code: Code| code.push(999).op(BLOCKHASH).op(POP);
    let code = hash(hash(Code::new())).call(Address::with_last_byte(120), 0, 5_000_000);
    let caller = scene.contract(0, code);
    let sender = scene.sender(1);
    scene.send(sender, TxEnv { gas_limit: 6_000_000, ..call(caller) });
    let expected = Expected::new(&scene.block, Mode::Validate, &scene.database());
    for workers in [1, 2] {
        let reads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&reads);
        let database = Hooked::watched(scene.database(), move |read| {
            seen.lock().expect("no panic holds it").push(read);
        });
        let mut executor = executor(workers, Policy::Auto, Mode::Validate);
        let found = executor.block(scene.block.clone()).database(database).execute();
        expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
        let reads = reads.lock().expect("no panic holds it");
        let of_vault = |vault: &Address| [Read::Account(*vault), Read::Slot(*vault, U256::ZERO)];
        for read in vaults.iter().flat_map(of_vault).chain([Read::BlockHash(999)]) {
            let times = reads.iter().filter(|other| **other == read).count();
            assert_eq!(times, 1, "{read:?}, {workers} workers");
        }
    }
}

/// A source that one worker cannot open.
#[derive(Debug)]
struct Closed {
    database: MemoryDatabase,
    to: WorkerId,
}

impl StateSource for Closed {
    type State = Faulty<MemoryDatabase>;

    fn open(&self, worker: WorkerId) -> Result<Self::State, Unreadable> {
        if worker == self.to {
            return Err(Unreadable(Read::BlockHash(u64::from(worker.0))));
        }
        Ok(Fault::Never.of(self.database.clone()))
    }
}

/// Transactions that this worker must run fail with its error. The transactions that others have
/// committed are right in any case.
#[test]
fn a_worker_without_a_database() {
    let scene = scene();
    let database = Fault::Never.of(scene.database());
    let expected = Expected::new(&scene.block, Mode::Validate, &database);
    for (workers, policy) in SETTINGS {
        let mut executor = executor(workers, policy, Mode::Validate);
        for to in 0..workers.min(3) {
            let closed = Closed { database: scene.database(), to: WorkerId(to) };
            match executor.block(scene.block.clone()).state(closed).execute() {
                Err(error) if to == 0 => {
                    assert_eq!(error.at, BlockPosition::PreBlock);
                    assert!(matches!(error.kind, BlockErrorKind::Base(_)));
                }
                Err(error) => {
                    assert!(matches!(error.kind, BlockErrorKind::Base(_)), "{error}");
                    let committed = &error.committed;
                    compare_prefix(
                        &scene.block,
                        Mode::Validate,
                        &scene.database(),
                        committed,
                        false,
                    )
                    .unwrap_or_else(|difference| panic!("{difference}"));
                }
                found => {
                    assert_ne!(to, 0);
                    expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
                }
            }
            let open = Cloned(database.clone());
            let found = executor.block(scene.block.clone()).state(open).execute();
            expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
        }
    }
}

/// A source that opens one handle.
#[derive(Debug)]
struct Once(MemoryDatabase, std::sync::atomic::AtomicBool);

impl StateSource for Once {
    type State = Faulty<MemoryDatabase>;

    fn open(&self, _: WorkerId) -> Result<Self::State, Unreadable> {
        if self.1.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return Err(Unreadable(Read::BlockHash(0)));
        }
        Ok(Fault::Never.of(self.0.clone()))
    }
}

/// In a sequential block, there is no handle, and the first transaction has no room: it is skipped
/// before the error counts.
#[test]
fn a_skip_after_a_handle_that_did_not_open() {
    let mut scene = scene();
    // Each of the others has a gas limit of a million.
    (scene.block.env.gas_limit, scene.block.transactions[0].gas_limit) = (1_500_000, 2_000_000);
    for workers in [1, 2] {
        let mut executor = executor(workers, Policy::Sequential, Mode::Build);
        let source = Once(scene.database(), false.into());
        let error =
            executor.block(scene.block.clone()).state(source).execute().expect_err("no handle");
        assert!(matches!(error.kind, BlockErrorKind::Base(_)), "{error}");
        assert_eq!(
            (error.at, error.committed.outcomes.len()),
            (BlockPosition::Transaction(TxIndex(1)), 1)
        );
    }
}

#[test]
fn a_borrowed_database_is_read_by_threads_of_the_call() {
    for seed in 0..40 {
        let case = Case::from_seed(seed);
        let database = case.database();
        let expected = Expected::new(&case.block, Mode::Build, &database);
        // A source that borrows its database.
        let borrowed = &database;
        for (workers, policy) in SETTINGS {
            let mut config = Config::with_workers(NonZeroU16::new(workers).expect("not 0"));
            config.policy = policy;
            config.engine.mode = Mode::Build;
            let found = execute_scoped(config, case.block.clone(), &borrowed);
            expected.compare(&found).unwrap_or_else(|difference| {
                panic!("seed {seed}, {workers} workers: {difference}")
            });
        }
    }
}

/// One executor through 200 blocks: valid, invalid, unreadable, cancelled, panicking.
#[test]
fn an_executor_survives_200_blocks_of_all_kinds() {
    for (workers, policy) in SETTINGS {
        let mut executor = executor(workers, policy, Mode::Validate);
        for round in 0..200 {
            let case = Case::from_seed(round % 50);
            let block: Arc<Block> = Arc::new(case.block.clone());
            let place = Read::Account(block.transactions[0].caller);
            match round % 5 {
                0 | 1 => {
                    let expected = Expected::new(&block, Mode::Validate, &case.database());
                    let found = executor.block(block).database(case.database()).execute();
                    expected.compare(&found).unwrap_or_else(|text| panic!("{round}: {text}"));
                }
                2 => {
                    let database = Fault::At(place).of(case.database());
                    let expected = Expected::new(&block, Mode::Validate, &database);
                    let found = executor.block(block).database(database).execute();
                    expected.compare(&found).unwrap_or_else(|text| panic!("{round}: {text}"));
                }
                3 => {
                    let stop = |_| ControlFlow::Break(());
                    let found = executor
                        .block(block)
                        .state(Cloned(case.database()))
                        .on_commit(stop)
                        .execute();
                    let committed = found.unwrap_or_else(|error| *error.committed);
                    assert!(committed.outcomes.len() <= case.block.transactions.len());
                }
                _ => {
                    let database = Fault::PanicAt(place).of(case.database());
                    let run = || executor.block(block).database(database).execute();
                    assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "{round}");
                }
            }
        }
    }
}

/// No worker holds a database or a block once all are idle, and dropping the executor ends its
/// threads.
#[test]
fn nothing_is_left_behind() {
    for (workers, policy) in SETTINGS {
        let mut executor = executor(workers, policy, Mode::Validate);
        let scene = scene();
        let block = Arc::new(scene.block.clone());
        let database = Arc::new(scene.database());
        for _ in 0..20 {
            let _ = executor.block(Arc::clone(&block)).database(Arc::clone(&database)).execute();
            executor.wait_idle();
            assert_eq!(Arc::strong_count(&block), 1);
            assert_eq!(Arc::strong_count(&database), 1);
        }
        drop(executor);
    }
}
