//! User code that panics, or swallows errors that it must pass on.

use crate::support::scene::{Scene, call, pay, storage};
use alloy_primitives::{Address, Bytes, U256};
use braid_blocks::code::Code;
use braid_blocks::faulty::{Fault, Unreadable};
use braid_blocks::hooked::Read;
use braid_blocks::memory::MemoryAccount;
use braid_evm::{
    BlockErrorKind, Cloned, Executor, Forced, Mode, Outcome, Policy, Precompile, PrecompileCall,
    PrecompileState,
};
use braid_testkit::lineup::{SETTINGS, executor};
use braid_testkit::oracle::Expected;
use braid_testkit::pace::Gate;
use core::ops::ControlFlow;
use revm::bytecode::opcode;
use revm::precompile::{PrecompileError, PrecompileOutput};
use revm::primitives::hardfork::SpecId;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const PLACE: Address = Address::repeat_byte(0xfa);

/// Behaviour of a precompile that reads slot 0 of a contract.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// Returns the value.
    Returns,
    /// Panics at this value.
    PanicsAt(u64),
    /// Returns a made-up value if the read fails, in breach of its contract.
    MakesUp,
    /// Panics if the read fails, with a payload that panics when it is dropped.
    PanicsIfRefused,
}

/// A precompile that reads slot 0 of a contract.
#[derive(Debug)]
struct Reader {
    of: Address,
    habit: Habit,
    calls: AtomicU64,
}

impl Reader {
    fn new(of: Address, habit: Habit) -> Arc<Self> {
        Arc::new(Self { of, habit, calls: AtomicU64::new(0) })
    }
}

/// Payload of the precompile's panics.
#[derive(Debug, PartialEq, Eq)]
struct Payload(u64);

/// A payload that panics when it is dropped.
struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("a payload was dropped");
    }
}

impl Precompile for Reader {
    fn address(&self) -> Address {
        PLACE
    }

    fn call(
        &self,
        call: PrecompileCall<'_>,
        state: &mut dyn PrecompileState,
    ) -> Result<PrecompileOutput, PrecompileError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let value = match (state.slot(self.of, U256::ZERO), self.habit) {
            (Ok(value), Habit::PanicsAt(bad)) if value == U256::from(bad) => {
                std::panic::panic_any(Payload(bad))
            }
            (Ok(value), _) => value,
            (Err(_), Habit::MakesUp) => U256::from(12_345),
            (Err(_), Habit::PanicsIfRefused) => std::panic::panic_any(PanicsAgain),
            (Err(unavailable), _) => return Err(unavailable.into()),
        };
        let output = Bytes::copy_from_slice(&value.to_be_bytes::<32>());
        Ok(call.success(100, output))
    }
}

/// Returns calls that each increment slot 0 and store the precompile's earlier answer in slot
/// `index`.
fn counting(senders: u64) -> (Scene, Address) {
    let mut scene = Scene::on(SpecId::OSAKA);
    let code = Code::new().push(32).push(0).push(0).push(0).push(0).address(PLACE).push(50_000);
    let code = code.op(opcode::CALL).op(opcode::POP).push(0).op(opcode::MLOAD);
    let code = code.sload(0).push(1).op(opcode::ADD).op(opcode::SSTORE).increment(0, 1);
    let counter = scene.contract(0, code);
    for index in 0..senders {
        let sender = scene.sender(index);
        scene.send(sender, call(counter));
    }
    (scene, counter)
}

fn with((workers, policy): (u16, Policy), precompile: &Arc<Reader>) -> Executor {
    let executor = executor(workers, policy, Mode::Validate);
    executor.with_precompiles(vec![Arc::<Reader>::clone(precompile)])
}

/// Checks that each slot holds the number of transactions before it.
fn check_counts(executor: &mut Executor, scene: &Scene, counter: Address, senders: u64) {
    let block = Arc::new(scene.block.clone());
    for offset in [0, 1] {
        let gate = Arc::new(Gate::pairs(&block, offset, Duration::from_millis(20)));
        let database = gate.guard(scene.database());
        let output =
            executor.block(Arc::clone(&block)).database(database).execute().expect("a valid block");
        let account = output.bundle.account(&counter).expect("it counted");
        for index in 1..senders {
            let slot = account.storage.get(&U256::from(index + 1)).map(|slot| slot.present_value);
            assert_eq!(slot, Some(U256::from(index)));
        }
    }
}

#[test]
fn what_a_precompile_reads_is_recorded() {
    for setting in SETTINGS {
        let (scene, counter) = counting(12);
        let precompile = Reader::new(counter, Habit::Returns);
        check_counts(&mut with(setting, &precompile), &scene, counter, 12);
        assert!(precompile.calls.load(Ordering::SeqCst) >= 24);
    }
}

