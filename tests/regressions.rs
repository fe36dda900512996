//! One test for each bug that needs a particular order of events or a failing database.

use crate::support::POLICIES;
use crate::support::scene::{
    BENEFICIARY, Scene, authorization, call, create, delegate, pay, rich, storage,
};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::faulty::{Fault, Faults};
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_blocks::sequential;
use braid_evm::{
    Block, BlockErrorKind, BlockOutput, Cloned, Committed, Config, Executor, Forced, Mode, Policy,
    Rejection, TransactionPool,
};
use core::ops::ControlFlow;
use revm::DatabaseRef;
use revm::bytecode::{Bytecode, opcode};
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use std::num::NonZeroU16;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

fn speculative(workers: u16) -> Config {
    let mut config = Config::with_workers(NonZeroU16::new(workers).unwrap());
    config.policy = Policy::Forced(Forced::Speculative);
    config
}

/// Returns configurations of each strategy, with one worker and with two.
fn strategies() -> Vec<Config> {
    let with = |policy| [1, 2].map(|workers| set(speculative(workers), |it| it.policy = policy));
    POLICIES.into_iter().flat_map(with).collect()
}

fn set(mut config: Config, change: impl FnOnce(&mut Config)) -> Config {
    change(&mut config);
    config
}

/// Returns where the block ends on a database that fails at `refused`, if it does.
///
/// # Panics
/// A strategy differs from sequential execution.
#[track_caller]
fn without(scene: &Scene, refused: Read) -> Result<(), String> {
    let database = Fault::At(refused).of(scene.database());
    let expected = sequential::execute(&(&scene.block).into(), database.clone());
    let expected = expected.map(drop).map_err(|error| error.at.to_string());
    for config in strategies() {
        let mut executor = Executor::new(config).unwrap();
        let found = executor.block(scene.block.clone()).database(database.clone()).execute();
        let found = found.map(drop).map_err(|error| error.at.to_string());
        assert_eq!(expected, found, "{config:?}");
    }
    expected
}

#[test]
fn a_beneficiary_that_is_never_read_may_be_unreadable() {
    let mut scene = Scene::on(SpecId::SHANGHAI);
    assert_eq!(without(&scene, Read::Account(BENEFICIARY)), Ok(()), "an empty block");
    let [alice] = scene.senders();
    scene.set_nonce(alice, 9);
    scene.send(alice, pay(alice, 1));
    assert!(without(&scene, Read::Account(BENEFICIARY)).is_err(), "an invalid first transaction");
}

#[test]
fn slots_of_a_contract_of_this_block_are_not_asked_of_the_database() {
    let mut scene = Scene::on(SpecId::SHANGHAI);
    let [alice, bob] = scene.senders();
    let new = alice.create(0);
    scene.send(alice, create(deploying(Code::new().sload(7).sstore_top(2))));
    scene.send(bob, call(new));
    assert_eq!(without(&scene, Read::Slot(new, U256::from(7))), Ok(()));
}

/// An account that has a balance and, in the database, a slot is created by a delegation in this
/// block: from then on its slots are zero, whatever the database holds.
#[test]
fn slots_of_an_account_of_this_block_are_not_asked_of_the_database() {
    for spec in [SpecId::PRAGUE, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        let odd = Address::repeat_byte(0x77);
        let (balance, storage) = (U256::ONE, storage([(0, 7)]));
        scene.put(odd, MemoryAccount { balance, storage, ..MemoryAccount::default() });
        let sum = Code::new().sload(0).push(100).op(opcode::ADD).sstore_top(1);
        let target = scene.contract(0, sum.op(opcode::STOP));
        scene.send(alice, delegate(vec![authorization(odd, target, 0)], bob));
        scene.send(bob, call(odd));
        assert_eq!(without(&scene, Read::Slot(odd, U256::ZERO)), Ok(()), "{spec:?}");
        assert_eq!(scene.play().slot(odd, 1), Some(U256::from(100)), "{spec:?}");
    }
}

/// The reads of a block without transactions are those of sequential execution, in each strategy.
#[test]
fn who_is_paid_nothing_is_not_looked_at() {
    for spec in [SpecId::SHANGHAI, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let scene = Scene::on(spec);
        let reads = Faults::new(Fault::Never);
        sequential::execute(&(&scene.block).into(), reads.of(scene.database())).expect("valid");
        let expected = reads.asked();
        assert!(!expected.contains(&Read::Account(BENEFICIARY)), "nothing pays the beneficiary");
        for config in strategies() {
            for mode in [Mode::Validate, Mode::Build] {
                let reads = Faults::new(Fault::Never);
                let mut executor =
                    Executor::new(set(config, |it| it.engine.mode = mode)).expect("threads start");
                let database = reads.of(scene.database());
                let request = executor.block(scene.block.clone()).database(database);
                request.execute().expect("a valid block");
                assert_eq!(reads.asked(), expected, "{spec:?}, {mode:?}, {config:?}");
            }
        }
    }
}

