//! Access lists of accounts that are created and destroyed, get code, or are not ordinary accounts.

use super::{OTHER, STRANGER, balances, codes, find, listed, nonces, reads, writes};
use crate::support::scene::{Scene, authorization, call, contract, create, delegate, pay, storage};
use alloy_primitives::{Address, U256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::memory::MemoryAccount;
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;

/// A contract is created and destroyed in one transaction, at an address that already had ether.
#[test]
fn what_comes_and_goes_leaves_its_accesses_and_its_balance() {
    for spec in [SpecId::CANCUN, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        let dies = Code::new().sstore(1, 1).sload(2).op(opcode::POP).selfdestruct(OTHER);
        let init = dies.bytes();
        for (sender, wei) in [(alice, 7), (bob, 0)] {
            let address = sender.create(0);
            scene.fund(address, wei);
            scene.send(sender, TxEnv { value: U256::from(2 * wei), ..create(init.clone()) });
        }
        let played = scene.play();
        let [funded, empty] = [alice, bob].map(|sender| listed(&played, sender.create(0)));
        for account in [funded, empty] {
            assert!(nonces(account).is_empty() && codes(account).is_empty());
            assert!(writes(account).is_empty());
            assert_eq!(reads(account), [1, 2]);
        }
        assert_eq!(balances(funded), [(1, U256::ZERO)]);
        assert!(balances(empty).is_empty());
        assert_eq!(balances(listed(&played, OTHER)), [(1, U256::from(21))]);
    }
}

/// From Cancun on, a contract of an earlier transaction stays. Before Cancun, where no chain has
/// lists, its list entry shows the state after destruction.
#[test]
fn a_contract_of_the_state_is_destroyed() {
    for spec in [SpecId::LONDON, SpecId::SHANGHAI, SpecId::CANCUN] {
        let mut scene = Scene::on(spec);
        let [alice] = scene.senders();
        let code = Code::new().sload(1).op(opcode::POP).selfdestruct(OTHER);
        let account = MemoryAccount {
            balance: U256::from(5),
            storage: storage([(1, 5), (2, 6)]),
            ..contract(code)
        };
        let dies = scene.put(Address::repeat_byte(0x42), account);
        scene.send(alice, call(dies));
        let played = scene.play();
        let account = listed(&played, dies);
        assert_eq!(balances(account), [(1, U256::ZERO)]);
        assert_eq!(balances(listed(&played, OTHER)), [(1, U256::from(5))]);
        if spec == SpecId::CANCUN {
            assert!(nonces(account).is_empty() && codes(account).is_empty());
            assert_eq!((reads(account), writes(account)), (vec![1], vec![]));
        } else {
            assert_eq!((nonces(account), codes(account)), (vec![(1, 0)], vec![(1, 0)]));
            assert_eq!((reads(account), writes(account)), (vec![], vec![(1, vec![(1, 0)])]));
        }
    }
}

#[test]
fn where_a_creation_fails_the_address_is_listed() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    let init = deploying(Code::new().sload(1));
    let fails = Code::new().sstore(1, 1).revert().bytes();
    // The first creation collides, the second fails, the third succeeds, and the fourth cannot be
    // paid.
    let creator = Address::repeat_byte(0x43);
    let code = Code::new().create(&init, 0).create(&fails, 0).create(&init, 0).create(&init, 1);
    scene.put(creator, contract(code));
    let at = |nonce| creator.create(nonce);
    scene.put(at(1), contract(Code::new().sload(1)));
    // The collision takes all gas but a 64th.
    scene.send(alice, TxEnv { gas_limit: 16_000_000, ..call(creator) });
    scene.send(bob, create(fails.clone()));
    let played = scene.play();
    assert!(played.ok(0) && !played.ok(1));
    assert!(listed(&played, at(1)).is_empty());
    assert_eq!(reads(listed(&played, at(2))), [1]);
    assert!(nonces(listed(&played, at(2))).is_empty());
    let made = listed(&played, at(3));
    assert_eq!((nonces(made), codes(made)), (vec![(1, 1)], vec![(1, 3)]));
    assert!(find(&played, at(4)).is_none());
    assert_eq!(nonces(listed(&played, creator)), [(1, 4)]);
    assert_eq!(reads(listed(&played, bob.create(0))), [1]);
    assert_eq!(nonces(listed(&played, bob)), [(2, 1)]);
}