/// A stopped view stays stopped, whatever the precompile does with the error.
#[test]
fn a_precompile_that_swallows_errors_does_no_harm() {
    for setting in SETTINGS {
        for _ in 0..5 {
            let (scene, counter) = counting(12);
            let precompile = Reader::new(counter, Habit::MakesUp);
            check_counts(&mut with(setting, &precompile), &scene, counter, 12);
        }
    }
}

#[test]
fn a_database_error_surfaces_though_a_precompile_swallows_it() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol] = scene.senders();
    let (read, ask) = (Address::repeat_byte(0x3d), Code::new().call(PLACE, 0, 50_000));
    let ask = scene.contract(0, ask.sstore_top(0));
    scene.fund(read, 1);
    scene.send(alice, pay(bob, 1));
    scene.send(bob, call(ask));
    scene.send(carol, call(ask));
    let precompile = Reader::new(read, Habit::MakesUp);
    for setting in SETTINGS {
        let place = Read::Slot(read, U256::ZERO);
        let database = Fault::At(place).of(scene.database());
        let error = with(setting, &precompile)
            .block(scene.block.clone())
            .database(database)
            .execute()
            .expect_err("the slot is unreadable");
        assert_eq!(error.at.to_string(), "transaction 1");
        assert!(matches!(error.kind, BlockErrorKind::Base(Unreadable(at)) if at == place));
        assert_eq!(error.committed.outcomes.len(), 1);
    }
}

/// The slot is never 0 when the precompile is finally called, because the first transaction sets
/// it.
#[test]
fn a_panic_on_a_wrong_guess_is_dropped() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol, dave] = scene.senders();
    let set = scene.contract(0, Code::new().increment(0, 1));
    let ask = scene.contract(1, Code::new().call(PLACE, 0, 50_000).sstore_top(0));
    scene.send(alice, call(set));
    for sender in [bob, carol, dave] {
        scene.send(sender, call(ask));
    }
    let block = Arc::new(scene.block.clone());
    for setting in SETTINGS {
        let precompile = Reader::new(set, Habit::PanicsAt(0));
        let mut executor = with(setting, &precompile);
        for _ in 0..20 {
            let gate = Arc::new(Gate::pairs(&block, 0, Duration::from_millis(20)));
            let database = gate.guard(scene.database());
            let output = executor
                .block(Arc::clone(&block))
                .database(database)
                .execute()
                .expect("a valid block");
            let account = output.bundle.account(&ask).expect("it asked");
            let answer = account.storage.get(&U256::ZERO).map(|slot| slot.present_value);
            assert_eq!(answer, Some(U256::ONE));
        }
        let calls = precompile.calls.load(Ordering::SeqCst);
        assert!(calls >= 60, "{calls}");
    }
}

/// Whether an account without nonce and code has changed decides how its storage is read. Such a
/// read may therefore be refused until everything below is final, or the account has left the
/// journal.
fn refusing(goes_on_reading: bool) -> (Scene, Address) {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol] = scene.senders();
    let odd = Address::repeat_byte(0x77);
    let (balance, storage) = (U256::ONE, storage([(0, 40)]));
    scene.put(odd, MemoryAccount { balance, storage, ..Default::default() });
    let ask = Code::new().increment(1, 1).call(PLACE, 0, 50_000);
    let ask = scene.contract(0, if goes_on_reading { ask.sstore_top(0) } else { ask });
    // The intermediate call leaves memory and frames of its own behind.
    let through = Code::new().call(ask, 0, 200_000);
    let through = scene.contract(1, if goes_on_reading { through.sstore_top(0) } else { through });
    scene.send(alice, pay(bob, 1));
    scene.send(bob, call(through));
    scene.send(alice, pay(odd, 1));
    scene.send(carol, call(through));
    (scene, odd)
}

#[test]
fn what_comes_of_a_read_that_is_refused_is_dropped() {
    for (goes_on_reading, habit) in
        [(true, Habit::PanicsIfRefused), (true, Habit::MakesUp), (false, Habit::MakesUp)]
    {
        let (scene, odd) = refusing(goes_on_reading);
        let block = Arc::new(scene.block.clone());
        let run = |mut executor: Executor| {
            executor.block(Arc::clone(&block)).database(scene.database()).execute()
        };
        let run_heard = |mut executor: Executor| {
            let source = Cloned(scene.database());
            executor
                .block(Arc::clone(&block))
                .state(source)
                .on_commit(|_| ControlFlow::Continue(()))
                .execute()
        };
        let plain = Reader::new(odd, Habit::Returns);
        let expected =
            run(with((1, Policy::Forced(Forced::Speculative)), &plain)).expect("a valid block");
        for setting in SETTINGS {
            let precompile = Reader::new(odd, habit);
            let found = run(with(setting, &precompile)).expect("a valid block");
            assert_eq!(found.outcomes, expected.outcomes, "{habit:?} {setting:?}");
            assert_eq!(found.bundle, expected.bundle, "{habit:?} {setting:?}");
            if setting.1 == Policy::Sequential {
                assert!(precompile.calls.load(Ordering::SeqCst) > 2, "nothing was refused");
            }
        }
        let alone = || with((1, Policy::Sequential), &Reader::new(odd, habit));
        let found = run_heard(alone()).expect("a valid block");
        assert_eq!(found.bundle, expected.bundle, "{habit:?}, with a listener");
        #[cfg(feature = "mutants")]
        if !goes_on_reading {
            let _bug = braid_evm::mutants::seed(braid_evm::mutants::Bug::StoppedStays);
            for found in [run(alone()), run_heard(alone())] {
                let survived = found.is_ok_and(|found| found.bundle == expected.bundle);
                assert!(!survived, "a run that was refused a read has left something");
            }
        }
    }
}

