//! Compares the access lists (EIP-7928) of blocks executed as a whole with those of alloy-evm's own
//! executor, which is told the index of each transaction. Each uses a `State` of its own.
//!
//! 1. Every real block and random hostile blocks, including failing ones: the list that the `State`
//!    builds equals that of revm's builder, and that of the oracle where revm's builder is wrong.
//!    All other results are as without a list.
//! 2. The same with the right list given.
//! 3. With a wrong list, an error that contains the list's error, and never a result.
//! 4. Without `with_access_lists`, and with the calls for single transactions, alloy-evm's own code
//!    runs.

use super::{
    Left, Ours, Transactions, WORKERS, assert_equal, config, context, ours, read, shells, spec,
    theirs,
};
use crate::alloy::running::{Factory, state_over};
use crate::support::fees::{Conduct, Publishing, PublishingFactory};
use crate::support::fixtures::{block_files, fixtures};
use alloy_consensus::EthereumReceipt;
use alloy_eip7928::BlockAccessList;
use alloy_evm::block::{
    BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockExecutorFactory,
    BlockValidationError,
};
use alloy_evm::{Evm as _, EvmEnv, EvmFactory};
use alloy_primitives::Address;
use braid_blocks::block::Block;
use braid_blocks::sequential::{OnInvalid, Prepared, Receipts};
use braid_evm::alloy::{BraidExecutorFactory, Fees};
use braid_evm::{AccessListError, AccessListMismatch, Forced, Policy};
use braid_testkit::generate::Case;
use braid_testkit::spoil::{draws, spoil};
use revm::DatabaseRef;
use revm::database::states::bundle_state::BundleRetention;
use revm::database::{State, WrapDatabaseRef};
use revm::state::bal::{Bal, BlockAccessIndex};
use std::sync::Arc;

/// Results of a block, and the list that its `State` has built.
pub(super) type Listed = (Left, BlockAccessList);

fn listing<D: DatabaseRef>(
    database: D,
    given: Option<&BlockAccessList>,
) -> State<WrapDatabaseRef<D>> {
    let mut state = state_over(database);
    state.bal_state = core::mem::take(&mut state.bal_state).with_bal_builder();
    let bal = given.map(|list| Bal::try_from(list.clone()).expect("codes are well-formed"));
    state.set_bal(bal.map(Arc::new));
    state
}

fn env(block: &Block) -> EvmEnv {
    EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() }
}

fn left<D: DatabaseRef>(
    mut state: State<WrapDatabaseRef<D>>,
    result: Result<BlockExecutionResult<EthereumReceipt>, BlockExecutionError>,
) -> Listed {
    state.merge_transitions(BundleRetention::Reverts);
    let list = state.take_built_alloy_bal().expect("it was asked for");
    ((result.map_err(|error| error.to_string()), state.take_bundle()), list)
}

/// Executes a block transaction by transaction, each at its index.
fn one_by_one<D>(
    factory: &impl Factory,
    block: &Block,
    transactions: &Transactions,
    (database, given): (D, Option<&BlockAccessList>),
) -> Listed
where
    D: DatabaseRef + core::fmt::Debug,
{
    let mut state = listing(database, given);
    let evm = factory.evm_factory().create_evm(&mut state, env(block));
    let mut executor = factory.create_executor(evm, context(block));
    let mut run = || {
        executor.apply_pre_execution_changes()?;
        for (index, tx) in (1..).zip(transactions.iter().cloned()) {
            executor.evm_mut().db_mut().set_bal_index(BlockAccessIndex::new(index));
            let _ = executor.execute_transaction(tx)?;
        }
        let end = BlockAccessIndex::new(transactions.len() as u64 + 1);
        executor.evm_mut().db_mut().set_bal_index(end);
        Ok(())
    };
    let result = match run() {
        Ok(()) => executor.apply_post_execution_changes(),
        Err(error) => {
            drop(executor);
            Err(error)
        }
    };
    left(state, result)
}

/// Executes a block as a whole, on many workers.
pub(super) fn whole<D>(
    factory: &Ours,
    block: &Block,
    transactions: &Transactions,
    (database, given): (D, Option<&BlockAccessList>),
) -> (Listed, Option<AccessListError>)
where
    D: DatabaseRef + core::fmt::Debug,
{
    let mut state = listing(database, given);
    let evm = factory.evm_factory().create_evm(&mut state, env(block));
    let executor = factory.create_executor(evm, context(block)).with_access_lists();
    let result = executor.execute_block(transactions.iter().cloned());
    assert!(state.bal_state.bal.is_none(), "it is that of one block");
    let wrong = match &result {
        Err(BlockExecutionError::Validation(BlockValidationError::Other(error))) => {
            error.downcast_ref().cloned()
        }
        _ => None,
    };
    (left(state, result), wrong)
}

