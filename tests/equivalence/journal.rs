//! Blocks that give wrong results if one journal is kept over several transactions.

use crate::support::scene::{Scene, call, call_with, contract, create, pay, rich, storage};
use alloy_primitives::{Address, B256, U256, keccak256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::memory::MemoryAccount;
use braid_blocks::sequential::SequentialOutcome;
use braid_evm::{Config, Executor};
use braid_testkit::lineup::SETTINGS;
use braid_testkit::own::Teller;
use braid_testkit::plain::{self, Own};
use revm::bytecode::opcode;
use revm::primitives::hardfork::SpecId;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

const X: Address = Address::repeat_byte(0x11);

/// Returns a contract that self-destructs, with storage and some wei.
fn mortal(heir: Address) -> MemoryAccount {
    MemoryAccount {
        balance: U256::from(1_000),
        storage: storage([(1, 7)]),
        ..contract(Code::new().selfdestruct(heir))
    }
}

/// (a) A call with value to a contract that the preceding transaction destroyed creates an account,
/// and pays for that.
#[test]
fn homestead_a_destroyed_contract_is_called_with_value() {
    let scene = |destroyed: bool| {
        let mut scene = Scene::on(SpecId::HOMESTEAD);
        let [alice, bob, heir] = scene.senders();
        scene.put(X, mortal(heir));
        let caller = Code::new().call(X, 5, 60_000).sstore_top(0);
        let caller = scene.contract(0, caller);
        scene.fund(caller, 100);
        scene.send(alice, if destroyed { call(X) } else { pay(heir, 1) });
        scene.send(bob, call(caller));
        scene
    };
    let destroyed = scene(true).play();
    assert_eq!(destroyed.balance(X), Some(U256::from(5)));
    let alive = scene(false).play();
    // If the contract is alive, it runs and destroys itself, which is free in Homestead and earns a
    // refund.
    assert!(destroyed.gas(1) > alive.gas(1) + 25_000, "{} {}", destroyed.gas(1), alive.gas(1));
}

/// (b) A later transaction's payment to a destroyed contract is kept.
#[test]
pub(crate) fn london_a_destroyed_contract_is_funded() {
    let mut scene = Scene::on(SpecId::LONDON);
    let [alice, bob, heir] = scene.senders();
    scene.put(X, mortal(heir));
    scene.send(alice, call(X));
    scene.send(bob, pay(X, 77));
    let played = scene.play();
    assert_eq!(played.balance(X), Some(U256::from(77)));
}

/// (c) A contract is created and destroyed twice at one address, with wei each time.
#[test]
fn amsterdam_one_address_is_created_and_destroyed_twice() {
    for heir_is_itself in [false, true] {
        let mut scene = Scene::on(SpecId::AMSTERDAM);
        let [alice, bob, heir] = scene.senders();
        let init = if heir_is_itself {
            Code::new().op(0x30).op(0xff).bytes()
        } else {
            Code::new().selfdestruct(heir).bytes()
        };
        let factory = Code::new().create2(&init, 5, 1).sstore_top(0);
        let factory = scene.contract(0, factory);
        scene.fund(factory, 100);
        let child = factory.create2(B256::from(U256::ONE), keccak256(&init));
        scene.send(alice, call(factory));
        scene.send(bob, pay(child, 3));
        scene.send(alice, call(factory));
        let played = scene.play();
        assert_eq!(played.balance(factory), Some(U256::from(90)));
    }
}

/// (d) An existing empty account is touched, which deletes it, and then funded.
#[test]
fn london_an_empty_account_is_touched_and_funded() {
    for funded_by_contract in [false, true] {
        let mut scene = Scene::on(SpecId::LONDON);
        let [alice, bob] = scene.senders();
        scene.put(X, MemoryAccount::default());
        let payer = scene.contract(0, Code::new().call(X, 9, 50_000).sstore_top(0));
        scene.fund(payer, 100);
        scene.send(alice, pay(X, 0));
        scene.send(bob, if funded_by_contract { call(payer) } else { pay(X, 9) });
        let played = scene.play();
        assert_eq!(played.balance(X), Some(U256::from(9)));
    }
}

/// The same with storage, which is deleted too; a precompile reads it before and after.
#[test]
pub(crate) fn an_empty_account_with_storage_is_touched() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    let odd = MemoryAccount { storage: storage([(0, 7)]), ..MemoryAccount::default() };
    let empty = scene.put(X, odd);
    let teller = Teller { at: Address::repeat_byte(0xfa), of: Some(empty) };
    scene.send(alice, call(teller.at));
    scene.send(bob, pay(empty, 0));
    scene.send(alice, call(teller.at));
    let (block, database) = (plain::bare(&scene.block), scene.database());
    let own = Own { precompile: Some(teller), ..Own::default() };
    let expected = plain::build(&block, &database, &own);
    let said = |index: usize| match &expected.outcomes[index] {
        SequentialOutcome::Executed(result) => {
            U256::from_be_slice(result.output().map_or(&[], |output| output))
        }
        skipped => panic!("{skipped:?}"),
    };
    assert_eq!([said(0), said(2)], [U256::from(7), U256::ZERO]);
    for (workers, policy) in SETTINGS {
        let mut config = Config::with_workers(NonZeroU16::new(workers).expect("not 0"));
        (config.policy, config.engine.chunk) = (policy, NonZeroU32::new(3));
        config.access_list = true;
        let executor = Executor::new(config).expect("starts");
        let found = executor
            .with_precompiles(vec![Arc::new(teller)])
            .block(block.clone())
            .database(database.clone())
            .execute();
        plain::compare(&expected, &found)
            .unwrap_or_else(|wrong| panic!("{workers} workers, {policy:?}: {wrong}"));
    }
}

