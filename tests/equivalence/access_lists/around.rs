//! Access lists of a block's parts other than executed transactions: system calls, withdrawals,
//! rewards, and skipped transactions.

use super::{OTHER, STRANGER, balances, find, listed, nonces, reads, writes};
use crate::equivalence::parts::{payments, run};
use crate::support::scene::{BASE_FEE, BENEFICIARY, PRICE, Scene, call, contract, pay};
use alloy_eips::eip4895::Withdrawal;
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, U256, b256};
use braid_blocks::code::Code;
use braid_blocks::memory::MemoryAccount;
use braid_evm::{Cloned, Config, Executor, Forced, Mode, Ommer, Policy};
use braid_testkit::lineup::listing;
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::handler::SYSTEM_ADDRESS;
use revm::primitives::hardfork::SpecId;
use std::num::NonZeroU16;
use std::ops::ControlFlow;

#[test]
pub(in crate::equivalence) fn what_surrounds_the_transactions_has_indices_of_its_own() {
    let mut scene = Scene::on(SpecId::PRAGUE);
    let [alice, bob] = scene.senders();
    let keeps = |slots: u64| {
        let code = (0..slots).fold(Code::new(), |code, slot| {
            code.push(0).op(opcode::CALLDATALOAD).sstore_top(10 + slot)
        });
        contract(code)
    };
    scene.put(eip2935::HISTORY_STORAGE_ADDRESS, keeps(1));
    scene.put(eip4788::BEACON_ROOTS_ADDRESS, keeps(2));
    let queue = || {
        let code = Code::new().increment(0, 1).increment(1, 1).sload(2).sload(3);
        contract(code.op(opcode::STOP))
    };
    scene.put(eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, queue());
    scene.put(eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, queue());
    let withdrawal = |address, amount| Withdrawal { address, amount, ..Withdrawal::default() };
    scene.block.withdrawals =
        Some(vec![withdrawal(STRANGER, 0), withdrawal(OTHER, 2), withdrawal(alice, 1)]);
    scene.send(alice, pay(bob, 1));
    let played = scene.play();
    let slots = |address| {
        let account = listed(&played, address);
        let changed = writes(account).into_iter().map(|(slot, changes)| {
            let at: Vec<u64> = changes.iter().map(|(index, _)| *index).collect();
            (slot, at)
        });
        (changed.collect::<Vec<_>>(), reads(account))
    };
    assert_eq!(slots(eip2935::HISTORY_STORAGE_ADDRESS), (vec![(10, vec![0])], vec![]));
    let beacon = (vec![(10, vec![0]), (11, vec![0])], vec![]);
    assert_eq!(slots(eip4788::BEACON_ROOTS_ADDRESS), beacon);
    for queue in [
        eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
        eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
    ] {
        assert_eq!(slots(queue), (vec![(0, vec![2]), (1, vec![2])], vec![2, 3]));
    }
    assert!(listed(&played, STRANGER).is_empty());
    assert_eq!(balances(listed(&played, OTHER)), [(2, U256::from(2_000_000_000))]);
    let found: Vec<u64> =
        balances(listed(&played, alice)).iter().map(|(index, _)| *index).collect();
    assert_eq!(found, [1, 2]);
    assert!(find(&played, SYSTEM_ADDRESS).is_none());
}

#[test]
pub(in crate::equivalence) fn the_beneficiary_is_listed_also_if_it_gets_nothing() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    scene.send(alice, TxEnv { gas_price: BASE_FEE.into(), ..pay(bob, 1) });
    let played = scene.play();
    assert!(listed(&played, BENEFICIARY).is_empty());
    scene.send(bob, pay(alice, 1));
    let played = scene.play();
    let fee = U256::from(21_000 * (PRICE as u64 - BASE_FEE));
    assert_eq!(balances(listed(&played, BENEFICIARY)), [(2, fee)]);
}

/// A precompile is warm from the start, and no code reads its account. Before Shanghai the
/// beneficiary is not warm.
#[test]
fn a_precompile_gets_the_fees() {
    for spec in [SpecId::BYZANTIUM, SpecId::LONDON, SpecId::SHANGHAI] {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        scene.block.env.beneficiary = scene.put(Address::with_last_byte(3), Default::default());
        scene.block.rules.block_reward = Some(0);
        scene.send(alice, pay(bob, 1));
        scene.send(bob, pay(alice, 1));
        // Build mode does not know whether the first fee will be paid, so it reads the account.
        let played = scene.build();
        let tip = PRICE as u64 - scene.block.env.basefee;
        let fees = [1, 2].map(|count| (count, U256::from(21_000 * tip * count)));
        assert_eq!(balances(listed(&played, scene.block.env.beneficiary)), fees, "{spec:?}");
    }
}

#[test]
fn a_block_without_transactions_does_not_list_the_beneficiary() {
    let played = Scene::on(SpecId::SHANGHAI).play();
    assert!(played.access_list().is_empty());
    // Keccak-256 of the empty RLP list.
    let empty = b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");
    assert_eq!(played.access_list().compute_hash(), empty);
}

