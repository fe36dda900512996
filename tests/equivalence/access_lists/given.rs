//! Blocks with a given access list, right or wrong. Every played scene checks that the right list
//! changes no result.

use super::{OTHER, STRANGER};
use crate::support::scene::{
    Scene, authorization, call, call_with, contract, delegate, pay, storage,
};
use alloy_eip7928::bal::Bal;
use alloy_eip7928::{AccountChanges, BalanceChange, BlockAccessIndex, SlotChanges, StorageChange};
use alloy_eips::{eip4788, eip4895::Withdrawal};
use alloy_primitives::{Address, B256, U256, keccak256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_evm::{
    Access, AccessListError, AccountField, Block, BlockError, BlockErrorKind, BlockOutput,
    BlockPosition, Cloned, Config, Executor, Forced, Policy, TxIndex,
};
use core::convert::Infallible;
use core::ops::ControlFlow;
use revm::DatabaseRef as _;
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::database::BundleState;
use revm::primitives::hardfork::SpecId;
use std::num::NonZeroU16;
use std::sync::Arc;

type Result = core::result::Result<BlockOutput, BlockError<Infallible>>;

const WAYS: [(u16, Policy); 7] = [
    (1, Policy::Sequential),
    (2, Policy::Forced(Forced::Speculative)),
    (1, Policy::Forced(Forced::AccessList)),
    (2, Policy::Forced(Forced::AccessList)),
    (3, Policy::Forced(Forced::AccessList)),
    (2, Policy::Forced(Forced::ContiguousBatches)),
    (2, Policy::Auto),
];

fn run(block: Block, database: MemoryDatabase, (workers, policy): (u16, Policy)) -> Result {
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
    (config.policy, config.access_list) = (policy, true);
    let mut executor = Executor::new(config).expect("threads start");
    executor.block(block).database(database).execute()
}

/// Returns twelve calls of a counter that also reads a stranger's balance, followed by a
/// withdrawal.
fn scene() -> (Scene, Address) {
    let mut scene = Scene::on(SpecId::OSAKA);
    let counter = scene.contract(0, Code::new().increment(1, 1).balance(STRANGER).sload(7));
    scene.put(eip4788::BEACON_ROOTS_ADDRESS, contract(Code::new().sstore(1, 3)));
    for sender in scene.senders::<12>() {
        // Calls with data may be more than payments, so they are worth sharing.
        scene.send(sender, call_with(counter, 1));
    }
    scene.block.withdrawals =
        Some(vec![Withdrawal { address: OTHER, amount: 1, ..Withdrawal::default() }]);
    (scene, counter)
}

fn right_list(scene: &Scene) -> Vec<AccountChanges> {
    let output = run(scene.block.clone(), scene.database(), (1, Policy::Sequential));
    output.expect("a valid block").access_list.expect("a list").iter().cloned().collect()
}

/// Returns the position and the error that every strategy must give for the scene's list after
/// `change`.
#[track_caller]
fn refused(
    scene: &Scene,
    change: impl FnOnce(&mut Vec<AccountChanges>),
) -> (BlockPosition, AccessListError) {
    let mut list = right_list(scene);
    change(&mut list);
    let access_list = Some(Arc::new(Bal::new(list)));
    let block = Block { access_list, ..scene.block.clone() };
    let mut all = WAYS.into_iter().map(|way| {
        let error = run(block.clone(), scene.database(), way).expect_err("the list is wrong");
        let BlockErrorKind::AccessList(wrong) = error.kind else {
            panic!("{way:?}: {}", error.kind)
        };
        check_prefix(scene, error.at, &error.committed);
        (error.at, wrong)
    });
    let first = all.next().expect("one way");
    all.for_each(|other| assert_eq!(other, first));
    first
}

/// Compares the transactions committed before a wrong index with a block in which the transaction
/// there is invalid.
fn check_prefix(scene: &Scene, at: BlockPosition, found: &BlockOutput) {
    let BlockPosition::Transaction(tx) = at else { return };
    let mut block = scene.block.clone();
    block.transactions[tx.position()].nonce = 99;
    let expected =
        run(block, scene.database(), (1, Policy::Sequential)).expect_err("it is invalid");
    let expected = expected.committed;
    assert_eq!(found.outcomes, expected.outcomes);
    assert_eq!(found.receipts, expected.receipts);
    assert_eq!(found.access_list, expected.access_list);
    assert_eq!(found.bundle, expected.bundle);
}

fn of(list: &mut [AccountChanges], address: Address) -> &mut AccountChanges {
    list.iter_mut().find(|account| account.address == address).expect("it is listed")
}

const fn tx(index: u32) -> BlockPosition {
    BlockPosition::Transaction(TxIndex(index))
}

/// A difference between a list and the execution: index, account, field, and the listed and
/// executed accesses.
type Wrong = (u64, Address, AccountField, [Option<Access>; 2]);

/// Converts a mismatch to [`Wrong`].
fn apart((at, error): (BlockPosition, AccessListError)) -> (BlockPosition, Wrong) {
    match error {
        AccessListError::Mismatch(wrong) => {
            let accesses = [wrong.listed, wrong.executed];
            (at, (wrong.index, wrong.address, wrong.field, accesses))
        }
        other => panic!("{other}"),
    }
}

/// Returns the mismatch of a slot.
fn wrong_slot((index, address): (u64, Address), slot: u64, accesses: [Option<Access>; 2]) -> Wrong {
    (index, address, AccountField::Slot(U256::from(slot)), accesses)
}

fn value(value: u64) -> Option<Access> {
    Some(Access::Value(U256::from(value)))
}

#[test]
pub(in crate::equivalence) fn a_wrong_value_is_found_where_it_is_written() {
    let (scene, counter) = scene();
    let found = refused(&scene, |list| {
        let slot = &mut of(list, counter).storage_changes[0];
        slot.changes[4].new_value = U256::from(77);
    });
    assert_eq!(apart(found), (tx(4), wrong_slot((5, counter), 1, [value(77), value(5)])));
}

#[test]
pub(in crate::equivalence) fn a_change_that_does_not_happen_is_found() {
    let (scene, counter) = scene();
    let found = refused(&scene, |list| {
        let changes = vec![StorageChange::new(BlockAccessIndex::new(7), U256::from(1))];
        let changes = SlotChanges::new(U256::from(9), changes);
        of(list, counter).storage_changes.push(changes);
    });
    assert_eq!(apart(found), (tx(6), wrong_slot((7, counter), 9, [value(1), None])));
    // The slot is only read.
    let found = refused(&scene, |list| {
        let account = of(list, counter);
        account.storage_reads.clear();
        let changes = vec![StorageChange::new(BlockAccessIndex::new(3), U256::from(1))];
        account.storage_changes.push(SlotChanges::new(U256::from(7), changes));
    });
    let [listed, executed] = [value(1), Some(Access::Unchanged)];
    assert_eq!(apart(found), (tx(2), wrong_slot((3, counter), 7, [listed, executed])));
}

#[test]
fn a_change_that_is_missing_is_found() {
    let (scene, counter) = scene();
    let found = refused(&scene, |list| {
        of(list, counter).storage_changes[0].changes.remove(11);
    });
    let [listed, executed] = [Some(Access::Unchanged), value(12)];
    assert_eq!(apart(found), (tx(11), wrong_slot((12, counter), 1, [listed, executed])));
    let found = refused(&scene, |list| {
        of(list, counter).storage_reads.clear();
    });
    let read = [None, Some(Access::Unchanged)];
    assert_eq!(apart(found), (tx(0), wrong_slot((1, counter), 7, read.clone())));
    let found = refused(&scene, |list| list.retain(|account| account.address != STRANGER));
    assert_eq!(apart(found), (tx(0), (1, STRANGER, AccountField::Account, read)));
}

#[test]
pub(in crate::equivalence) fn what_nothing_accesses_is_found_at_the_end() {
    let (scene, counter) = scene();
    let found = refused(&scene, |list| of(list, counter).storage_reads.push(U256::from(8)));
    let unused = [Some(Access::Unchanged), None];
    assert_eq!(apart(found), (BlockPosition::PostBlock, wrong_slot((13, counter), 8, unused)));
    let found = refused(&scene, |list| {
        let last = Address::repeat_byte(0xff);
        list.push(AccountChanges::new(last));
    });
    assert_eq!(found.0, BlockPosition::PostBlock);
    assert_eq!(
        found.1.to_string(),
        format!(
            "the access list is wrong: index 13, account {}: listed an access without \
        a change, executed nothing",
            Address::repeat_byte(0xff)
        )
    );
}

#[test]
pub(in crate::equivalence) fn what_surrounds_the_transactions_is_compared() {
    let (scene, _) = scene();
    let beacon = eip4788::BEACON_ROOTS_ADDRESS;
    let found = refused(&scene, |list| {
        of(list, beacon).storage_changes[0].changes[0].new_value = U256::from(4);
    });
    assert_eq!(
        apart(found),
        (BlockPosition::PreBlock, wrong_slot((0, beacon), 1, [value(4), value(3)]))
    );
    let found = refused(&scene, |list| {
        let changes = &mut of(list, OTHER).balance_changes;
        *changes = vec![BalanceChange::new(BlockAccessIndex::new(13), U256::from(2))];
    });
    let wrong = (13, OTHER, AccountField::Balance, [value(2), value(1_000_000_000)]);
    assert_eq!(apart(found), (BlockPosition::PostBlock, wrong));
}

#[test]
pub(in crate::equivalence) fn a_malformed_list_is_refused_before_anything_runs() {
    let (scene, counter) = scene();
    let (at, wrong) = refused(&scene, |list| list.reverse());
    assert!(
        at == BlockPosition::PreBlock && matches!(wrong, AccessListError::Malformed(_)),
        "{wrong}"
    );
    let (at, wrong) = refused(&scene, |list| {
        let slot = &mut of(list, counter).storage_changes[0];
        slot.changes.push(StorageChange::new(BlockAccessIndex::new(14), U256::ZERO));
    });
    assert!(
        at == BlockPosition::PreBlock && matches!(wrong, AccessListError::Malformed(_)),
        "{wrong}"
    );
    let mut scene = Scene::on(SpecId::AMSTERDAM);
    let [alice, bob] = scene.senders();
    scene.send(alice, pay(bob, 1));
    let (at, wrong) = refused(&scene, |list| {
        let slots = (0..20_000).map(U256::from);
        of(list, bob).storage_reads.extend(slots);
    });
    assert!(
        at == BlockPosition::PreBlock && matches!(wrong, AccessListError::TooLong(_)),
        "{wrong}"
    );
}

/// Transactions run on values from the list, in batches, and every batch commits.
#[test]
pub(in crate::equivalence) fn transactions_run_on_what_the_list_says() {
    let (scene, _) = scene();
    let access_list = Some(Arc::new(Bal::new(right_list(&scene))));
    let block = Block { access_list, ..scene.block.clone() };
    let ways = [
        (1, Policy::Forced(Forced::AccessList)),
        (2, Policy::Forced(Forced::AccessList)),
        (3, Policy::Forced(Forced::AccessList)),
        (2, Policy::Auto),
    ];
    for way in ways {
        let output = run(block.clone(), scene.database(), way);
        let stats = output.expect("the list is right").stats;
        assert!(stats.contiguous_batches > 1, "{stats:?}");
        assert_eq!((stats.aborts, stats.incarnations), (0, 12), "{stats:?}");
    }
}

fn with_list(scene: &Scene, list: &[AccountChanges]) -> Block {
    Block { access_list: Some(Arc::new(Bal::new(list.to_vec()))), ..scene.block.clone() }
}

fn executor(policy: Policy) -> Executor {
    let mut config = Config::with_workers(NonZeroU16::new(2).expect("some"));
    (config.policy, config.access_list) = (policy, true);
    Executor::new(config).expect("threads start")
}

/// If each commit is reported to the caller, batches commit transaction by transaction.
#[test]
fn a_block_that_is_streamed_is_compared_as_well() {
    let (scene, counter) = scene();
    let mut list = right_list(&scene);
    let stream = |list: &[AccountChanges]| {
        let (source, mut heard) = (Cloned(scene.database()), 0);
        let output = executor(Policy::Forced(Forced::AccessList))
            .block(with_list(&scene, list))
            .state(source)
            .on_commit(|_| {
                heard += 1;
                ControlFlow::Continue(())
            })
            .execute();
        (output, heard)
    };
    let (output, heard) = stream(&list);
    let output = output.expect("the list is right");
    assert!(heard == 12 && output.stats.contiguous_batches > 1, "{heard}, {:?}", output.stats);
    of(&mut list, counter).storage_changes[0].changes[4].new_value = U256::from(77);
    let (output, heard) = stream(&list);
    assert_eq!((output.expect_err("it is wrong").at, heard), (tx(4), 4));
}

/// A contract that a transaction calls pays another one.
#[test]
fn what_a_contract_pays_is_not_lost() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let till = scene.contract(0, Code::new().increment(0, 1));
    // No data, three wei, all remaining gas.
    let pay = Code::new().push(0).push(0).push(0).push(0).push(3).address(till);
    let payer = pay.op(opcode::GAS).op(opcode::CALL).op(opcode::POP);
    let payer = scene.contract(1, payer);
    for sender in scene.senders::<5>() {
        scene.send(sender, TxEnv { value: U256::from(10), ..call(payer) });
        scene.send(sender, call(payer));
    }
    let mut in_order = executor(Policy::Sequential);
    let expected = in_order.block(scene.block.clone());
    let expected = expected.database(scene.database()).execute().expect("a valid block");
    let paid = expected.bundle.state[&till].info.as_ref().map(|info| info.balance);
    assert!(paid > Some(U256::from(20)), "{paid:?}");
    let block = with_list(&scene, &right_list(&scene));
    for is_streamed in [false, true] {
        let mut config = Config::with_workers(NonZeroU16::new(2).expect("some"));
        config.policy = Policy::Forced(Forced::AccessList);
        let mut executor = Executor::new(config).expect("threads start");
        let request = executor.block(block.clone()).database(scene.database());
        let output = if is_streamed {
            request.on_commit(|_| ControlFlow::Continue(())).execute()
        } else {
            request.execute()
        };
        let output = output.expect("the list is right");
        assert!(output.stats.contiguous_batches > 1, "{:?}", output.stats);
        assert_eq!(output.bundle, expected.bundle, "streamed: {is_streamed}");
    }
}

