//! Compares a factory whose workers have handles of their own with alloy-evm's own executor.
//!
//! 1. Every real block, and random hostile blocks of every fork, with and without a surcharge and
//!    with EVMs of another factory: the same receipts, requests, gas, errors, bundle with its
//!    reverts, and the same calls of the state hook as over the caller's database alone.
//! 2. The transactions read nothing from the caller's database, and other threads read handles.
//! 3. Blocks over one `State`, of which the handles have only the first one's parent.
//! 4. A handle that fails or panics ends one block.
//! 5. Access lists.
//! 6. An `Evm` with precompiles of its own runs its transactions with them.

use super::lists::whole as with_lists;
use super::running::{Factory, run_upon_each_other, state_over};
use super::surcharge::vaults;
use super::{
    Left, MEETING, Ours, Receipts, Transactions, WORKERS, assert_equal, calls, config, context,
    ours, read, run, shells, spec, theirs,
};
use crate::support::fees::{Conduct, Publishing, PublishingFactory};
use crate::support::fixtures::{block_files, fixtures};
use alloy_evm::block::OnStateHook;
use alloy_evm::block::{BlockExecutor, BlockExecutorFactory};
use alloy_evm::eth::EthBlockExecutorFactory;
use alloy_evm::precompiles::{DynPrecompile, Precompile as _, PrecompilesMap};
use alloy_evm::{EthEvmFactory, Evm, EvmEnv, EvmFactory};
use alloy_primitives::{Address, B256, Bytes, U256};
use braid_blocks::block::Block;
use braid_blocks::faulty::{Fault, Unreadable};
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::MemoryDatabase;
use braid_evm::alloy::{BraidExecutorFactory, Fees};
use braid_evm::{Cloned, Policy};
use braid_testkit::generate::Case;
use revm::DatabaseRef;
use revm::database::states::bundle_state::BundleRetention;
use revm::precompile::{
    Precompile, PrecompileError, PrecompileHalt, PrecompileId, PrecompileOutput, PrecompileResult,
    PrecompileSpecId, Precompiles,
};
use revm::primitives::hardfork::SpecId;
use revm::state::EvmState;
use std::borrow::Cow;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;

/// The address of a precompile of Ethereum.
const IDENTITY: Address = revm::precompile::u64_to_address(4);

fn with_handles<D>(factory: Ours, database: &D) -> Ours
where
    D: DatabaseRef + Clone + Send + Sync + 'static,
{
    let database = database.clone();
    factory.with_handles(move |_| Some(Cloned(database.clone())))
}

#[test]
fn real_blocks_are_the_same() {
    let Some(folder) = fixtures() else { return };
    let mut blocks = 0;
    for (index, path) in block_files(&folder).iter().enumerate() {
        let (block, database, transactions) = read(path);
        let expected = run(&theirs(&block), &block, &transactions, database.clone());
        let workers = WORKERS[index % WORKERS.len()];
        for policy in [config(workers).policy, Policy::Auto] {
            let mut config = config(workers);
            config.policy = policy;
            let factory = BraidExecutorFactory::new(Receipts, spec(&block), config);
            let factory = with_handles(factory, &database);
            let found = run(&factory, &block, &transactions, database.clone());
            assert_equal(&expected, &found, &format!("{path:?}, {workers} workers, {policy:?}"));
        }
        blocks += 1;
    }
    assert!(blocks >= 78, "only {blocks} block files");
}

#[test]
fn random_blocks_are_the_same_also_where_they_fail() {
    let (mut fine, mut failed) = (0, 0);
    for seed in 0..300 {
        let case = Case::from_seed(seed);
        let block = Block::from(&case.block);
        let transactions = shells(&block.transactions);
        let expected = run(&theirs(&block), &block, &transactions, case.database());
        let workers = WORKERS[seed as usize % WORKERS.len()];
        let factory = with_handles(ours(&block, workers), &case.database());
        let found = run(&factory, &block, &transactions, case.database());
        assert_equal(&expected, &found, &format!("seed {seed}, {:?}", block.cfg.spec));
        *(if expected.0.is_ok() { &mut fine } else { &mut failed }) += 1;
    }
    assert!(fine > 50 && failed > 20, "{fine} fine, {failed} failed");
}

