//! The receiver of the fees in every role that an account can have.

use crate::support::scene::{
    BENEFICIARY, PRICE, Scene, authorization, call, call_with, contract, delegate, pay, rich,
    storage,
};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, U256, keccak256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::fork::FORKS;
use braid_blocks::memory::MemoryAccount;
use braid_evm::Ommer;
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;

/// Code that stores the beneficiary's balance in a slot that depends on the number of calls.
fn look() -> Code {
    let code = Code::new().op(opcode::COINBASE).op(opcode::BALANCE);
    code.sload(0).push(1).op(opcode::ADD).op(opcode::SSTORE).increment(0, 1)
}

#[test]
pub(crate) fn it_sends_transactions_itself() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        scene.put(BENEFICIARY, rich());
        scene.send(alice, pay(bob, 1));
        scene.send(BENEFICIARY, pay(bob, 1));
        scene.send(bob, pay(alice, 1));
        scene.send(BENEFICIARY, pay(alice, 1));
        scene.send(alice, pay(BENEFICIARY, 7));
        let played = scene.play();
        assert!(played.ok(3), "{name}");
    }
}

/// Each transaction needs the balance that the preceding one left and the fee that it paid.
#[test]
fn it_sends_many_transactions_in_a_row() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        let counter = scene.contract(0, Code::new().increment(0, 1));
        scene.put(BENEFICIARY, rich());
        scene.send(alice, pay(BENEFICIARY, 5));
        for index in 0..12 {
            let tx = if index % 3 == 0 { call(counter) } else { pay(bob, 1) };
            scene.send(BENEFICIARY, tx);
        }
        scene.send(bob, pay(BENEFICIARY, 5));
        let played = scene.play();
        assert_eq!(played.slot(counter, 0), Some(U256::from(4)), "{name}");
        #[cfg(feature = "testing")]
        scene.play_schedules(0..20, |_| {});
    }
}

/// The beneficiary can only send because of fees from earlier transactions.
#[test]
pub(crate) fn it_spends_what_it_has_just_earned() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    scene.put(BENEFICIARY, MemoryAccount { balance: U256::from(1), ..Default::default() });
    // Too poor to send before several fees have arrived.
    for _ in 0..5 {
        scene.send(alice, pay(bob, 1));
        scene.send(bob, pay(alice, 1));
    }
    scene.send(BENEFICIARY, TxEnv { gas_limit: 21_000, ..pay(alice, 1) });
    let played = scene.play();
    assert!(played.ok(10));
}

#[test]
pub(crate) fn it_is_paid_and_others_read_its_balance_in_between() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let look = scene.contract(0, look());
        for _ in 0..4 {
            scene.send(alice, pay(bob, 1));
            scene.send(bob, pay(BENEFICIARY, 11));
            scene.send(carol, call(look));
        }
        let played = scene.play();
        assert_eq!(played.slot(look, 0), Some(U256::from(4)), "{name}");
        assert!(played.slot(look, 1) < played.slot(look, 2), "{name}");
    }
}

/// Each reader writes to a slot that depends on the fees.
#[test]
fn a_branch_on_its_balance_decides_where_to_write() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol] = scene.senders();
    let branch = Code::new().push(1).op(opcode::COINBASE).op(opcode::BALANCE).op(opcode::SSTORE);
    let branch = scene.contract(0, branch);
    for _ in 0..5 {
        for sender in [alice, bob, carol] {
            scene.send(sender, call(branch));
        }
    }
    let played = scene.play();
    assert_eq!(played.account(branch).storage.len(), 15);
}

#[test]
fn it_is_a_contract_that_runs_and_looks_at_itself() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let own = look().op(opcode::CALLVALUE).if_nonzero(|code| code.call(alice, 1, 30_000));
        scene.put(BENEFICIARY, MemoryAccount { balance: U256::from(5), ..contract(own) });
        let outer = scene.contract(0, Code::new().call(BENEFICIARY, 0, 200_000).sstore_top(0));
        scene.send(alice, call(BENEFICIARY));
        scene.send(bob, pay(carol, 1));
        scene.send(carol, pay(BENEFICIARY, 3));
        scene.send(bob, call(outer));
        scene.send(alice, call(BENEFICIARY));
        let played = scene.play();
        assert_eq!(played.slot(BENEFICIARY, 0), Some(U256::from(4)), "{name}");
    }
}

