//! EIP-7702: delegated code that is set, used, replaced and cleared within a block.

use crate::support::scene::{Scene, authorization, call, call_with, delegate, pay, storage};
use alloy_primitives::{Address, U256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::memory::MemoryAccount;
use braid_blocks::sequential::{Position, SequentialErrorKind, SkipReason};
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::context::result::InvalidTransaction;
use revm::primitives::hardfork::SpecId;

const SPECS: [SpecId; 3] = [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM];

#[test]
pub(crate) fn set_used_replaced_and_cleared_in_one_block() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol, dave] = scene.senders();
        let one = scene.contract(0, Code::new().increment(0, 1));
        let ten = scene.contract(1, Code::new().increment(0, 10));
        let set = scene.authorize(alice, one);
        scene.send(bob, delegate(vec![set], alice));
        scene.send(carol, call(alice));
        let replace = scene.authorize(alice, ten);
        scene.send(dave, delegate(vec![replace], bob));
        scene.send(carol, call(alice));
        let clear = scene.authorize(alice, Address::ZERO);
        scene.send(bob, delegate(vec![clear], alice));
        scene.send(carol, call(alice));
        let again = scene.authorize(alice, one);
        scene.send(dave, delegate(vec![again], alice));
        let played = scene.play();
        assert_eq!(played.slot(alice, 0), Some(U256::from(1 + 1 + 10 + 1)), "{spec:?}");
        let info = played.account(alice).info.as_ref().expect("she is there");
        assert_eq!(info.nonce, 4, "{spec:?}");
    }
}

/// A list with several authorizations: the last valid one counts, and wrong nonces are ignored.
#[test]
fn lists_with_valid_and_invalid_entries() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let one = scene.contract(0, Code::new().increment(0, 1));
        let ten = scene.contract(1, Code::new().increment(0, 10));
        let list = vec![
            authorization(alice, one, 5),
            authorization(alice, one, 0),
            authorization(alice, ten, 1),
            authorization(alice, one, 1),
            // A contract cannot be an authority.
            authorization(one, ten, 1),
        ];
        scene.send(bob, delegate(list, alice));
        scene.send(carol, call(alice));
        let played = scene.play();
        assert_eq!(played.slot(alice, 0), Some(U256::from(20)), "{spec:?}");
    }
}

/// The authority's nonce rises, so its own transaction with the old nonce is invalid.
#[test]
fn an_authorization_makes_the_authoritys_own_transaction_invalid() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let one = scene.contract(0, Code::new().increment(0, 1));
        scene.send(bob, delegate(vec![authorization(alice, one, 0)], carol));
        scene.send(alice, pay(carol, 1));
        scene.send(carol, pay(bob, 1));
        let error = scene.fail();
        assert_eq!(error.at, Position::Transaction(1));
        let SequentialErrorKind::Invalid(SkipReason::Invalid(reason)) = error.kind else {
            panic!("{error}")
        };
        assert_eq!(reason, InvalidTransaction::NonceTooLow { tx: 0, state: 1 });
        assert_eq!(scene.build().all_skipped(), [1]);
    }
}

/// A transaction that is valid only because an authorization raised the nonce.
#[test]
fn an_authorization_closes_a_nonce_gap() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let one = scene.contract(0, Code::new().increment(0, 1));
        let set = scene.authorize(alice, one);
        scene.send(bob, delegate(vec![set], carol));
        // A delegated account may still send transactions, by the exception in EIP-3607.
        scene.send(alice, call(alice));
        let own = scene.authorize(alice, Address::ZERO);
        scene.send(carol, delegate(vec![own], alice));
        scene.send(alice, pay(carol, 1));
        let played = scene.play();
        assert!(played.ok(1) && played.ok(3), "{spec:?}");
        assert_eq!(played.slot(alice, 0), Some(U256::ONE), "{spec:?}");
    }
}

/// The sender authorizes itself; its nonce has already risen by then.
#[test]
fn a_sender_is_its_own_authority() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        let one = scene.contract(0, Code::new().increment(0, 1));
        scene.send(alice, delegate(vec![authorization(alice, one, 1)], alice));
        scene.send(bob, call(alice));
        let played = scene.play();
        assert_eq!(played.slot(alice, 0), Some(U256::from(2)), "{spec:?}");
    }
}

