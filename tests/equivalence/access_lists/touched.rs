//! Access lists of transactions that read, write, and fail to reach accounts.

use super::{OTHER, STRANGER, balances, find, listed, nonces, reads, writes};
use crate::support::scene::{PRICE, Scene, call, contract, create, pay, rich, storage};
use alloy_eips::eip2930;
use alloy_primitives::{Address, B256, Bytes, U256};
use braid_blocks::code::Code;
use braid_blocks::memory::MemoryAccount;
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;

#[test]
pub(in crate::equivalence) fn what_is_only_looked_at_is_listed_without_changes() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice] = scene.senders();
    let ways = [opcode::BALANCE, opcode::EXTCODESIZE, opcode::EXTCODEHASH];
    let target = |place: u8| Address::repeat_byte(0x30 + place);
    let mut code = Code::new();
    for (place, way) in (0..).zip(ways) {
        code = code.address(target(place)).op(way).op(opcode::POP);
    }
    code = code.push(0).push(0).push(0).address(target(3)).op(opcode::EXTCODECOPY);
    code = code.call(target(4), 0, 1_000).op(opcode::POP);
    code = code.push(0).push(0).push(0).push(0).push(0).address(target(5)).push(1_000);
    code = code.op(opcode::CALLCODE).op(opcode::POP);
    code = code.call_by(opcode::DELEGATECALL, target(6), 1_000).op(opcode::POP);
    code = code.call_by(opcode::STATICCALL, target(7), 1_000).op(opcode::POP);
    let looks = scene.contract(0, code.sload(9).op(opcode::POP));
    // An account that only the transaction's access list names is not accessed.
    let slots = [B256::from(U256::from(9)), B256::from(U256::from(8))].into();
    let listing = |address, storage_keys| eip2930::AccessListItem { address, storage_keys };
    let items = vec![listing(looks, slots), listing(STRANGER, vec![])];
    let access_list = eip2930::AccessList(items);
    scene.send(alice, TxEnv { tx_type: 1, access_list, ..call(looks) });
    let played = scene.play();
    assert!(played.ok(0));
    for place in 0..8 {
        assert!(listed(&played, target(place)).is_empty());
    }
    assert_eq!(reads(listed(&played, looks)), [9]);
    assert!(find(&played, STRANGER).is_none());
    assert_eq!(nonces(listed(&played, alice)), [(1, 1)]);
}

#[test]
fn a_write_that_restores_is_a_read() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    let same = scene.contract(0, Code::new().sstore(1, 5).sstore(2, 7).sstore(2, 6));
    scene.put(
        same,
        MemoryAccount {
            storage: storage([(1, 5), (2, 6)]),
            ..contract(Code::new().sstore(1, 5).sstore(2, 7).sstore(2, 6))
        },
    );
    // A slot that another transaction restores has changed twice.
    let toggles =
        scene.contract(1, Code::new().sload(1).op(opcode::ISZERO).sstore_top(1).increment(2, 0));
    scene.send(alice, call(same));
    scene.send(alice, call(toggles));
    scene.send(bob, call(toggles));
    let played = scene.play();
    assert_eq!(reads(listed(&played, same)), [1, 2]);
    assert!(writes(listed(&played, same)).is_empty());
    assert_eq!(writes(listed(&played, toggles)), [(1, vec![(2, 1), (3, 0)])]);
    assert_eq!(reads(listed(&played, toggles)), [2]);
}

/// One journal serves the whole block, so accounts of the failing call have been loaded by other
/// transactions.
#[test]
pub(in crate::equivalence) fn what_a_call_that_fails_has_accessed_is_listed() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol, dave] = scene.senders();
    let code = Code::new().increment(1, 1).sload(2).op(opcode::POP);
    let fails = code.balance(STRANGER).op(opcode::POP).call(OTHER, 1, 9_000).revert();
    let fails = scene.put(
        Address::repeat_byte(0x41),
        MemoryAccount { balance: U256::from(9), ..contract(fails) },
    );
    let tries = scene.contract(0, Code::new().call(fails, 0, 200_000).sstore_top(0));
    let halts = scene.contract(1, Code::new().increment(3, 1).op(opcode::INVALID));
    let warms = scene.contract(2, Code::new().balance(STRANGER).balance(OTHER).balance(fails));
    scene.send(carol, call(warms));
    scene.send(alice, call(tries));
    scene.send(bob, call(fails));
    scene.send(dave, call(halts));
    let played = scene.play();
    assert!(played.ok(1) && !played.ok(2) && !played.ok(3));
    assert_eq!(reads(listed(&played, fails)), [1, 2]);
    assert!(balances(listed(&played, fails)).is_empty());
    assert!(listed(&played, STRANGER).is_empty() && listed(&played, OTHER).is_empty());
    assert_eq!(reads(listed(&played, tries)), [0]);
    assert_eq!(reads(listed(&played, halts)), [3]);
    let spent = |wei: u64| rich_less(wei);
    assert_eq!(nonces(listed(&played, bob)), [(3, 1)]);
    assert_eq!(balances(listed(&played, bob)), [(3, spent(played.gas(2) * PRICE as u64))]);
    assert_eq!(nonces(listed(&played, dave)), [(4, 1)]);
}

