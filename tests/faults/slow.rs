//! Extra workers while most of them wait for the database.

use crate::support::scene::{Scene, call_with, pay};
use alloy_primitives::Address;
use braid_blocks::code::Code;
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::MemoryDatabase;
use braid_evm::ids::WorkerId;
use braid_evm::{Block, Forced, Mode, Policy, StateSource};
use braid_testkit::generate::Case;
use braid_testkit::lineup::executor;
use braid_testkit::oracle::Expected;
use core::convert::Infallible;
use revm::bytecode::opcode;
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

type Waiting = Hooked<MemoryDatabase>;

/// Number of readers inside the database: current and maximum.
type Inside = Arc<(AtomicUsize, AtomicUsize)>;

/// Returns a slow database that counts the readers inside it.
fn counting(database: &MemoryDatabase, inside: Inside) -> Waiting {
    Hooked::watched(database.clone(), move |read| {
        if matches!(read, Read::Account(_) | Read::Slot(..)) {
            let (now, most) = &*inside;
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_micros(300));
            now.fetch_sub(1, Ordering::SeqCst);
        }
    })
}

fn waiting(database: &MemoryDatabase) -> Waiting {
    counting(database, Inside::default())
}

/// Handles that exclude each other.
struct OneAtATime(Waiting);

impl StateSource for OneAtATime {
    type State = Waiting;

    fn open(&self, _: WorkerId) -> Result<Waiting, Infallible> {
        Ok(self.0.clone())
    }

    fn reads_overlap(&self) -> bool {
        false
    }
}

fn payments(count: u64) -> (Arc<Block>, MemoryDatabase) {
    let mut scene = Scene::on(SpecId::OSAKA);
    for index in 0..count {
        let sender = scene.sender(index);
        scene.send(sender, pay(Address::with_last_byte(200), 1));
    }
    (Arc::new(scene.block.clone()), scene.database())
}

#[test]
fn more_workers_wait_where_storage_is_slow() {
    let (block, database) = payments(400);
    let expected = Expected::new(&block, Mode::Validate, &database);
    let mut executor = executor(2, Policy::Forced(Forced::Speculative), Mode::Validate);
    // Two readers cannot be inside at once, which is no reason for extra workers.
    for _ in 0..2 {
        let source = OneAtATime(waiting(&database));
        let output = executor.block(block.clone()).state(source).execute().expect("a valid block");
        assert_eq!(output.stats.workers, 2);
    }
    let mut run = || {
        let inside = Inside::default();
        let database = counting(&database, Arc::clone(&inside));
        let found = executor.block(block.clone()).database(database).execute();
        expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
        (found.expect("a valid block").stats.workers, inside.1.load(Ordering::SeqCst))
    };
    let (workers, inside) = run();
    assert!((workers, inside) <= (2, 2), "{workers} workers, {inside} inside");
    let (workers, inside) = run();
    assert_eq!(workers, 16);
    assert!(inside > 2, "{inside} inside at a time");
    // In memory no worker waits.
    let fast = || {
        executor
            .block(block.clone())
            .database(database.clone())
            .execute()
            .expect("valid")
            .stats
            .workers
    };
    let workers: Vec<u64> = std::iter::repeat_with(fast).take(3).collect();
    assert_eq!(workers.last(), Some(&2), "{workers:?}");
}

/// Returns 400 calls of a contract that counts them, each in its own slot or all in one.
fn counted(slot: fn(u64) -> u64) -> (Arc<Block>, MemoryDatabase) {
    let mut scene = Scene::on(SpecId::OSAKA);
    let named = |code: Code| code.push(0).op(opcode::CALLDATALOAD);
    let code = named(Code::new()).op(opcode::SLOAD).push(1).op(opcode::ADD);
    let counter = scene.contract(0, named(code).op(opcode::SSTORE));
    for index in 0..400 {
        let sender = scene.sender(index);
        scene.send(sender, call_with(counter, slot(index)));
    }
    (Arc::new(scene.block.clone()), scene.database())
}

/// Speculative runs fetch values for later runs, however often they abort.
#[test]
fn speculation_is_not_given_up_where_storage_is_slow() {
    let mut executor = executor(2, Policy::Auto, Mode::Validate);
    let mut run = |slot| {
        let (block, database) = counted(slot);
        let found = executor.block(block).database(waiting(&database)).execute();
        found.expect("a valid block").stats
    };
    let (own, one) = (|index| index, |_| 0);
    run(own);
    run(own);
    let stats = run(one);
    assert_eq!((stats.workers, stats.fallback_segments), (16, 0), "{stats:?}");
}

/// At most eight of twelve workers run transactions that may conflict: only their waiting counts.
#[test]
fn more_workers_wait_also_where_not_all_had_something_to_do() {
    let (block, database) = payments(400);
    let mut executor = executor(12, Policy::Forced(Forced::Speculative), Mode::Validate);
    let mut run = || {
        executor
            .block(block.clone())
            .database(waiting(&database))
            .execute()
            .expect("a valid block")
            .stats
            .workers
    };
    assert_eq!([run(), run()], [8, 96]);
}

/// A single sequential worker is always inside the database when sampled, which says nothing.
#[test]
fn a_block_in_order_does_not_ask_for_more_workers() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let sender = scene.sender(0);
    for index in 0..400_u64 {
        scene.send(sender, pay(Address::left_padding_from(&(index + 1_000).to_be_bytes()), 1));
    }
    let (block, database) = (Arc::new(scene.block.clone()), scene.database());
    let mut executor = executor(4, Policy::Auto, Mode::Validate);
    for _ in 0..3 {
        let stats = executor
            .block(block.clone())
            .database(database.clone())
            .execute()
            .expect("valid")
            .stats;
        assert_eq!((stats.sequential, stats.workers), (true, 1));
    }
}

/// The last block's storage latency decides how many workers the next block has, and affects no
/// result.
#[test]
fn how_many_workers_there_are_changes_no_result() {
    let (block, database) = payments(160);
    let mut widths = BTreeSet::new();
    for policy in [Policy::Forced(Forced::Speculative), Policy::Auto] {
        let mut executor = executor(2, policy, Mode::Build);
        for seed in 0..40_u64 {
            let told = match seed % 4 {
                0 => {
                    Some(executor.block(Arc::clone(&block)).database(waiting(&database)).execute())
                }
                2 => Some(executor.block(Arc::clone(&block)).database(database.clone()).execute()),
                _ => None,
            };
            assert!(told.is_none_or(|told| told.is_ok()), "seed {seed}");
            let case = Case::from_seed(seed);
            let expected = Expected::new(&case.block, Mode::Build, &case.database());
            let block = Arc::new(case.block.clone());
            let found = match seed % 3 {
                0 => executor.block(block).database(waiting(&case.database())).execute(),
                _ => executor.block(block).database(case.database()).execute(),
            };
            expected.compare(&found).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
            let stats = found.map_or_else(|error| error.committed.stats, |output| output.stats);
            widths.insert(stats.workers);
        }
    }
    assert!(widths.is_superset(&BTreeSet::from([2, 16])), "{widths:?}");
}
