//! Contracts that are created in the block and used in it.

use crate::support::scene::{
    BENEFICIARY, Scene, call, call_with, contract, create, pay, rich, storage,
};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::fork::FORKS;
use braid_blocks::memory::MemoryAccount;
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;

#[test]
pub(crate) fn a_created_contract_is_called_by_others() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let child = alice.create(0);
        let copy = Code::new().push(32).push(0).push(0).address(child).op(opcode::EXTCODECOPY);
        let copy = copy.push(0).op(opcode::MLOAD).sstore_top(0);
        let copy = scene.contract(0, copy);
        scene.send(alice, create(deploying(Code::new().increment(0, 1))));
        scene.send(bob, call(child));
        scene.send(carol, call(copy));
        scene.send(bob, call(child));
        let played = scene.play();
        assert_eq!(played.slot(child, 0), Some(U256::from(2)), "{name}");
        assert!(played.slot(copy, 0) > Some(U256::ZERO), "{name}");
    }
}

#[test]
fn addresses_that_are_taken() {
    for (_, spec) in FORKS {
        let taken = [
            MemoryAccount { nonce: 1, ..Default::default() },
            contract(Code::new().increment(0, 1)),
            MemoryAccount { balance: U256::from(3), ..Default::default() },
            MemoryAccount { storage: storage([(0, 5)]), ..Default::default() },
            MemoryAccount::default(),
        ];
        for account in taken {
            let mut scene = Scene::on(spec);
            let [alice, bob, carol] = scene.senders();
            let create_one = Code::new().create(&deploying(Code::new().increment(0, 1)), 1);
            let factory = scene.contract(0, create_one.sstore_top(0));
            scene.fund(factory, 10);
            let (first, second) = (factory.create(1), alice.create(1));
            scene.put(first, account.clone());
            scene.put(second, account);
            scene.send(bob, call(factory));
            scene.send(alice, pay(second, 1));
            scene.send(alice, create(deploying(Code::new().increment(0, 1))));
            scene.send(carol, call(first));
            scene.send(bob, call(second));
            scene.play();
        }
    }
}

/// A transaction creates a contract at the address that a later one needs.
#[test]
fn two_transactions_want_one_address() {
    for spec in [SpecId::PETERSBURG, SpecId::BERLIN, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let init = deploying(Code::new().increment(0, 1));
        let factory = scene.contract(0, Code::new().create2(&init, 0, 7).sstore_top(1));
        let child = factory.create2(B256::from(U256::from(7)), keccak256(&init));
        for sender in [alice, bob, carol] {
            // A collision takes all but a 64th of the gas.
            scene.send(sender, TxEnv { gas_limit: 9_000_000, ..call(factory) });
            scene.send(sender, call(child));
        }
        let played = scene.play();
        // The last creation collided.
        assert_eq!(played.slot(factory, 1).unwrap_or_default(), U256::ZERO, "{spec:?}");
        assert_eq!(played.slot(child, 0), Some(U256::from(3)), "{spec:?}");
    }
}

#[test]
fn creations_that_fail_in_every_way() {
    for (_, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let inits: [Bytes; 6] = [
            Code::new().sstore(0, 1).revert().bytes(),
            Code::new().op(opcode::INVALID).bytes(),
            // Code that starts with 0xEF (EIP-3541).
            Code::new().push(0xEF).push(0).op(opcode::MSTORE8).push(1).push(0).op(0xF3).bytes(),
            // More code than EIP-170 permits.
            Code::new().push(30_000).push(0).op(opcode::RETURN).bytes(),
            // No code.
            Bytes::new(),
            Code::new().sstore(0, 1).op(opcode::STOP).bytes(),
        ];
        for init in inits {
            let child = alice.create(scene.nonce(alice));
            scene.send(alice, TxEnv { value: U256::from(2), ..create(init) });
            scene.send(bob, pay(child, 1));
            scene.send(carol, call(child));
        }
        // Not enough gas to store the code: Frontier keeps the account without code, later forks
        // fail.
        let init = Code::new().push(1_000).push(0).op(opcode::RETURN).bytes();
        scene.send(alice, TxEnv { gas_limit: 80_000, ..create(init) });
        scene.play();
    }
}