#[test]
fn targets_of_all_kinds() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol, dave] = scene.senders();
        let reader = Code::new().address(alice).op(opcode::EXTCODESIZE);
        let reader = reader.address(alice).op(opcode::EXTCODEHASH).op(opcode::ADD);
        let reader = reader.sload(0).push(1).op(opcode::ADD).op(opcode::SSTORE).increment(0, 1);
        let reader = scene.contract(0, reader);
        let factory = Code::new().create(&deploying(Code::new().increment(3, 1)), 0).sstore_top(0);
        let factory = scene.contract(1, factory);
        // A precompile, a missing account, another delegated account, the account itself, and a
        // contract that is created later.
        let targets = [
            Address::with_last_byte(2),
            Address::repeat_byte(0x12),
            dave,
            alice,
            factory.create(1),
        ];
        for target in targets {
            let set = scene.authorize(alice, target);
            scene.send(bob, delegate(vec![set], reader));
            scene.send(carol, call_with(alice, 1));
            scene.send(dave, call(reader));
        }
        scene.send(bob, call(factory));
        scene.send(carol, call(alice));
        let played = scene.play();
        assert_eq!(played.slot(alice, 3), Some(U256::ONE), "{spec:?}");
    }
}

/// Others drain a delegated account while it sends its own transactions.
#[test]
fn a_delegated_account_is_drained_by_others() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [bob, carol] = scene.senders();
        let poor = Address::repeat_byte(0x99);
        scene.put(poor, MemoryAccount { balance: U256::from(1_000_000), ..Default::default() });
        let drain = Code::new().push(0).push(0).push(0).push(0).op(opcode::SELFBALANCE);
        let drain = drain.address(bob).push(50_000).op(opcode::CALL).sstore_top(0);
        let drain = scene.contract(0, drain);
        let set = scene.authorize(poor, drain);
        scene.send(bob, delegate(vec![set], carol));
        scene.send(carol, call(poor));
        scene.send(poor, TxEnv { gas_limit: 21_000, ..pay(bob, 1) });
        scene.send(carol, pay(bob, 1));
        let error = scene.fail();
        assert_eq!(error.at, Position::Transaction(2), "{spec:?}");
        assert_eq!(scene.build().all_skipped(), [2], "{spec:?}");
    }
}

/// An account with storage but neither nonce nor code, which occurs only in artificial states: revm
/// treats its storage as zero as soon as the account has changed.
#[test]
pub(crate) fn storage_of_an_account_that_could_not_have_any() {
    for spec in SPECS {
        for touched_first in [None, Some(0), Some(1)] {
            for balance in [0, 5] {
                let mut scene = Scene::on(spec);
                let [alice, bob, carol] = scene.senders();
                let odd = Address::repeat_byte(0x77);
                let storage = storage([(0, 40), (1, 41)]);
                let balance = U256::from(balance);
                scene.put(odd, MemoryAccount { balance, storage, ..Default::default() });
                let count = scene.contract(0, Code::new().increment(0, 1).sload(1).sstore_top(2));
                if let Some(wei) = touched_first {
                    scene.send(alice, pay(odd, wei));
                }
                scene.send(bob, delegate(vec![authorization(odd, count, 0)], odd));
                scene.send(carol, call(odd));
                scene.send(alice, pay(odd, 1));
                scene.send(carol, call(odd));
                scene.play();
            }
        }
    }
}

/// A revert undoes the call, but not the authorization.
#[test]
fn a_revert_keeps_the_delegation() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let revert = scene.contract(0, Code::new().sstore(0, 1).revert());
        let one = scene.contract(1, Code::new().increment(0, 1));
        let set = scene.authorize(alice, one);
        scene.send(bob, delegate(vec![set], revert));
        scene.send(carol, call(alice));
        let played = scene.play();
        assert!(!played.ok(0));
        assert_eq!(played.slot(alice, 0), Some(U256::ONE), "{spec:?}");
    }
}