#[test]
fn fees_and_other_evms_are_the_same() {
    for seed in 0..150 {
        let case = Case::from_seed(seed);
        let block = Block::from(&case.block);
        let transactions = shells(&block.transactions);
        let vault = vaults(&block, &case)[seed as usize % 4];
        let fee = Publishing { vault, per_byte: 7 };
        let evms = PublishingFactory(fee, Conduct::Nothing);
        let theirs = EthBlockExecutorFactory::new(Receipts, spec(&block), evms);
        let expected = run(&theirs, &block, &transactions, case.database());
        let config = config(WORKERS[(seed / 4) as usize % WORKERS.len()]);
        let what = format!("seed {seed}, {:?}, {config:?}", block.cfg.spec);
        let charging = BraidExecutorFactory::new(Receipts, spec(&block), config);
        let charging = with_handles(charging.with_surcharge(Arc::new(fee)), &case.database());
        assert_equal(&expected, &run(&charging, &block, &transactions, case.database()), &what);
        let fees = Fees::Deferred { vault: Some(vault) };
        let other =
            BraidExecutorFactory::with_evm_factory(Receipts, spec(&block), config, evms, fees);
        let database = case.database();
        let other = other.with_handles(move |_| Some(Cloned(database.clone())));
        assert_equal(&expected, &run(&other, &block, &transactions, case.database()), &what);
    }
}

/// Keeps what the state hook is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<EvmState>>>);

impl OnStateHook for Told {
    fn on_state(&mut self, state: EvmState) {
        self.0.lock().expect("no panic").push(state);
    }
}

/// What a hook says of an account: its balance, nonce and code hash, and its changed slots.
type Change = (Address, U256, u64, B256, bool, Vec<(U256, U256)>);

/// Returns what the hook is told in each call, about accounts that were touched.
fn told<D>(factory: &impl Factory, block: &Block, database: D) -> Vec<Vec<Change>>
where
    D: DatabaseRef + Debug,
{
    let told = Told::default();
    let mut state = state_over(database).with_state_hook(Some(Box::new(told.clone())));
    let env = EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() };
    let evm = factory.evm_factory().create_evm(&mut state, env);
    let executor = factory.create_executor(evm, context(block));
    let _ = executor.execute_block(shells(&block.transactions));
    let calls = told.0.lock().expect("no panic");
    let change = |(address, account): (&Address, &revm::state::Account)| {
        let slots = account.storage.iter().filter(|(_, slot)| slot.is_changed());
        let mut slots: Vec<_> = slots.map(|(slot, value)| (*slot, value.present_value)).collect();
        slots.sort_unstable();
        let (info, gone) = (&account.info, account.is_selfdestructed());
        // What is gone has no values left.
        let slots = if gone { Vec::new() } else { slots };
        let (balance, nonce, code) =
            if gone { Default::default() } else { (info.balance, info.nonce, info.code_hash()) };
        (*address, balance, nonce, code, gone, slots)
    };
    let call = |state: &EvmState| {
        let touched = state.iter().filter(|(_, account)| account.is_touched());
        let mut changes: Vec<_> = touched.map(change).collect();
        changes.sort_unstable();
        changes
    };
    calls.iter().map(call).collect()
}

#[test]
fn the_state_hook_is_told_what_it_is_told_in_sequence() {
    let (mut calls, mut with_requests) = (0, 0);
    for seed in 0..200 {
        let case = Case::from_seed(seed);
        let mut block = Block::from(&case.block);
        if block.cfg.spec.is_enabled_in(SpecId::PRAGUE) {
            // alloy-evm pays withdrawals after the requests, against the specification.
            block.withdrawals = Some(Vec::new());
            with_requests += 1;
        }
        let expected = told(&theirs(&block), &block, case.database());
        let workers = WORKERS[seed as usize % WORKERS.len()];
        let plain = told(&ours(&block, workers), &block, case.database());
        assert_eq!(expected, plain, "seed {seed}, {:?}", block.cfg.spec);
        let factory = with_handles(ours(&block, workers), &case.database());
        let handles = told(&factory, &block, case.database());
        assert_eq!(expected, handles, "seed {seed}, {:?}, handles", block.cfg.spec);
        calls += expected.len();
    }
    assert!(
        calls > 800 && with_requests > 30,
        "{calls} calls, {with_requests} blocks with requests"
    );
}

#[test]
fn workers_read_their_handles_and_the_database_nothing_of_theirs() {
    let (block, database) = calls(|index| Address::repeat_byte(0x70 + index));
    let transactions = shells(&block.transactions);
    let expected = run(&theirs(&block), &block, &transactions, database.clone());
    let readers = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&readers);
    let watched = Hooked::watched(database.clone(), move |_| {
        own.lock().expect("no panic").push(thread::current().id());
        thread::sleep(std::time::Duration::from_millis(1));
    });
    let asked = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&asked);
    let state = Hooked::watched(database, move |read| own.lock().expect("no panic").push(read));
    let factory = with_handles(ours(&block, 3), &watched);
    let found = run(&factory, &block, &transactions, state);
    assert_equal(&expected, &found, "handles");
    let mut readers = readers.lock().expect("no panic").clone();
    assert!(readers.contains(&thread::current().id()), "this thread works, too");
    readers.sort_unstable_by_key(|id| format!("{id:?}"));
    readers.dedup();
    assert!(readers.len() > 1, "one thread has read everything");
    let asked = asked.lock().expect("no panic");
    let beneficiary = Read::Account(block.env.beneficiary);
    assert!(asked.iter().all(|read| *read == beneficiary), "{asked:?}");
}