/// Returns a factory that runs transactions from the block's list, if there is one.
fn told(block: &Block, workers: u16) -> Ours {
    let mut config = config(workers);
    config.policy = Policy::Forced(Forced::AccessList);
    BraidExecutorFactory::new(Receipts, spec(block), config)
}

/// Compares both lists, allows for known errors of revm's builder, and returns whether they are
/// equal.
#[track_caller]
fn compare<D: DatabaseRef>(
    block: &Block,
    database: D,
    (expected, found): (&Listed, &Listed),
    what: &str,
) -> bool {
    assert_equal(&expected.0, &found.0, what);
    if expected.1 == found.1 {
        return true;
    }
    let known = Prepared::new(block).with_access_lists().run(database, OnInvalid::Reject);
    let known = match known {
        Ok(output) => output.access_list,
        Err(error) => error.access_list.map(|list| *list),
    };
    let known = known.expect("it was asked for");
    let is_doubtful = known.difference(&known.revm).is_none() && known.revm != known.own;
    assert_eq!(known.difference(&found.1), None, "{what}");
    assert!(is_doubtful || !known.rewarded.is_empty(), "{what}: revm's builder is right");
    false
}

/// Executes a block that builds its list, and again with that list. Returns whether the list is
/// revm's.
fn built_and_given<D>(
    (block, transactions): (&Block, &Transactions),
    database: D,
    workers: u16,
    what: &str,
) -> (Listed, bool)
where
    D: DatabaseRef + Clone + core::fmt::Debug,
{
    let expected = one_by_one(&theirs(block), block, transactions, (database.clone(), None));
    let factory = ours(block, workers);
    let (found, wrong) = whole(&factory, block, transactions, (database.clone(), None));
    assert_eq!(wrong, None, "{what}");
    let is_same = compare(block, database.clone(), (&expected, &found), what);
    if found.0.0.is_ok() {
        let given = (database, Some(&found.1));
        let (again, wrong) = whole(&told(block, workers), block, transactions, given);
        assert_eq!(wrong, None, "{what}, with the list");
        assert_equal(&expected.0, &again.0, what);
        assert_eq!(again.1, found.1, "{what}, with the list");
    }
    (found, is_same)
}

#[test]
fn real_blocks_have_the_same_lists() {
    let Some(folder) = fixtures() else { return };
    let mut same = 0;
    let files = block_files(&folder);
    for (index, path) in files.iter().enumerate() {
        let (block, database, transactions) = read(path);
        let workers = WORKERS[index % WORKERS.len()];
        let what = format!("{path:?}, {workers} workers");
        let (found, is_same) = built_and_given((&block, &transactions), database, workers, &what);
        assert!(found.0.0.is_ok(), "{what}");
        same += usize::from(is_same);
    }
    assert!(same >= 78, "only {same} of {} blocks have revm's list", files.len());
}

#[test]
fn random_blocks_have_the_same_lists_also_where_they_fail() {
    let (mut fine, mut failed, mut same) = (0, 0, 0);
    for seed in 0..200 {
        let case = Case::from_seed(seed);
        let block = Block::from(&case.block);
        let transactions = shells(&block.transactions);
        let workers = WORKERS[seed as usize % WORKERS.len()];
        let what = format!("seed {seed}, {:?}, {workers} workers", block.cfg.spec);
        let (found, is_same) =
            built_and_given((&block, &transactions), case.database(), workers, &what);
        *(if found.0.0.is_ok() { &mut fine } else { &mut failed }) += 1;
        same += usize::from(is_same);
    }
    println!("{fine} fine, {failed} failed, {same} lists are revm's");
    assert!(fine > 50 && failed > 20 && same > 150, "{fine} fine, {failed} failed, {same} same");
}

#[test]
fn a_wrong_list_is_an_error_and_never_a_result() {
    let (mut wrong, mut places) = (0, [0; 3]);
    for seed in 0..120 {
        let case = Case::from_seed(seed);
        let block = Block::from(&case.block);
        let transactions = shells(&block.transactions);
        let workers = WORKERS[seed as usize % WORKERS.len()];
        let factory = [told, ours][(seed / 4) as usize % 2](&block, workers);
        let run = |given: Option<&BlockAccessList>| {
            whole(&factory, &block, &transactions, (case.database(), given))
        };
        let (right, _) = run(None);
        if right.0.0.is_err() {
            continue;
        }
        for round in 0..4 {
            let mut spoiled = right.1.clone();
            spoil(&mut spoiled, transactions.len(), &mut draws(seed * 4 + round));
            // revm's type keeps neither the order nor duplicate accounts.
            let Ok(kept) = Bal::try_from(spoiled.clone()) else { continue };
            let is_right = kept.into_alloy_bal() == right.1;
            let (found, error) = run(Some(&spoiled));
            assert_eq!(error.is_none(), is_right, "seed {seed}, list {round}: {:?}", found.0.0);
            match error {
                None => assert_equal(&right.0, &found.0, &format!("seed {seed}, list {round}")),
                Some(AccessListError::Mismatch(it)) => {
                    let AccessListMismatch { index, .. } = *it;
                    let end = transactions.len() as u64 + 1;
                    places[if index == 0 { 0 } else { 1 + usize::from(index == end) }] += 1;
                    wrong += 1;
                }
                Some(_) => wrong += 1,
            }
        }
    }
    println!("{wrong} wrong lists: {places:?} before, in and after the transactions");
    assert!(wrong > 100 && places.iter().all(|count| *count > 0), "{wrong}: {places:?}");
}