/// The list takes precedence over the bundle of an unwritten parent.
#[test]
fn the_list_of_a_block_lies_over_its_parent() {
    let (scene, counter) = scene();
    let slots = [(U256::from(1), (U256::ZERO, U256::from(100)))].into_iter().collect();
    let info = scene.database().basic_ref(counter).expect("it reads").expect("it is there");
    let parent = BundleState::builder(0..=0)
        .state_original_account_info(counter, info.clone())
        .state_present_account_info(counter, info)
        .state_storage(counter, slots)
        .build();
    let over = |policy, block: Block| {
        executor(policy)
            .block(block)
            .state(Cloned(scene.database()))
            .parent(parent.clone())
            .execute()
    };
    let expected = over(Policy::Sequential, scene.block.clone()).expect("a valid block");
    let mut list = expected.access_list.expect("a list").iter().cloned().collect::<Vec<_>>();
    let found = over(Policy::Forced(Forced::AccessList), with_list(&scene, &list))
        .expect("the list is right");
    assert!(found.stats.contiguous_batches > 1, "{:?}", found.stats);
    assert_eq!(found.bundle, expected.bundle);
    let slot = &mut of(&mut list, counter).storage_changes[0].changes[4];
    assert_eq!(slot.new_value, U256::from(105));
    slot.new_value = U256::from(5);
    let error = over(Policy::Forced(Forced::AccessList), with_list(&scene, &list))
        .expect_err("it is wrong");
    assert_eq!(error.at, tx(4));
}