#[test]
fn blocks_whose_parent_has_no_handles_are_read_from_the_database() {
    let mut whole = 0;
    for seed in 0..150 {
        let case = Case::from_seed(seed);
        let mut first = Block::from(&case.block);
        let mut second = first.clone();
        second.transactions = first.transactions.split_off(first.transactions.len() / 2);
        second.env.number += U256::ONE;
        second.env.timestamp += U256::from(12);
        let parent = first.parent_hash;
        second.parent_hash = B256::repeat_byte(0x5e);
        let blocks = [first, second].map(|block| {
            let transactions = shells(&block.transactions);
            (block, transactions)
        });
        let expected = run_upon_each_other(&theirs(&blocks[0].0), &blocks, case.database());
        let database = case.database();
        let opened = move |hash| (hash == parent).then(|| Cloned(database.clone()));
        let factory = ours(&blocks[0].0, WORKERS[seed as usize % WORKERS.len()]);
        let found = run_upon_each_other(&factory.with_handles(opened), &blocks, case.database());
        assert_eq!(expected.0, found.0, "seed {seed}");
        whole += usize::from(expected.0.len() == 2 && expected.0.iter().all(Result::is_ok));
        let [expected, found] = [expected, found]
            .map(|(mut results, bundle)| (results.pop().expect("a block"), bundle));
        assert_equal(&expected, &found, &format!("seed {seed}"));
    }
    assert!(whole > 20, "only {whole} pairs of valid blocks");
}

#[test]
fn a_handle_that_fails_or_panics_ends_one_block() {
    let (block, database) = calls(|index| Address::repeat_byte(0x70 + index));
    let transactions = shells(&block.transactions);
    let place = Read::Account(Address::repeat_byte(0x75));
    for workers in WORKERS {
        for fault in [Fault::At(place), Fault::PanicAt(place)] {
            let expected = catch_unwind(AssertUnwindSafe(|| {
                run(&theirs(&block), &block, &transactions, fault.clone().of(database.clone()))
            }));
            let faults = Arc::new(Mutex::new(fault.clone()));
            let (own, inner) = (Arc::clone(&faults), database.clone());
            let factory = ours(&block, workers).with_handles(move |_| {
                Some(Cloned(own.lock().expect("no panic").clone().of(inner.clone())))
            });
            let found = catch_unwind(AssertUnwindSafe(|| {
                run(&factory, &block, &transactions, database.clone())
            }));
            match (expected, found) {
                (Ok(expected), Ok(found)) => {
                    assert!(expected.0.is_err());
                    assert_equal(&expected, &found, &format!("{workers} workers"));
                }
                (Err(_), Err(payload)) => {
                    assert_eq!(payload.downcast_ref::<Unreadable>(), Some(&Unreadable(place)));
                }
                (expected, found) => panic!("{:?} {:?}", expected.is_ok(), found.is_ok()),
            }
            *faults.lock().expect("no panic") = Fault::Never;
            let expected = run(&theirs(&block), &block, &transactions, database.clone());
            let found = run(&factory, &block, &transactions, database.clone());
            assert_equal(&expected, &found, "afterwards");
        }
    }
}

#[test]
fn access_lists_are_the_same_with_handles() {
    for seed in 0..120 {
        let case = Case::from_seed(seed);
        let block = Block::from(&case.block);
        let transactions = shells(&block.transactions);
        let factory = ours(&block, WORKERS[seed as usize % WORKERS.len()]);
        let without = with_lists(&factory, &block, &transactions, (case.database(), None)).0;
        let factory = with_handles(factory, &case.database());
        let built = with_lists(&factory, &block, &transactions, (case.database(), None)).0;
        let what = format!("seed {seed}, {:?}", block.cfg.spec);
        assert_equal(&without.0, &built.0, &what);
        assert_eq!(without.1, built.1, "{what}");
        if without.0.0.is_ok() {
            let given = (case.database(), Some(&built.1));
            let (again, wrong) = with_lists(&factory, &block, &transactions, given);
            assert!(wrong.is_none(), "{what}: {wrong:?}");
            assert_equal(&built.0, &again.0, &what);
        }
    }
}

/// Executes `block` with an `Evm` whose precompiles `change` changes.
fn run_with_precompiles<F>(
    factory: &F,
    block: &Block,
    transactions: &Transactions,
    database: MemoryDatabase,
    change: fn(&mut PrecompilesMap),
) -> Left
where
    F: Factory + BlockExecutorFactory<EvmFactory = EthEvmFactory>,
{
    let mut state = state_over(database);
    let env = EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() };
    let mut evm = factory.evm_factory().create_evm(&mut state, env);
    change(evm.precompiles_mut());
    let executor = factory.create_executor(evm, context(block));
    let result = executor.execute_block(transactions.iter().cloned());
    state.merge_transitions(BundleRetention::Reverts);
    (result.map_err(|error| error.to_string()), state.take_bundle())
}