#[test]
fn a_list_that_may_be_fallen_back_from_is_none_of_the_block() {
    let case = Case::from_seed(1);
    let block = Block::from(&case.block);
    let transactions = shells(&block.transactions);
    let factory = ours(&block, 2);
    let run = |falls_back: bool| {
        let mut state = listing(case.database(), Some(&BlockAccessList::new()));
        state.set_allow_bal_db_fallback(falls_back);
        let evm = factory.evm_factory().create_evm(&mut state, env(&block));
        let executor = factory.create_executor(evm, context(&block)).with_access_lists();
        let result = executor.execute_block(transactions.iter().cloned());
        left(state, result)
    };
    let expected = one_by_one(&theirs(&block), &block, &transactions, (case.database(), None));
    assert!(expected.0.0.is_ok());
    assert!(compare(&block, case.database(), (&expected, &run(true)), "with a fallback"));
    assert!(run(false).0.0.is_err(), "the empty list is wrong");
}

/// A database that neither builds nor has a list stays unchanged, and one that only has a list
/// builds none.
#[test]
fn nothing_is_built_that_was_not_asked_for() {
    let case = Case::from_seed(1);
    let block = Block::from(&case.block);
    let transactions = shells(&block.transactions);
    let factory = ours(&block, 2);
    let expected = one_by_one(&theirs(&block), &block, &transactions, (case.database(), None));
    for given in [None, Some(&expected.1)] {
        let mut state = listing(case.database(), given);
        state.bal_state.bal_builder = None;
        let evm = factory.evm_factory().create_evm(&mut state, env(&block));
        let executor = factory.create_executor(evm, context(&block)).with_access_lists();
        let result = executor.execute_block(transactions.iter().cloned());
        assert_eq!(result.map_err(|error| error.to_string()), expected.0.0);
        assert!(state.bal_state.bal_builder.is_none());
    }
}

/// The calls for single transactions, and their lists, are alloy-evm's own.
#[test]
fn one_by_one_is_alloy_evms_own_code() {
    for seed in 0..20 {
        let case = Case::from_seed(seed);
        let block = Block::from(&case.block);
        let transactions = shells(&block.transactions);
        let run = (case.database(), None);
        let expected = one_by_one(&theirs(&block), &block, &transactions, run);
        let run = (case.database(), None);
        let found = one_by_one(&ours(&block, 2), &block, &transactions, run);
        assert_equal(&expected.0, &found.0, "one by one");
        assert_eq!(expected.1, found.1, "seed {seed}");
    }
}

/// EVMs of a factory with `Fees::Deferred`, whose fees become deltas only if no list is given.
#[test]
fn lists_of_other_evms_are_the_same() {
    let vault = Address::repeat_byte(0xfe);
    let (mut given, mut same) = (0, 0);
    for seed in 0..80 {
        let case = Case::from_seed(seed);
        let block = Block::from(&case.block);
        let transactions = shells(&block.transactions);
        let evms = PublishingFactory(Publishing { vault, per_byte: 7 }, Conduct::Nothing);
        let reference = alloy_evm::eth::EthBlockExecutorFactory::new(Receipts, spec(&block), evms);
        let expected = one_by_one(&reference, &block, &transactions, (case.database(), None));
        let fees = Fees::Deferred { vault: Some(vault) };
        let config = config(WORKERS[seed as usize % WORKERS.len()]);
        let factory =
            BraidExecutorFactory::with_evm_factory(Receipts, spec(&block), config, evms, fees);
        let run = |list: Option<&BlockAccessList>| {
            let mut state = listing(case.database(), list);
            let evm = factory.evm_factory().create_evm(&mut state, env(&block));
            let executor = factory.create_executor(evm, context(&block)).with_access_lists();
            let result = executor.execute_block(transactions.iter().cloned());
            left(state, result)
        };
        let found = run(None);
        assert_equal(&expected.0, &found.0, &format!("seed {seed}"));
        same += usize::from(expected.1 == found.1);
        if found.0.0.is_ok() {
            let again = run(Some(&found.1));
            assert_equal(&expected.0, &again.0, &format!("seed {seed}, with the list"));
            assert_eq!(again.1, found.1, "seed {seed}, with the list");
            given += 1;
        }
    }
    assert!(given > 20 && same > 60, "{given} with lists, {same} the same");
}
