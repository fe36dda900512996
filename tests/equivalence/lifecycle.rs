//! Accounts that are destroyed and created again within a block.

use crate::support::scene::{Scene, call, call_with, contract, pay, storage};
use alloy_primitives::{Address, B256, U256, keccak256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::memory::MemoryAccount;
use revm::bytecode::opcode;
use revm::database::AccountStatus;
use revm::primitives::hardfork::SpecId;

const X: Address = Address::repeat_byte(0x11);

/// Adds 1 to slot 0, and self-destructs if it is called with data.
fn counting_mortal(heir: Address) -> Code {
    let code = Code::new().increment(0, 1).op(opcode::CALLDATASIZE);
    code.if_nonzero(|code| code.selfdestruct(heir))
}

#[test]
fn a_contract_is_destroyed_and_created_again_in_one_block() {
    for spec in [SpecId::PETERSBURG, SpecId::LONDON, SpecId::SHANGHAI] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol, heir] = scene.senders();
        let init = deploying(counting_mortal(heir));
        let factory = scene.contract(0, Code::new().create2(&init, 0, 1).sstore_top(0));
        let child = factory.create2(B256::from(U256::ONE), keccak256(&init));
        scene.send(alice, call(factory));
        scene.send(bob, call(child));
        scene.send(carol, call(child));
        scene.send(bob, call_with(child, 1));
        scene.send(carol, call(child));
        scene.send(alice, call(factory));
        scene.send(bob, call(child));
        let played = scene.play();
        // Counts from zero again after the second creation.
        assert_eq!(played.slot(child, 0), Some(U256::ONE), "{spec:?}");
    }
}

#[test]
pub(crate) fn a_contract_of_the_state_before_is_destroyed_and_created_again() {
    for spec in [SpecId::PETERSBURG, SpecId::LONDON] {
        let mut scene = Scene::on(spec);
        let [alice, bob, heir] = scene.senders();
        let runtime = counting_mortal(heir);
        let init = deploying(runtime.clone());
        let factory = scene.contract(0, Code::new().create2(&init, 0, 1).sstore_top(0));
        let child = factory.create2(B256::from(U256::ONE), keccak256(&init));
        let before = MemoryAccount { storage: storage([(0, 41), (9, 9)]), ..contract(runtime) };
        scene.put(child, before);
        scene.send(bob, call(child));
        scene.send(alice, call(factory));
        scene.send(bob, call_with(child, 1));
        scene.send(alice, call(factory));
        scene.send(bob, call(child));
        let played = scene.play();
        assert_eq!(played.slot(child, 0), Some(U256::ONE), "{spec:?}");
        assert_eq!(played.account(child).status, AccountStatus::DestroyedChanged, "{spec:?}");
    }
}

/// Slots that were not written in this block read as zero after the destruction.
#[test]
pub(crate) fn old_slots_of_a_destroyed_contract_read_as_zero() {
    let mut scene = Scene::on(SpecId::LONDON);
    let [alice, bob, carol, heir] = scene.senders();
    let runtime = Code::new().op(opcode::CALLDATASIZE).if_nonzero(|code| code.selfdestruct(heir));
    let runtime = runtime.sload(5).push(100).op(opcode::ADD).sstore_top(6);
    let init = deploying(runtime.clone());
    let factory = scene.contract(0, Code::new().create2(&init, 0, 1).sstore_top(0));
    let child = factory.create2(B256::from(U256::ONE), keccak256(&init));
    scene.put(child, MemoryAccount { storage: storage([(5, 50)]), ..contract(runtime) });
    scene.send(alice, call(child));
    scene.send(bob, call_with(child, 1));
    scene.send(carol, call(factory));
    scene.send(bob, call(child));
    let played = scene.play();
    assert_eq!(played.slot(child, 6), Some(U256::from(100)));
}

#[test]
fn a_destroyed_contract_pays_heirs_of_all_kinds() {
    for spec in [SpecId::FRONTIER, SpecId::SPURIOUS_DRAGON, SpecId::LONDON, SpecId::CANCUN] {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        let empty = scene.put(X, MemoryAccount::default());
        let missing = Address::repeat_byte(0x12);
        let heirs = [alice, empty, missing, crate::support::scene::BENEFICIARY];
        for (index, heir) in heirs.into_iter().enumerate() {
            let runtime = contract(Code::new().selfdestruct(heir));
            let balance = U256::from(if index == 2 { 0 } else { 10 });
            let mortal = Address::repeat_byte(0x20 + index as u8);
            scene.put(mortal, MemoryAccount { balance, ..runtime });
            scene.send(bob, call(mortal));
        }
        // A contract that is its own heir: before Cancun its wei are burnt.
        let own = Address::repeat_byte(0x30);
        let runtime = contract(Code::new().op(opcode::ADDRESS).op(opcode::SELFDESTRUCT));
        scene.put(own, MemoryAccount { balance: U256::from(10), ..runtime });
        scene.send(alice, call(own));
        scene.play();
    }
}