/// Two calls follow the transactions, and the second reads a change of the first. revm's builder
/// loses that change.
#[test]
fn what_one_call_changes_another_one_looks_at() {
    let mut scene = Scene::on(SpecId::PRAGUE);
    let [alice, bob] = scene.senders();
    let pays = contract(Code::new().call(OTHER, 5, 0).op(opcode::STOP));
    let pays = MemoryAccount { balance: U256::from(9), ..pays };
    scene.put(eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, pays);
    let looks = contract(Code::new().balance(OTHER).op(opcode::STOP));
    scene.put(eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, looks);
    scene.send(alice, pay(bob, 1));
    let played = scene.play();
    assert_eq!(balances(listed(&played, OTHER)), [(2, U256::from(5))]);
}

/// A contract called after the transactions creates one that destroys itself, and another call pays
/// that address.
#[test]
fn what_a_call_has_destroyed_is_paid_later() {
    let dies = Code::new().sstore(1, 1).sload(2).op(opcode::POP).selfdestruct(OTHER).bytes();
    let creates = contract(Code::new().create(&dies, 0).op(opcode::STOP));
    let first = eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS;
    let paid = first.create(1);
    let mut scene = Scene::on(SpecId::PRAGUE);
    let [alice, bob] = scene.senders();
    scene.put(first, creates);
    let later = Code::new().call(paid, 7, 0).op(opcode::STOP);
    let later = MemoryAccount { balance: U256::from(9), ..contract(later) };
    scene.put(eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, later);
    scene.send(alice, pay(bob, 1));
    let (played, wei) = (scene.play(), U256::from(7));
    assert_eq!(played.balance(paid), Some(wei));
    let account = listed(&played, paid);
    assert_eq!(balances(account), [(2, wei)]);
    assert!(nonces(account).is_empty());
    assert_eq!((reads(account), writes(account)), (vec![1, 2], vec![]));
}

/// If each commit is reported to the caller, transactions run one at a time, sequentially and in
/// batches.
#[test]
fn a_block_that_is_streamed_has_the_same_list() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let senders: [Address; 12] = scene.senders();
    let counter = scene.contract(0, Code::new().increment(1, 1).balance(STRANGER));
    for (sender, to) in senders.into_iter().zip(senders.into_iter().cycle().skip(1)) {
        scene.send(sender, pay(to, 1));
        scene.send(sender, call(counter));
    }
    let expected = scene.play();
    for policy in [
        Policy::Sequential,
        Policy::Forced(Forced::Speculative),
        Policy::Forced(Forced::ContiguousBatches),
    ] {
        for workers in [1, 2, 3] {
            let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
            (config.policy, config.access_list) = (policy, true);
            let mut executor = Executor::new(config).expect("threads start");
            let (block, source) = (scene.block.clone(), Cloned(scene.database()));
            let mut heard = 0;
            let output = executor
                .block(block)
                .state(source)
                .on_commit(|_| {
                    heard += 1;
                    ControlFlow::Continue(())
                })
                .execute();
            let list = output.expect("a valid block").access_list.expect("a list");
            assert_eq!((heard, &list), (24, expected.access_list()), "{policy:?}, {workers}");
        }
    }
}

#[test]
pub(in crate::equivalence) fn parts_are_listed_in_order() {
    let scene = payments(300);
    for workers in [1, 2, 3] {
        let mut executor =
            listing(workers, Policy::Forced(Forced::ContiguousBatches), Mode::Validate);
        let stats = run(&mut executor, &scene, scene.database());
        assert!(stats.contiguous_batches > 1, "{stats:?}");
    }
}

/// A skipped transaction has no index.
#[test]
pub(in crate::equivalence) fn skipped_transactions_are_not_counted() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    let looks = scene.contract(0, Code::new().balance(STRANGER));
    scene.send(alice, pay(bob, 1));
    scene.block.transactions.push(TxEnv { caller: bob, nonce: 9, ..call(looks) });
    scene.send(bob, pay(alice, 1));
    scene.block.withdrawals =
        Some(vec![Withdrawal { address: OTHER, amount: 1, ..Withdrawal::default() }]);
    let played = scene.build();
    assert_eq!(played.all_skipped(), [1]);
    assert_eq!(nonces(listed(&played, bob)), [(2, 1)]);
    assert!(find(&played, STRANGER).is_none() && find(&played, looks).is_none());
    assert_eq!(balances(listed(&played, OTHER)), [(3, U256::from(1_000_000_000))]);
}

/// revm's builder differs: it lists the receiver of a reward of zero.
#[test]
fn a_reward_of_zero_is_no_access() {
    let mut scene = Scene::on(SpecId::LONDON);
    let ommer = |beneficiary, number| Ommer { beneficiary, number };
    scene.block.ommers = vec![ommer(STRANGER, 992), ommer(OTHER, 999)];
    let mut config = Config::default();
    config.access_list = true;
    let mut executor = Executor::new(config).expect("threads start");
    let output = executor
        .block(scene.block.clone())
        .database(scene.database())
        .execute()
        .expect("a valid block");
    let list = output.access_list.expect("a list");
    let found: Vec<Address> = list.iter().map(|account| account.address).collect();
    assert_eq!(found, [BENEFICIARY, OTHER]);
    // No access list was requested.
    let mut executor = Executor::new(Config::default()).expect("threads start");
    let output = executor
        .block(scene.block.clone())
        .database(scene.database())
        .execute()
        .expect("a valid block");
    assert!(output.access_list.is_none());
}