/// A precompile that uses this much gas.
fn costing(id: PrecompileId) -> DynPrecompile {
    DynPrecompile::new(id, |input| Ok(PrecompileOutput::new(1_234, Bytes::new(), input.reservoir)))
}

fn added(precompiles: &mut PrecompilesMap) {
    precompiles.apply_precompile(&MEETING, |_| Some(costing(PrecompileId::custom("added"))));
}

/// Changes what a precompile of Ethereum does; its address and its name stay.
fn replaced(precompiles: &mut PrecompilesMap) {
    precompiles.map_precompile(&IDENTITY, |before| costing(before.precompile_id().clone()));
}

/// As [`replaced`], in a map that was made with it.
fn remade(precompiles: &mut PrecompilesMap) {
    let cheap = |_: &[u8], _: u64, reservoir: u64| {
        Ok(PrecompileOutput::new(1_234, Bytes::new(), reservoir))
    };
    let mut ethereum = Precompiles::new(PrecompileSpecId::BERLIN).clone();
    ethereum.extend([Precompile::new(PrecompileId::custom("cheap"), IDENTITY, cheap)]);
    *precompiles = PrecompilesMap::new(Cow::Owned(ethereum));
}

#[test]
fn precompiles_of_the_evm_are_called() {
    type Change = fn(&mut PrecompilesMap);
    let changes: [(Change, Address); 3] =
        [(added, MEETING), (replaced, IDENTITY), (remade, IDENTITY)];
    for (change, called) in changes {
        let (block, database) = calls(|_| called);
        let transactions = shells(&block.transactions);
        let theirs = theirs(&block);
        let expected =
            run_with_precompiles(&theirs, &block, &transactions, database.clone(), change);
        let without = run(&theirs, &block, &transactions, database.clone());
        assert_ne!(expected.0, without.0, "the precompile is called");
        for workers in WORKERS {
            let plain = ours(&block, workers);
            let handles = with_handles(ours(&block, workers), &database);
            for factory in [plain, handles] {
                let found =
                    run_with_precompiles(&factory, &block, &transactions, database.clone(), change);
                assert_equal(&expected, &found, &format!("{workers} workers"));
                assert_eq!(factory.executions().blocks, 0, "the workers do not know it");
            }
        }
    }
}

/// A precompile of revm, which ends as the first byte of its input says.
fn ending(input: &[u8], gas_limit: u64, reservoir: u64) -> PrecompileResult {
    let output = Bytes::copy_from_slice(input);
    Ok(match input[0] {
        0 => PrecompileOutput {
            gas_refunded: 900,
            ..PrecompileOutput::new(3_000, output, reservoir)
        },
        1 => PrecompileOutput::revert(20, output, reservoir),
        2 => PrecompileOutput::halt(PrecompileHalt::OutOfGas, reservoir),
        3 => PrecompileOutput::halt(PrecompileHalt::other_static("no"), reservoir),
        4 => PrecompileOutput::new(gas_limit + 1, output, reservoir),
        _ => return Err(PrecompileError::Fatal("it is broken".to_owned())),
    })
}

#[test]
fn precompiles_of_revm_are_given_as_they_are() {
    let add = |precompiles: &mut PrecompilesMap| {
        precompiles.apply_precompile(&MEETING, |_| {
            let id = PrecompileId::custom("ending");
            Some(DynPrecompile::new(id, |input| ending(input.data, input.gas, input.reservoir)))
        });
    };
    for ends in [5, 6] {
        let (mut block, database) = calls(|_| MEETING);
        for (index, tx) in (0_u8..).zip(&mut block.transactions) {
            tx.data = vec![index % ends, index].into();
        }
        let transactions = shells(&block.transactions);
        let expected =
            run_with_precompiles(&theirs(&block), &block, &transactions, database.clone(), add);
        assert_eq!(expected.0.is_err(), ends == 6);
        for workers in WORKERS {
            let own = Precompile::new(PrecompileId::custom("ending"), MEETING, ending);
            let plain = ours(&block, workers).with_precompiles(vec![Arc::new(own)]);
            let handles = with_handles(plain.clone(), &database);
            for factory in [plain, handles] {
                let found = run(&factory, &block, &transactions, database.clone());
                assert_equal(&expected, &found, &format!("{workers} workers, {ends} ends"));
                let counted = u64::from(found.0.is_ok());
                assert_eq!(factory.executions().blocks, counted, "Braid ran it");
            }
        }
    }
}