/// EIP-6780: only a contract created in the same transaction is destroyed.
#[test]
fn cancun_destroys_only_what_the_transaction_created() {
    for spec in [SpecId::CANCUN, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol, heir] = scene.senders();
        let old = scene.contract(0, counting_mortal(heir));
        let init = Code::new().sstore(1, 1).selfdestruct(heir).bytes();
        let factory = scene.contract(1, Code::new().create2(&init, 0, 1).sstore_top(0));
        let child = factory.create2(B256::from(U256::ONE), keccak256(&init));
        scene.send(alice, call_with(old, 1));
        scene.send(bob, call(old));
        scene.send(carol, call(factory));
        scene.send(bob, pay(child, 4));
        scene.send(carol, call(factory));
        let played = scene.play();
        assert_eq!(played.slot(old, 0), Some(U256::from(2)), "{spec:?}");
    }
}

/// A reverted destruction has no effect.
#[test]
fn a_reverted_destruction_leaves_the_contract_alone() {
    let mut scene = Scene::on(SpecId::LONDON);
    let [alice, bob, heir] = scene.senders();
    let mortal = scene.contract(0, counting_mortal(heir));
    let reverter = Code::new().memory(&[1]).push(0).push(0).push(1).push(0).push(0);
    let reverter = reverter.address(mortal).push(100_000).op(opcode::CALL).revert();
    let reverter = scene.contract(1, reverter);
    scene.send(alice, call(reverter));
    scene.send(bob, call(mortal));
    let played = scene.play();
    assert!(!played.ok(0));
    assert_eq!(played.slot(mortal, 0), Some(U256::ONE));
}

/// EIP-161: a touch deletes an empty account; until then, absent and empty accounts differ.
#[test]
fn touched_empty_accounts_go() {
    for spec in [SpecId::SPURIOUS_DRAGON, SpecId::PETERSBURG, SpecId::LONDON, SpecId::PRAGUE] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let empty = scene.put(X, MemoryAccount::default());
        // EXTCODEHASH is 0 if the account is absent or empty.
        let look = Code::new().address(X).op(opcode::EXTCODEHASH).sstore_top(1);
        let look = look.balance(X).push(1).op(opcode::ADD).sstore_top(2);
        let look = scene.contract(0, look);
        let touch = scene.contract(1, Code::new().call(X, 0, 50_000).sstore_top(0));
        scene.send(alice, call(look));
        scene.send(bob, call(touch));
        scene.send(carol, call(look));
        scene.send(alice, pay(empty, 3));
        scene.send(bob, call(look));
        scene.send(carol, pay(empty, 0));
        let played = scene.play();
        assert_eq!(played.balance(X), Some(U256::from(3)), "{spec:?}");
    }
}

#[test]
pub(crate) fn an_empty_account_that_is_only_touched_is_deleted() {
    let mut scene = Scene::on(SpecId::LONDON);
    let [alice, bob] = scene.senders();
    let empty = scene.put(X, MemoryAccount { storage: storage([(1, 1)]), ..Default::default() });
    scene.send(alice, pay(empty, 0));
    scene.send(bob, pay(empty, 0));
    let played = scene.play();
    assert_eq!(played.balance(X), None);
}

/// Before EIP-161, a touch creates an account, and nothing deletes it.
#[test]
pub(crate) fn before_eip_161_a_touch_creates() {
    for spec in [SpecId::FRONTIER, SpecId::HOMESTEAD, SpecId::TANGERINE] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let empty = scene.put(X, MemoryAccount::default());
        let missing = Address::repeat_byte(0x12);
        let touch = scene.contract(1, Code::new().call(missing, 0, 50_000).sstore_top(0));
        scene.send(alice, call(touch));
        scene.send(bob, call(touch));
        scene.send(carol, pay(empty, 0));
        scene.send(alice, pay(Address::repeat_byte(0x13), 0));
        scene.send(bob, pay(missing, 2));
        let played = scene.play();
        assert_eq!(played.balance(missing), Some(U256::from(2)), "{spec:?}");
        // The second call finds the account.
        assert!(played.gas(0) > played.gas(1) + 15_000, "{spec:?}");
    }
}

/// The same account destroyed, funded and not destroyed again, with reads in between.
#[test]
fn readers_follow_an_account_through_its_lives() {
    for spec in [SpecId::PETERSBURG, SpecId::LONDON] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol, heir] = scene.senders();
        let init = deploying(counting_mortal(heir));
        let factory = scene.contract(0, Code::new().create2(&init, 0, 1).sstore_top(0));
        let child = factory.create2(B256::from(U256::ONE), keccak256(&init));
        // Writes the current observation to a slot selected by the preceding one.
        let look = Code::new().address(child).op(opcode::EXTCODEHASH);
        let look = look.address(child).op(opcode::EXTCODESIZE).op(opcode::ADD).balance(child);
        let look = look.op(opcode::ADD).sload(0).push(1).op(opcode::ADD).op(opcode::SSTORE);
        let look = scene.contract(1, look.increment(0, 1));
        let actions = [call(factory), call(child), call_with(child, 1), pay(child, 5)];
        for action in actions.iter().chain(&actions) {
            scene.send(alice, call(look));
            scene.send(bob, action.clone());
            scene.send(carol, call(look));
        }
        let played = scene.play();
        assert_eq!(played.slot(look, 0), Some(U256::from(16)), "{spec:?}");
    }
}