/// (e) A contract is read in another chunk than that of its creation and first call.
#[test]
pub(crate) fn a_new_contract_is_called_and_then_read_from_elsewhere() {
    for spec in [SpecId::LONDON, SpecId::OSAKA] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        // Calls with data set slot 1, and all calls add it up in slot 2.
        let runtime = Code::new().op(opcode::CALLDATASIZE).if_nonzero(|code| code.sstore(1, 5));
        let runtime = runtime.sload(1).sload(2).op(opcode::ADD).sstore_top(2);
        let new = alice.create(0);
        let empty = scene.put(X, MemoryAccount::default());
        scene.send(alice, create(deploying(runtime)));
        scene.send(bob, call_with(new, 1));
        for round in 0..4 {
            scene.send(carol, call(new));
            scene.send(bob, call(new));
            if round == 1 {
                // Ends the journal if it was kept so far.
                scene.send(alice, pay(empty, 0));
            }
        }
        let played = scene.play();
        assert_eq!(played.slot(new, 2), Some(U256::from(45)), "{spec:?}");
    }
}

/// The original value of a slot (EIP-2200) is that of the transaction, not of the block.
#[test]
fn original_values_and_warmth_end_with_the_transaction() {
    for spec in [SpecId::ISTANBUL, SpecId::BERLIN, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let flip = Code::new().sload(0).op(0x15).sstore_top(0);
        let flip = scene.contract(0, flip);
        scene.send(alice, call(flip));
        scene.send(bob, call(flip));
        scene.send(carol, call(flip));
        let played = scene.play();
        assert_eq!(played.gas(0), played.gas(2), "{spec:?}");
        assert!(played.gas(1) < played.gas(0), "{spec:?}");
    }
}

/// A skipped transaction leaves no trace, not even warm addresses.
#[test]
fn an_invalid_transaction_between_two_others_leaves_no_trace() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    let poor = Address::repeat_byte(0x99);
    scene.put(poor, MemoryAccount { balance: U256::from(10), ..rich() });
    let counter = scene.contract(0, Code::new().increment(0, 1));
    scene.send(alice, call(counter));
    scene.send(poor, call(counter));
    scene.send(bob, call(counter));
    let played = scene.build();
    assert_eq!(played.all_skipped(), [1]);
    assert_eq!(played.slot(counter, 0), Some(U256::from(2)));
}