/// Code that a speculative run has loaded must not stay once the contract is gone.
#[test]
fn code_changes_with_every_life() {
    let mut scene = Scene::on(SpecId::LONDON);
    let [alice, bob, carol] = scene.senders();
    // The init code returns the code that a contract supplies, so CREATE2 deploys different code at
    // the same address.
    let source = scene.contract(0, Code::new().sload(0).return_top());
    let init = Code::new().push(32).push(0).push(0).push(0).push(0).address(source).push(50_000);
    let init = init.op(opcode::CALL).push(32).push(0).op(opcode::RETURN).bytes();
    let setter = Code::new()
        .op(opcode::CALLDATASIZE)
        .if_nonzero(|code| code.push(0).op(opcode::CALLDATALOAD).sstore_top(0).op(opcode::STOP));
    let source_code = setter.sload(0).return_top();
    scene.put(source, contract(source_code));
    let factory = scene.contract(1, Code::new().create2(&init, 0, 1).sstore_top(0));
    let child = factory.create2(B256::from(U256::ONE), keccak256(&init));
    // Thirty-two bytes of code that add `step` to slot 0 and then self-destruct.
    let lives = |step: u8| -> Bytes {
        let code = Code::new().sload(0).push(step).op(opcode::ADD).sstore_top(0);
        let code = code.op(opcode::CALLER).op(opcode::SELFDESTRUCT);
        let mut word = code.bytes().to_vec();
        word.resize(32, 0);
        word.into()
    };
    for step in [1, 2, 3] {
        scene.send(alice, TxEnv { data: lives(step), ..call(source) });
        scene.send(bob, call(factory));
        scene.send(carol, call(child));
    }
    scene.send(alice, TxEnv { data: lives(9), ..call(source) });
    scene.send(bob, call(factory));
    let played = scene.play();
    let code = played.account(child).info.as_ref().and_then(|info| info.code.clone());
    assert_eq!(code.map(|code| code.original_bytes()), Some(lives(9)));
}

/// After a failed creation, revm forgets that the account has no code. If the surrounding call
/// fails too, revm reads the account again to pay the fees, and treats the forgotten code as its
/// state before the transaction.
#[test]
pub(crate) fn one_fails_within_a_call_that_fails_where_the_fees_go() {
    for spec in [SpecId::PETERSBURG, SpecId::LONDON, SpecId::OSAKA, SpecId::AMSTERDAM] {
        one_fails_where_the_fees_go(spec);
    }
}

/// Same, on forks in which each transaction has its own journal.
#[test]
pub(crate) fn before_eip_161_one_fails_within_a_call_that_fails_where_the_fees_go() {
    for spec in [SpecId::FRONTIER, SpecId::HOMESTEAD, SpecId::TANGERINE] {
        one_fails_where_the_fees_go(spec);
    }
}

fn one_fails_where_the_fees_go(spec: SpecId) {
    for (is_there, is_paid_last) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let init = Code::new().op(opcode::INVALID).bytes();
        let fails = Code::new().create(&init, 0).op(opcode::INVALID);
        let factory = scene.contract(0, fails);
        let child = factory.create(1);
        scene.block.env.beneficiary = child;
        if is_there {
            scene.fund(child, 5);
        }
        for round in 0..3 {
            scene.send(alice, pay(child, 1));
            scene.send(bob, TxEnv { gas_limit: 300_000, ..call(factory) });
            scene.send(carol, pay(alice, round));
        }
        scene.send(bob, TxEnv { gas_limit: 300_000, ..call(factory) });
        if is_paid_last {
            scene.send(alice, pay(child, 1));
        }
        scene.send(carol, pay(alice, 1));
        let played = scene.play();
        assert!(!played.ok(1) && played.ok(2), "{spec:?}");
        let info = played.account(child).info.as_ref().expect("it was paid");
        assert_eq!(info.code.is_some(), is_paid_last, "{spec:?}: it is forgotten");
        let is_listed = played.output().bundle.contracts.contains_key(&KECCAK256_EMPTY);
        assert_eq!(is_listed, is_paid_last && !is_there, "{spec:?}");
    }
}

/// After a failed creation at an address that the transaction has touched, revm forgets that the
/// account has no code. Other transactions only read the account or pay it: with its code, without
/// loading it, by fees, and after the transactions. Readers and payers that load the code are not
/// in one journal; CONFORMANCE lists the difference.
#[test]
fn others_look_and_pay_where_one_has_failed() {
    for spec in
        [SpecId::PETERSBURG, SpecId::LONDON, SpecId::SHANGHAI, SpecId::CANCUN, SpecId::OSAKA]
    {
        for case in 0..64 {
            look_and_pay_where_one_has_failed(spec, [1, 2, 4, 8, 16, 32].map(|bit| case & bit > 0));
        }
    }
}