/// I9: a transaction that cannot fit the block never runs, not even speculatively.
#[test]
fn a_transaction_that_cannot_fit_never_runs() {
    let (mut scene, counter) = counting(12);
    scene.block.env.gas_limit = 4_000_000;
    for tx in &mut scene.block.transactions {
        tx.gas_limit = 4_000_001;
    }
    let [alice, bob] = scene.senders();
    scene.send(alice, pay(bob, 1));
    for (workers, policy) in SETTINGS {
        let precompile = Reader::new(counter, Habit::Returns);
        let executor = executor(workers, policy, Mode::Build);
        let mut executor = executor.with_precompiles(vec![Arc::<Reader>::clone(&precompile)]);
        let output = executor
            .block(scene.block.clone())
            .database(scene.database())
            .execute()
            .expect("built");
        assert_eq!(output.receipts.len(), 1);
        assert_eq!(precompile.calls.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn a_real_panic_is_raised_once_with_its_payload() {
    let (scene, counter) = counting(10);
    let block = Arc::new(scene.block.clone());
    let plain = Reader::new(counter, Habit::Returns);
    let reference = with(SETTINGS[0], &plain)
        .block(Arc::clone(&block))
        .database(scene.database())
        .execute()
        .expect("valid");
    for setting in SETTINGS {
        // The sixth transaction reads a 5.
        let precompile = Reader::new(counter, Habit::PanicsAt(5));
        let mut executor = with(setting, &precompile);
        for _ in 0..10 {
            let run = || executor.block(Arc::clone(&block)).database(scene.database()).execute();
            let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
            assert_eq!(payload.downcast_ref::<Payload>(), Some(&Payload(5)));
            // A block without a sixth transaction is unaffected.
            let mut short = scene.block.clone();
            short.transactions.truncate(5);
            let output =
                executor.block(short).database(scene.database()).execute().expect("a valid block");
            assert_eq!(output.outcomes, reference.outcomes[..5]);
        }
    }
}

#[test]
fn a_panic_of_the_database_is_raised_where_sequential_execution_meets_it() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let senders: [Address; 5] = scene.senders();
    let stranger = Address::repeat_byte(0x66);
    for (index, sender) in senders.into_iter().enumerate() {
        let to = if index == 3 { stranger } else { senders[(index + 1) % 5] };
        scene.send(sender, pay(to, 1));
    }
    let block = Arc::new(scene.block.clone());
    for (workers, policy) in SETTINGS {
        let mut executor = executor(workers, policy, Mode::Validate);
        for _ in 0..10 {
            let place = Read::Account(stranger);
            let database = Fault::PanicAt(place).of(scene.database());
            let run = || executor.block(Arc::clone(&block)).database(database).execute();
            let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
            assert_eq!(payload.downcast_ref::<Unreadable>(), Some(&Unreadable(place)));
        }
        let database = Fault::Never.of(scene.database());
        let expected = Expected::new(&block, Mode::Validate, &database);
        let found = executor.block(Arc::clone(&block)).database(database).execute();
        expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
    }
}

/// Also in the database reads of pre-block and post-block calls.
#[test]
fn panics_outside_the_transactions_are_raised() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    scene.send(alice, pay(bob, 1));
    scene.send(bob, pay(alice, 1));
    let block = Arc::new(scene.block.clone());
    let before = alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
    let after = alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS;
    let mut executor = executor(3, Policy::Forced(Forced::Speculative), Mode::Validate);
    for place in [before, after].map(Read::Account) {
        let database = Fault::PanicAt(place).of(scene.database());
        let run = || executor.block(Arc::clone(&block)).database(database).execute();
        let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
        assert_eq!(payload.downcast_ref::<Unreadable>(), Some(&Unreadable(place)));
    }
    let output = executor.block(block).database(scene.database()).execute().expect("a valid block");
    assert!(output.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Executed(_))));
}