#[test]
fn it_gets_no_fees() {
    for (name, spec) in FORKS {
        for account in [None, Some(MemoryAccount::default()), Some(rich())] {
            let existed = account.is_some();
            let mut scene = Scene::on(spec);
            let [alice, bob, carol] = scene.senders();
            if let Some(account) = account {
                scene.put(BENEFICIARY, account);
            }
            scene.block.rules.block_reward = Some(0);
            let look = scene.contract(0, look());
            let price = u128::from(scene.block.env.basefee);
            let free = |tx: TxEnv| TxEnv { gas_price: price, ..tx };
            scene.send(alice, free(pay(bob, 1)));
            scene.send(bob, free(call(look)));
            scene.send(carol, free(pay(alice, 1)));
            scene.send(alice, free(call(look)));
            let played = scene.play();
            let there = played.output().bundle.account(&BENEFICIARY);
            // Before EIP-161, the touch of a zero reward creates the account.
            if !existed && !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) {
                assert!(there.is_some_and(|account| account.info.is_some()), "{name}");
            } else if !existed {
                assert!(there.is_none(), "{name}");
            }
        }
    }
}

const OTHER: Address = Address::repeat_byte(0x0d);

/// Returns senders, a contract that reads the beneficiary's balance, and a beneficiary that exists
/// and is empty.
fn with_an_empty_account(spec: SpecId, stored: bool) -> (Scene, [Address; 3], Address) {
    let mut scene = Scene::on(spec);
    let senders = scene.senders();
    let slots = if stored { storage([(1, 1)]) } else { Default::default() };
    scene.put(BENEFICIARY, MemoryAccount { storage: slots, ..Default::default() });
    let look = scene.contract(0, look());
    (scene, senders, look)
}

/// An existing empty account is deleted by a zero reward, and created by the next reward.
#[test]
fn an_empty_account_gets_nothing_and_then_something() {
    for (name, spec) in FORKS {
        for stored in [false, true] {
            let (mut scene, [alice, bob, carol], look) = with_an_empty_account(spec, stored);
            let price = u128::from(scene.block.env.basefee);
            scene.send(alice, TxEnv { gas_price: price, ..pay(bob, 1) });
            scene.send(bob, TxEnv { gas_price: price, ..call(look) });
            scene.send(carol, pay(alice, 1));
            scene.send(bob, call(look));
            let played = scene.play();
            assert!(played.balance(BENEFICIARY) > Some(U256::ZERO), "{name}");
        }
    }
}

/// After the first fee the account is not empty, so no later zero reward or touch deletes it.
#[test]
fn an_empty_account_gets_something_first() {
    for (name, spec) in FORKS {
        for (stored, first) in
            [(false, BENEFICIARY), (true, BENEFICIARY), (false, OTHER), (true, OTHER)]
        {
            let (mut scene, [alice, bob, carol], look) = with_an_empty_account(spec, stored);
            let free = u128::from(scene.block.env.basefee);
            scene.send(alice, pay(first, 0));
            scene.send(bob, TxEnv { gas_price: free, ..call(look) });
            scene.send(carol, TxEnv { gas_price: free, ..pay(BENEFICIARY, 0) });
            scene.send(bob, TxEnv { gas_price: free, ..pay(alice, 1) });
            scene.send(carol, call(look));
            scene.send(alice, pay(BENEFICIARY, 3));
            scene.send(bob, call(look));
            let played = scene.play();
            assert!(played.balance(BENEFICIARY) > Some(U256::from(3)), "{name}");
            #[cfg(feature = "testing")]
            scene.play_schedules(0..10, |_| {});
        }
    }
}

/// Runs that stop in the middle, where the reward cannot be read either, leave no trace in the EVM
/// that runs the next transaction.
#[test]
fn stopped_runs_before_an_empty_beneficiary() {
    for _ in 0..10 {
        let mut scene = Scene::on(SpecId::OSAKA);
        scene.put(BENEFICIARY, MemoryAccount::default());
        let count = scene.contract(0, Code::new().increment(0, 1));
        let price = u128::from(scene.block.env.basefee);
        for index in 0..24 {
            let sender = scene.sender(index);
            let gas_price = if index % 4 == 3 { PRICE } else { price };
            scene.send(sender, TxEnv { gas_price, ..call(count) });
        }
        let played = scene.play();
        assert_eq!(played.slot(count, 0), Some(U256::from(24)));
    }
}