fn look_and_pay_where_one_has_failed(spec: SpecId, choices: [bool; 6]) {
    let [is_there, looks_before, looks_after, is_given, is_paid, gets_fees] = choices;
    let is_paid = is_paid && !looks_after;
    let mut scene = Scene::on(spec);
    let [alice, bob, carol] = scene.senders();
    let init = Code::new().push(0).push(0).op(opcode::REVERT).bytes();
    let factory = scene.contract(0, Code::new().create2(&init, 0, 1).op(opcode::STOP));
    let child = factory.create2(B256::from(U256::ONE), keccak256(&init));
    // Any other created account would bring the empty code into the bundle.
    match gets_fees {
        true => scene.block.env.beneficiary = child,
        false => _ = scene.put(BENEFICIARY, rich()),
    }
    let outer = Code::new().call(child, 1, 30_000).call(factory, 0, 200_000).op(opcode::STOP);
    let outer = scene.contract(1, outer);
    scene.fund(outer, 10);
    let look = Code::new().address(child).op(opcode::EXTCODESIZE).op(opcode::STOP);
    let look = scene.contract(2, look);
    let giver = scene.contract(3, Code::new().selfdestruct(child));
    scene.fund(giver, 3);
    if is_there {
        scene.fund(child, 5);
    }
    for (is_sent, sender, to) in [
        (looks_before, carol, look),
        (true, bob, outer),
        (looks_after, carol, look),
        (is_given, alice, giver),
        (is_paid, alice, child),
    ] {
        if is_sent {
            scene.send(sender, TxEnv { gas_limit: 400_000, ..pay(to, u64::from(to == child)) });
        }
    }
    if let Some(withdrawals) = &mut scene.block.withdrawals {
        let amount = u64::from(!is_given);
        withdrawals.push(Withdrawal { address: child, amount, ..Withdrawal::default() });
    }
    scene.play();
}

/// A nonce that transactions of several senders raise decides the address.
#[test]
fn each_creation_takes_the_next_address() {
    for spec in [SpecId::FRONTIER, SpecId::SPURIOUS_DRAGON, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let runtime = deploying(Code::new().op(opcode::CALLVALUE).sstore_top(0));
        let create_one = Code::new().create(&runtime, 0);
        // Stores the address under its number.
        let create_one = create_one.sload(0).push(1).op(opcode::ADD).op(opcode::SSTORE);
        let factory = scene.contract(0, create_one.increment(0, 1));
        for index in 0..8 {
            let sender = scene.sender(index);
            scene.send(sender, call(factory));
        }
        let played = scene.play();
        for index in 1..=8 {
            let address = U256::from_be_slice(factory.create(index).as_slice());
            assert_eq!(played.slot(factory, index), Some(address), "{spec:?}");
        }
    }
}

/// A creation inside a reverted call: the creator's nonce is reverted too.
#[test]
fn a_reverted_creation_leaves_nothing() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol] = scene.senders();
    let runtime = deploying(Code::new().increment(0, 1));
    let create_one = Code::new().create(&runtime, 0).sstore_top(0);
    let create_one = create_one.op(opcode::CALLDATASIZE).if_nonzero(Code::revert);
    let factory = scene.contract(0, create_one);
    scene.send(alice, call_with(factory, 1));
    scene.send(bob, call(factory));
    scene.send(carol, call(factory.create(1)));
    let played = scene.play();
    assert_eq!(played.slot(factory.create(1), 0), Some(U256::ONE));
    assert_eq!(played.output().bundle.account(&factory.create(2)), None);
}

/// When a creation at an account's address fails, revm forgets the account's empty code, which
/// shows in the bundle. A reader of the account must therefore know whether its code was loaded.
#[test]
fn an_address_that_was_paid_before_is_created_in_vain() {
    for spec in [SpecId::PETERSBURG, SpecId::LONDON, SpecId::CANCUN, SpecId::OSAKA] {
        for payments in 0..4 {
            for breaks in [false, true] {
                let mut scene = Scene::on(spec);
                let [alice, bob, carol] = scene.senders();
                // Any other created account would bring the empty code into the bundle.
                scene.put(BENEFICIARY, rich());
                let init = Code::new().push(0).push(0).op(opcode::REVERT).bytes();
                let factory = scene.contract(0, Code::new().create2(&init, 0, 1).sstore_top(0));
                let address = factory.create2(B256::from(U256::ONE), keccak256(&init));
                let outer = Code::new().call(address, 1, 30_000).sstore_top(0);
                let outer = scene.contract(1, outer.call(factory, 0, 200_000).sstore_top(1));
                scene.fund(outer, 10);
                for _ in 0..payments {
                    scene.send(alice, pay(address, 1));
                }
                if breaks {
                    // A shared journal ends here.
                    scene.send(bob, create(deploying(Code::new().increment(0, 1))));
                }
                scene.send(carol, call(outer));
                let played = scene.play();
                assert!(played.balance(address) > Some(U256::from(payments)), "{spec:?}");
            }
        }
    }
}