/// Before Cancun, a transaction may clear storage that no list names, so the list is only compared
/// and not read.
#[test]
pub(in crate::equivalence) fn storage_that_a_self_destruct_clears_is_not_told() {
    let mut scene = Scene::on(SpecId::LONDON);
    let [alice, bob, carol, heir] = scene.senders();
    let runtime = Code::new().op(opcode::CALLDATASIZE).if_nonzero(|code| code.selfdestruct(heir));
    let runtime = runtime.sload(5).log_top(1);
    let init = deploying(runtime.clone());
    let factory = scene.contract(0, Code::new().create2(&init, 0, 1).sstore_top(0));
    let child = factory.create2(B256::from(U256::ONE), keccak256(&init));
    scene.put(child, MemoryAccount { storage: storage([(5, 50)]), ..contract(runtime) });
    scene.send(alice, call_with(child, 1));
    scene.send(carol, call(factory));
    for _ in 0..6 {
        scene.send(alice, pay(bob, 1));
    }
    for sender in [alice, bob, carol] {
        scene.send(sender, call(child));
    }
    scene.play();
}

/// An existing empty account is deleted when a transaction touches it, which no list records. The
/// refund for delegating it depends on whether it exists; if gas has a price, the sender's balance
/// shows the difference.
#[test]
pub(in crate::equivalence) fn an_empty_account_may_be_gone_by_then() {
    let mut scene = Scene::on(SpecId::OSAKA);
    scene.block.env.basefee = 0;
    let free = |tx| TxEnv { gas_price: 0, gas_priority_fee: Some(0), ..tx };
    let senders: [Address; 12] = scene.senders();
    let [alice, bob, carol, others @ ..] = senders;
    for authority in [OTHER, STRANGER] {
        scene.put(authority, MemoryAccount::default());
    }
    scene.send(alice, free(pay(OTHER, 0)));
    for sender in others {
        scene.send(sender, free(call_with(carol, 1)));
    }
    for authority in [OTHER, STRANGER] {
        let authorizations = vec![authorization(authority, carol, 0)];
        scene.send(bob, free(delegate(authorizations, carol)));
    }
    let played = scene.play();
    assert!(played.gas(10) > played.gas(11), "only the one that is there is refunded");
}