#[test]
fn delegations_are_listed_and_their_targets_when_they_are_called() {
    for spec in [SpecId::PRAGUE, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol, dave] = scene.senders();
        let target = scene.contract(0, Code::new().sstore(1, 1));
        let set = scene.authorize(bob, target);
        let wrong = authorization(carol, STRANGER, 7);
        scene.send(alice, delegate(vec![set, wrong], OTHER));
        scene.send(dave, call(bob));
        let reset = scene.authorize(bob, Address::ZERO);
        scene.send(alice, delegate(vec![reset], OTHER));
        let played = scene.play();
        let authority = listed(&played, bob);
        assert_eq!(codes(authority), [(1, 23), (3, 0)]);
        assert_eq!(nonces(authority), [(1, 1), (3, 2)]);
        assert_eq!(writes(authority), [(1, vec![(2, 1)])]);
        assert!(listed(&played, carol).is_empty());
        assert!(listed(&played, target).is_empty());
        assert!(find(&played, STRANGER).is_none() && find(&played, Address::ZERO).is_none());
    }
}

/// A delegation target that is only named is not accessed.
#[test]
fn who_only_gets_a_delegation_does_not_access_its_target() {
    let mut scene = Scene::on(SpecId::PRAGUE);
    let [alice, bob] = scene.senders();
    let set = scene.authorize(bob, STRANGER);
    scene.send(alice, delegate(vec![set], OTHER));
    let played = scene.play();
    assert_eq!(codes(listed(&played, bob)), [(1, 23)]);
    assert!(find(&played, STRANGER).is_none());
}

/// From Amsterdam on (EIP-2780), gas may run out before the first frame starts: at an
/// authorization, or at a new receiver.
#[test]
pub(in crate::equivalence) fn gas_ends_before_the_first_frame() {
    let mut scene = Scene::on(SpecId::AMSTERDAM);
    let [alice, bob, carol] = scene.senders();
    let target = scene.contract(0, Code::new().sstore(1, 1));
    let fresh = Address::repeat_byte(0x44);
    let set = scene.authorize(fresh, target);
    scene.send(alice, TxEnv { gas_limit: 60_000, ..delegate(vec![set], bob) });
    scene.send(carol, TxEnv { gas_limit: 60_000, ..pay(STRANGER, 1) });
    let played = scene.play();
    assert!(!played.ok(0) && !played.ok(1));
    assert!(listed(&played, fresh).is_empty());
    assert!(listed(&played, STRANGER).is_empty());
    assert_eq!(nonces(listed(&played, alice)), [(1, 1)]);
}

#[test]
pub(in crate::equivalence) fn precompiles_are_listed_when_they_are_called() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol] = scene.senders();
    let precompile = Address::with_last_byte;
    let calls = scene.contract(0, Code::new().call(precompile(4), 0, 1_000));
    scene.send(alice, call(calls));
    scene.send(bob, pay(precompile(2), 3));
    scene.send(carol, call(precompile(3)));
    // The call fails because the data is not a point of the curve, and its value is returned.
    let data = vec![1; 64].into();
    scene.send(carol, TxEnv { gas_limit: 60_000, data, ..pay(precompile(6), 5) });
    let played = scene.play();
    assert!(listed(&played, precompile(4)).is_empty());
    assert!(listed(&played, precompile(3)).is_empty());
    assert_eq!(balances(listed(&played, precompile(2))), [(2, U256::from(3))]);
    assert!(find(&played, precompile(1)).is_none());
    assert!(!played.ok(3));
    assert!(listed(&played, precompile(6)).is_empty());
}

/// An account that is warm from the start is loaded without any code that runs.
#[test]
fn a_precompile_signs_and_is_a_delegation_target() {
    let mut scene = Scene::on(SpecId::PRAGUE);
    let [alice, bob] = scene.senders();
    let precompile = Address::with_last_byte;
    let reset = scene.authorize(precompile(5), Address::ZERO);
    let set = scene.authorize(bob, precompile(7));
    scene.send(alice, delegate(vec![reset, set], bob));
    let played = scene.play();
    assert_eq!(nonces(listed(&played, precompile(5))), [(1, 1)]);
    assert!(listed(&played, precompile(7)).is_empty());
}