fn rich_less(wei: u64) -> U256 {
    rich().balance - U256::from(wei)
}

/// Two transactions share a journal, but only one of them accesses these accounts.
#[test]
fn each_transaction_lists_what_it_accesses_itself() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol] = scene.senders();
    let inner = scene.contract(0, Code::new().increment(1, 1).sload(2).op(opcode::POP));
    let gives = scene.contract(1, Code::new().call(inner, 0, 100_000));
    scene.send(alice, call(gives));
    scene.send(bob, pay(carol, 1));
    scene.send(carol, call(inner));
    let played = scene.play();
    assert_eq!(writes(listed(&played, inner)), [(1, vec![(1, 1), (3, 2)])]);
    assert_eq!(reads(listed(&played, inner)), [2]);
    let found: Vec<u64> =
        balances(listed(&played, carol)).iter().map(|(index, _)| *index).collect();
    assert_eq!(found, [2, 3]);
    assert!(balances(listed(&played, gives)).is_empty());
}

/// Returns a constructor that creates itself again with one wei less, down to one that reads
/// `slots` slots. Each reads accounts of its own before and after that, and all but the last revert
/// if `fails` is set.
fn nested(slots: u64, fails: bool) -> Bytes {
    let own = |code: Code| code.op(opcode::CALLVALUE).push(0xf0_0000).op(opcode::ADD);
    let look = |code: Code, more| own(code).push(more).op(opcode::ADD).op(opcode::BALANCE);
    let code = look(Code::new(), 0).op(opcode::POP).op(opcode::CALLVALUE).if_nonzero(|code| {
        let code = code.op(opcode::CODESIZE).push(0).push(0).op(opcode::CODECOPY);
        let code = code.op(opcode::CODESIZE).push(0).push(1).op(opcode::CALLVALUE);
        let code = code.op(opcode::SUB).op(opcode::CREATE).op(opcode::POP);
        let code = look(code, 0x1000).op(opcode::POP);
        match fails {
            true => code.revert(),
            false => code.op(opcode::STOP),
        }
    });
    (0..slots).fold(code, |code, slot| code.sload(slot).op(opcode::POP)).bytes()
}

/// Accesses of the innermost constructor are recorded once, and not by every constructor around it.
/// Earlier accesses of the outer ones are kept where these fail.
#[test]
fn constructors_within_constructors() {
    const DEPTH: u64 = 40;
    for fails in [false, true] {
        let mut scene = Scene::on(SpecId::OSAKA);
        let [alice] = scene.senders();
        let value = U256::from(DEPTH);
        scene.send(alice, TxEnv { value, gas_limit: 16_000_000, ..create(nested(300, fails)) });
        let played = scene.play();
        assert_ne!(played.ok(0), fails);
        let innermost = (0..DEPTH).fold(alice.create(0), |creator, _| creator.create(1));
        assert_eq!(reads(listed(&played, innermost)).len(), 300);
        for depth in 0..DEPTH {
            for more in [0, 0x1000] {
                let looked_at = U256::from(0xf0_0000 + more + DEPTH - depth);
                assert!(listed(&played, Address::from_word(looked_at.into())).is_empty());
            }
        }
    }
}

#[test]
fn what_gas_ends_before_is_not_accessed() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice] = scene.senders();
    let looks = scene.contract(0, Code::new().balance(STRANGER));
    let loads = scene.contract(1, Code::new().sload(1));
    let stores = scene.contract(2, Code::new().sstore(1, 1));
    let calls = scene.contract(3, Code::new().call(OTHER, 1, 0));
    let reaches =
        scene.contract(4, Code::new().balance(Address::repeat_byte(0x31)).op(opcode::INVALID));
    // Each call gets one gas less than needed for the 3 of the push and the cost of the access; the
    // last one gets enough.
    let code = Code::new().call(looks, 0, 2_602).call(loads, 0, 2_102).call(stores, 0, 2_300);
    let code = code.call(calls, 0, 9_021 + 2_600 - 1).call(reaches, 0, 2_700);
    let tries = scene.contract(5, code);
    scene.send(alice, call(tries));
    let played = scene.play();
    assert!(played.ok(0));
    assert!(find(&played, STRANGER).is_none());
    assert!(listed(&played, loads).is_empty());
    assert!(listed(&played, stores).is_empty());
    assert!(listed(&played, calls).is_empty() && find(&played, OTHER).is_none());
    assert!(listed(&played, Address::repeat_byte(0x31)).is_empty());
}