#[test]
fn it_is_created_in_the_block() {
    for spec in [SpecId::FRONTIER, SpecId::LONDON, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let create = Code::new().create(&deploying(look()), 0).sstore_top(0);
        let factory = scene.contract(0, create);
        scene.block.env.beneficiary = factory.create(1);
        let beneficiary = scene.block.env.beneficiary;
        scene.send(alice, pay(bob, 1));
        scene.send(bob, call(factory));
        scene.send(carol, call(beneficiary));
        scene.send(alice, call(beneficiary));
        let played = scene.play();
        assert_eq!(played.slot(beneficiary, 0), Some(U256::from(2)), "{spec:?}");
    }
}

#[test]
fn it_is_destroyed_and_goes_on_earning() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let mortal = Code::new().op(opcode::CALLDATASIZE).if_nonzero(|code| {
            code.push(1).push(2).op(opcode::SSTORE).selfdestruct(Address::repeat_byte(0x44))
        });
        let before = contract(mortal.increment(0, 1));
        scene.put(
            BENEFICIARY,
            MemoryAccount { balance: U256::from(9), storage: storage([(0, 5)]), ..before },
        );
        scene.send(alice, call(BENEFICIARY));
        scene.send(bob, call_with(BENEFICIARY, 1));
        scene.send(carol, pay(alice, 1));
        scene.send(alice, call(BENEFICIARY));
        scene.send(bob, pay(BENEFICIARY, 2));
        let played = scene.play();
        assert!(played.balance(BENEFICIARY) > Some(U256::ZERO), "{name}");
    }
}

/// The contract is created and destroyed by the transaction that also pays it.
#[test]
fn it_is_created_and_destroyed_by_one_transaction() {
    for spec in [SpecId::PETERSBURG, SpecId::LONDON, SpecId::CANCUN, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let init = Code::new().sstore(1, 1).selfdestruct(carol).bytes();
        let factory = scene.contract(0, Code::new().create2(&init, 2, 1).sstore_top(0));
        scene.fund(factory, 100);
        scene.block.env.beneficiary = factory.create2(B256::from(U256::ONE), keccak256(&init));
        scene.send(alice, call(factory));
        scene.send(bob, pay(carol, 1));
        scene.send(carol, call(factory));
        scene.send(bob, call(factory));
        scene.play();
    }
}

#[test]
fn it_is_a_precompile_or_a_system_contract() {
    let history = alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
    for (_, spec) in FORKS {
        for beneficiary in [Address::with_last_byte(1), Address::with_last_byte(4), history] {
            let mut scene = Scene::on(spec);
            scene.block.env.beneficiary = beneficiary;
            let [alice, bob] = scene.senders();
            scene.send(alice, call_with(beneficiary, 3));
            scene.send(bob, pay(beneficiary, 3));
            scene.send(alice, pay(bob, 3));
            let played = scene.play();
            assert!(played.balance(beneficiary) > Some(U256::from(3)));
        }
    }
}

#[test]
fn it_delegates_its_code() {
    for spec in [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        scene.put(BENEFICIARY, MemoryAccount::default());
        let look = scene.contract(0, look());
        scene.send(alice, pay(bob, 1));
        scene.send(bob, delegate(vec![authorization(BENEFICIARY, look, 0)], BENEFICIARY));
        scene.send(carol, call(BENEFICIARY));
        scene.send(alice, delegate(vec![authorization(BENEFICIARY, Address::ZERO, 1)], bob));
        scene.send(carol, call(BENEFICIARY));
        let played = scene.play();
        assert_eq!(played.slot(BENEFICIARY, 0), Some(U256::from(2)), "{spec:?}");
    }
}

/// Credits at the end of the block are added to rewards recorded as deltas.
#[test]
fn rewards_ommers_and_withdrawals_meet() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        scene.send(alice, pay(bob, 1));
        scene.send(bob, pay(BENEFICIARY, 1));
        scene.send(carol, pay(alice, 1));
        if spec.is_enabled_in(SpecId::SHANGHAI) {
            let to = [BENEFICIARY, alice, Address::repeat_byte(0x55), BENEFICIARY];
            let withdrawals = to.into_iter().enumerate().map(|(index, address)| Withdrawal {
                index: index as u64,
                validator_index: 1,
                address,
                amount: index as u64,
            });
            scene.block.withdrawals = Some(withdrawals.collect());
        } else if !spec.is_enabled_in(SpecId::MERGE) {
            let ommer = |beneficiary, number| Ommer { beneficiary, number };
            let fresh = Address::repeat_byte(0x66);
            scene.block.ommers =
                vec![ommer(alice, 999), ommer(fresh, 998), ommer(BENEFICIARY, 997)];
        }
        let played = scene.play();
        assert!(played.balance(BENEFICIARY) > Some(U256::from(60_000)), "{name}");
    }
}
