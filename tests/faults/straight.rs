//! Ends of sequential blocks: with and without a stream of commits, and while another worker builds
//! the bundle.

use crate::support::scene::{Scene, pay};
use alloy_primitives::Address;
use braid_blocks::faulty::{Fault, Faulty, Unreadable};
use braid_blocks::hooked::Read;
use braid_blocks::memory::MemoryDatabase;
use braid_evm::ids::WorkerId;
use braid_evm::{
    BlockError, BlockErrorKind, BlockOutput, BlockPosition, Config, Executor, Mode, Policy,
    Rejection, StateSource, TxIndex, execute_scoped,
};
use braid_testkit::lineup::executor;
use braid_testkit::oracle::{Expected, compare_prefix};
use core::ops::ControlFlow;
use revm::DatabaseRef;
use revm::primitives::hardfork::SpecId;
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// A source that opens one handle, for what comes before the transactions.
#[derive(Debug)]
struct Once(MemoryDatabase, AtomicBool);

/// What it fails with.
const CLOSED: Unreadable = Unreadable(Read::BlockHash(0));

impl StateSource for Once {
    type State = Faulty<MemoryDatabase>;

    fn open(&self, _: WorkerId) -> Result<Self::State, Unreadable> {
        match self.1.swap(true, Ordering::SeqCst) {
            false => Ok(Fault::Never.of(self.0.clone())),
            true => Err(CLOSED),
        }
    }
}

/// Payments by as many senders; the one at `large` asks for more gas than the block has.
fn payments(count: u64, large: Option<usize>) -> Scene {
    let mut scene = Scene::on(SpecId::PRAGUE);
    // Nothing but the transactions reads the state.
    scene.block.rules.system_calls = false;
    for number in 0..count {
        let sender = scene.sender(number);
        scene.send(sender, pay(Address::repeat_byte(0x77), 1));
    }
    for tx in &mut scene.block.transactions {
        tx.gas_limit = 21_000;
    }
    if let Some(tx) = large.and_then(|at| scene.block.transactions.get_mut(at)) {
        tx.gas_limit = scene.block.env.gas_limit + 1;
    }
    scene
}

type Found<S> = Result<BlockOutput, BlockError<<<S as StateSource>::State as DatabaseRef>::Error>>;

/// Executes the block, and returns the indices of the commits that the callback heard of.
fn run<S: StateSource + 'static>(
    executor: &mut Executor,
    scene: &Scene,
    source: S,
    is_streamed: bool,
) -> (Found<S>, Vec<usize>) {
    let mut heard = Vec::new();
    let request = executor.block(scene.block.clone()).state(source);
    let found = match is_streamed {
        false => request.execute(),
        true => request
            .on_commit(|committed| {
                heard.push(committed.tx.position());
                ControlFlow::Continue(())
            })
            .execute(),
    };
    (found, heard)
}

/// A transaction without room needs no state: it is refused or skipped before the state counts.
#[test]
fn a_state_that_does_not_open_is_blamed_on_the_first_transaction_with_room() {
    for (workers, is_streamed) in [(1, false), (1, true), (2, false), (2, true)] {
        for (mode, large, at, committed) in
            [(Mode::Validate, None, 0, 0), (Mode::Build, None, 0, 0), (Mode::Build, Some(0), 1, 1)]
        {
            let mut executor = executor(workers, Policy::Sequential, mode);
            let scene = payments(3, large);
            let source = Once(scene.database(), false.into());
            let (found, heard) = run(&mut executor, &scene, source, is_streamed);
            let error = found.expect_err("no state");
            assert!(matches!(error.kind, BlockErrorKind::Base(CLOSED)), "{error}");
            assert_eq!(error.at, BlockPosition::Transaction(TxIndex(at)));
            assert_eq!(error.committed.outcomes.len(), committed);
            assert_eq!(heard.len(), if is_streamed { committed } else { 0 });
        }
        let mut executor = executor(workers, Policy::Sequential, Mode::Validate);
        let scene = payments(3, Some(0));
        let source = Once(scene.database(), false.into());
        let (found, heard) = run(&mut executor, &scene, source, is_streamed);
        let error = found.expect_err("no room");
        let kind = &error.kind;
        assert!(matches!(kind, BlockErrorKind::Invalid(Rejection::BlockGas { .. })), "{error}");
        assert_eq!((error.at, heard.len()), (BlockPosition::Transaction(TxIndex(0)), 0));
    }
}