/// A pool without transactions.
struct Dry;

impl TransactionPool for Dry {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        None
    }

    fn skipped(&mut self, _: &TxEnv, reason: &Rejection) {
        panic!("there is nothing to skip: {reason}");
    }
}

/// Whether a pool has transactions is not known when the beneficiary is read. If it has none, the
/// beneficiary may be unreadable.
#[test]
fn a_beneficiary_that_an_empty_pool_never_pays_may_be_unreadable() {
    let scene = Scene::on(SpecId::OSAKA);
    let beneficiary = Read::Account(BENEFICIARY);
    for config in strategies() {
        for fault in [Fault::At(beneficiary), Fault::PanicAt(beneficiary)] {
            let mut executor = Executor::new(config).expect("threads start");
            let request = executor.block(scene.block.clone());
            let built = request.database(fault.of(scene.database())).build(&mut Dry);
            let built = built.expect("an empty block");
            assert!(built.block.transactions.is_empty());
            assert_equal(&scene, &scene.block, &built.output);
        }
    }
}

/// A database whose accounts bring their code along. `odd` has the hash of the empty code next to
/// its code.
#[derive(Clone)]
struct Inline {
    inner: MemoryDatabase,
    odd: Address,
}

impl DatabaseRef for Inline {
    type Error = core::convert::Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Self::Error> {
        let Some(mut info) = self.inner.basic_ref(address)? else { return Ok(None) };
        info.code = Some(self.inner.code_by_hash_ref(info.code_hash)?);
        if address == self.odd {
            info.code_hash = KECCAK256_EMPTY;
        }
        Ok(Some(info))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Self::Error> {
        self.inner.code_by_hash_ref(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Self::Error> {
        self.inner.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Self::Error> {
        self.inner.block_hash_ref(number)
    }
}

/// The contract is called by a transaction and by a contract, and sends a transaction, as if it had
/// no code.
#[test]
fn code_beside_the_hash_of_the_empty_code_is_ignored() {
    for spec in [SpecId::SHANGHAI, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice] = scene.senders();
        let odd = Address::repeat_byte(0x77);
        let code = Code::new().increment(0, 1);
        scene.put(odd, MemoryAccount { code: code.bytes(), ..rich() });
        let looks = Code::new().call(odd, 0, 50_000).address(odd).op(opcode::EXTCODESIZE);
        let looks = looks.push(7).op(opcode::ADD).sstore_top(0);
        let looks = scene.contract(0, looks.op(opcode::STOP));
        scene.send(alice, call(odd));
        scene.send(alice, call(looks));
        scene.send(odd, pay(alice, 1));
        let database = Inline { inner: scene.database(), odd };
        scene.put(odd, rich());
        for config in strategies() {
            let mut executor = Executor::new(config).expect("threads start");
            let request = executor.block(scene.block.clone()).database(database.clone());
            assert_equal(&scene, &scene.block, &request.execute().expect("a valid block"));
        }
    }
}

/// Lets one thread wait for another, with a time limit.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        let open = self.0.lock().unwrap();
        let _ = self.1.wait_timeout_while(open, Duration::from_secs(3), |open| !*open).unwrap();
    }
}

/// Transaction 0 touches an artificial account (storage, neither nonce nor code) and changes
/// nothing, after transaction 1 has read a slot of it. No value differs, but revm's `State` treats
/// the storage of the touched account as zero.
#[test]
fn a_touch_that_changes_no_value_is_seen() {
    let mut scene = Scene::on(SpecId::PRAGUE);
    let [alice, bob] = scene.senders();
    let odd = Address::repeat_byte(0x77);
    let late = Address::repeat_byte(0x55);
    let made_up =
        MemoryAccount { balance: U256::from(5), storage: storage([(0, 40)]), ..Default::default() };
    scene.put(odd, made_up);
    let code = Code::new().sload(0).sstore_top(2).balance(late).op(opcode::POP);
    let target = scene.contract(0, code);
    scene.send(alice, pay(odd, 0));
    scene.send(bob, delegate(vec![authorization(odd, target, 0)], odd));
    let (read, committed) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
    let (has_read, is_committed) = (Arc::clone(&read), Arc::clone(&committed));
    let database = Hooked::watched(scene.database(), move |asked| match asked {
        Read::Account(address) if address == alice => read.wait(),
        Read::Slot(address, slot) if address == odd && slot.is_zero() => has_read.open(),
        Read::Account(address) if address == late => committed.wait(),
        _ => {}
    });
    let block = Arc::new(scene.block.clone());
    let mut config = speculative(2);
    config.engine.max_speculative_runs = 1;
    let on_commit = move |outcome: Committed| {
        if outcome.tx.0 == 0 {
            is_committed.open();
        }
        ControlFlow::Continue(())
    };
    let mut executor = Executor::new(config).unwrap();
    let found =
        executor.block(Arc::clone(&block)).state(Cloned(database)).on_commit(on_commit).execute();
    assert_equal(&scene, &block, &found.unwrap());
}

#[track_caller]
fn assert_equal(scene: &Scene, block: &Block, found: &BlockOutput) {
    let expected = sequential::execute(&block.into(), scene.database()).unwrap();
    let differences = braid_blocks::compare::braid::outputs(&expected, found);
    assert!(differences.is_empty(), "{:?}", differences.lines());
}

/// A database that only its own thread may clone.
struct Homebody(MemoryDatabase, std::thread::ThreadId);

impl Clone for Homebody {
    fn clone(&self) -> Self {
        assert_eq!(std::thread::current().id(), self.1, "cloned elsewhere");
        Self(self.0.clone(), self.1)
    }
}

impl DatabaseRef for Homebody {
    type Error = core::convert::Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Self::Error> {
        self.0.basic_ref(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Self::Error> {
        self.0.code_by_hash_ref(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Self::Error> {
        self.0.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Self::Error> {
        self.0.block_hash_ref(number)
    }
}

#[test]
fn workers_beyond_the_most_are_not_started() {
    // A system may refuse as many threads.
    if let Ok(most) = Executor::new(Config::with_workers(NonZeroU16::new(1_500).unwrap())) {
        assert_eq!(most.config().workers.get(), 1_024);
    }
}

/// A worker that cannot open its handle does no harm: the calling thread continues, or the panic
/// recurs at the frontier and is raised there.
#[test]
fn a_panic_while_a_worker_opens_the_state_is_contained() {
    let mut scene = Scene::on(SpecId::SHANGHAI);
    for index in 0..200 {
        let sender = scene.sender(index);
        scene.send(sender, pay(sender, 1));
    }
    let mut executor = Executor::new(speculative(2)).unwrap();
    let home = Homebody(scene.database(), std::thread::current().id());
    let run = std::panic::AssertUnwindSafe(|| {
        executor.block(scene.block.clone()).database(home).execute()
    });
    match std::panic::catch_unwind(run) {
        Ok(output) => assert_equal(&scene, &scene.block, &output.unwrap()),
        Err(payload) => {
            let message = payload.downcast_ref::<String>().cloned().unwrap_or_default();
            assert!(message.contains("cloned elsewhere"), "{message}");
        }
    }
    let output = executor.block(scene.block.clone()).database(scene.database()).execute().unwrap();
    assert_equal(&scene, &scene.block, &output);
}

#[test]
fn a_stream_that_breaks_off_hears_of_no_more_and_gets_the_error() {
    let mut scene = Scene::on(SpecId::SHANGHAI);
    for index in 0..50 {
        let sender = scene.sender(index);
        scene.send(sender, pay(sender, 1));
    }
    let mut executor = Executor::new(speculative(2)).unwrap();
    for last in [0, 1, 48, 49] {
        let mut heard = 0;
        let on_commit = |outcome: Committed| {
            heard += 1;
            std::thread::sleep(Duration::from_millis(if outcome.tx.0 == last { 50 } else { 0 }));
            if outcome.tx.0 == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let source = Cloned(scene.database());
        let result =
            executor.block(scene.block.clone()).state(source).on_commit(on_commit).execute();
        let error = result.unwrap_err();
        assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{error}");
        assert_eq!(heard, last + 1);
        assert!(error.committed.receipts.len() > last as usize, "{error}");
    }
}

/// The beneficiary is created by a reward recorded as a delta, and with it the empty code. Then a
/// contract is created at its address, without code or with almost none. revm's bundle lists the
/// empty code only in the first case.
#[test]
fn a_contract_without_code_at_the_beneficiarys_address() {
    for ends in [opcode::STOP, opcode::INVALID] {
        let mut scene = Scene::on(SpecId::OSAKA);
        let [alice, bob] = scene.senders();
        let init = Code::new().op(opcode::STOP).bytes();
        let creator = scene.contract(0, Code::new().create(&init, 0).op(opcode::POP).op(ends));
        let nonce = scene.nonce(creator);
        scene.block.env.beneficiary = creator.create(nonce);
        scene.send(alice, pay(bob, 1));
        scene.send(bob, call(creator));
        scene.send(alice, pay(bob, 1));
        scene.play();
    }
}