#[test]
fn a_block_without_room_ends_before_that_transaction_in_a_stream_too() {
    let scene = payments(4, Some(2));
    for (workers, is_streamed) in [(1, false), (1, true), (2, true)] {
        let mut executor = executor(workers, Policy::Sequential, Mode::Validate);
        let source = braid_evm::Cloned(scene.database());
        let (found, heard) = run(&mut executor, &scene, source, is_streamed);
        let error = found.expect_err("no room");
        let kind = &error.kind;
        assert!(matches!(kind, BlockErrorKind::Invalid(Rejection::BlockGas { .. })), "{error}");
        assert_eq!(error.at, BlockPosition::Transaction(TxIndex(2)));
        assert_eq!(error.committed.receipts.len(), 2);
        assert_eq!(heard, if is_streamed { vec![0, 1] } else { Vec::new() });
    }
}

/// Long enough for another worker to build the bundle meanwhile.
const LONG: u64 = 1_200;

/// Where the long blocks end.
const LAST: usize = 700;

/// However a block ends, the worker that builds its bundle is not left waiting, and the executor
/// goes on.
#[test]
fn a_long_block_ends_anywhere_and_the_next_one_runs() {
    let mut scene = payments(LONG, None);
    scene.block.env.gas_limit = 60_000_000;
    let place = Read::Account(scene.block.transactions[LAST].caller);
    let database = Fault::Never.of(scene.database());
    let expected = Expected::new(&scene.block, Mode::Validate, &database);
    let mut executor = executor(2, Policy::Sequential, Mode::Validate);
    let runs_again = |executor: &mut Executor, why: &str| {
        let found = executor.block(scene.block.clone()).database(database.clone()).execute();
        expected.compare(&found).unwrap_or_else(|difference| panic!("after {why}: {difference}"));
    };
    runs_again(&mut executor, "nothing");
    for is_panic in [false, true] {
        let mut ends = || {
            let request = executor.block(scene.block.clone()).database(database.clone());
            let on_commit = |committed: braid_evm::Committed| match committed.tx.position() {
                LAST if is_panic => panic!("the caller"),
                LAST => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            };
            request.on_commit(on_commit).execute()
        };
        let ended = catch_unwind(AssertUnwindSafe(&mut ends));
        assert_eq!(ended.is_err(), is_panic);
        if let Ok(found) = ended {
            let error = found.expect_err("it was ended");
            assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{error}");
            assert_eq!(error.committed.outcomes.len(), LAST + 1);
            let prefix = &error.committed;
            compare_prefix(&scene.block, Mode::Validate, &database, prefix, false)
                .unwrap_or_else(|difference| panic!("{difference}"));
        }
        runs_again(&mut executor, "an end by the caller");
    }
    for (fault, is_panic) in [(Fault::At(place), false), (Fault::PanicAt(place), true)] {
        let faulty = fault.of(scene.database());
        let own = || executor.block(scene.block.clone()).database(faulty.clone()).execute();
        let mut config = Config::with_workers(NonZeroU16::new(2).expect("not 0"));
        config.policy = Policy::Sequential;
        let scoped = || execute_scoped(config, scene.block.clone(), &&faulty);
        for ended in [catch_unwind(AssertUnwindSafe(own)), catch_unwind(AssertUnwindSafe(scoped))] {
            match ended {
                Ok(found) => {
                    let error = found.expect_err("it cannot be read");
                    assert!(!is_panic && matches!(error.kind, BlockErrorKind::Base(_)), "{error}");
                    assert_eq!(error.at, BlockPosition::Transaction(TxIndex(LAST as u32)));
                    assert_eq!(error.committed.outcomes.len(), LAST);
                }
                Err(payload) => {
                    assert!(is_panic);
                    assert_eq!(payload.downcast_ref::<Unreadable>(), Some(&Unreadable(place)));
                }
            }
        }
        runs_again(&mut executor, "a fault of the database");
    }
}
