//! Payments to the beneficiary in addition to fees: a transaction that does not read its balance
//! need not wait for it.

use crate::support::scene::{
    BENEFICIARY, Scene, Signed, authorization, call, call_with, contract, delegate, pay, rich,
    storage,
};
use alloy_primitives::{Address, U256};
use braid_blocks::code::Code;
use braid_blocks::memory::MemoryAccount;
use braid_evm::{Forced, Mode, Policy};
use braid_testkit::lineup::{Lineup, chunked};
use braid_testkit::oracle::Expected;
use braid_testkit::pace::Gate;
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::context_interface::either::Either;
use revm::context_interface::transaction::{Authorization, AuthorizationTr, SignedAuthorization};
use revm::primitives::hardfork::SpecId;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

const SPECS: [SpecId; 5] =
    [SpecId::HOMESTEAD, SpecId::ISTANBUL, SpecId::LONDON, SpecId::OSAKA, SpecId::AMSTERDAM];

/// Returns a block whose beneficiary has sent transactions before, and this many senders.
fn scene<const N: usize>(spec: SpecId) -> (Scene, [Address; N]) {
    let mut scene = Scene::on(spec);
    let senders = scene.senders();
    scene.put(BENEFICIARY, MemoryAccount { nonce: 1, ..rich() });
    (scene, senders)
}

/// Code that pays the value it receives, or the amount in its word, to the beneficiary.
fn tip(code: Code) -> Code {
    let code = code.push(0).push(0).push(0).push(0).op(opcode::CALLVALUE);
    code.op(opcode::COINBASE).push(300_000).op(opcode::CALL).sstore_top(7)
}

/// Payments by a transaction, by a call, by a self-destruct, twice in one transaction, of zero, and
/// in a failing call.
#[test]
pub(crate) fn it_is_paid_in_every_way_and_its_balance_is_not_read() {
    for spec in SPECS {
        let (mut scene, senders) = scene::<12>(spec);
        let once = scene.contract(0, tip(Code::new()));
        let twice = scene.contract(1, tip(tip(Code::new())));
        let fails = scene.contract(2, tip(Code::new()).op(opcode::INVALID));
        let catches = scene.contract(3, tip(Code::new()).call(fails, 0, 90_000).sstore_top(1));
        let leaves = scene.contract(4, Code::new().selfdestruct(BENEFICIARY));
        let size = Code::new().op(opcode::COINBASE).op(opcode::EXTCODESIZE).sstore_top(1);
        let asks = scene.contract(5, tip(size));
        scene.fund(twice, 1_000);
        let ways = [once, twice, fails, catches, leaves, asks, BENEFICIARY];
        for (index, sender) in senders.into_iter().chain(senders).enumerate() {
            let to = ways[index % ways.len()];
            scene.send(sender, pay(to, index as u64 % 4));
        }
        let played = scene.play();
        assert!(played.balance(BENEFICIARY) > Some(rich().balance), "{spec:?}");
        assert_eq!(played.slot(once, 7), Some(U256::ONE), "{spec:?}");
    }
}

/// Seen from outside: payers commit results that they computed before lower transactions had ended.
#[test]
fn who_pays_it_does_not_wait() {
    let (mut scene, senders) = scene::<32>(SpecId::OSAKA);
    let tips = scene.contract(0, tip(Code::new()).op(opcode::STOP));
    for sender in senders {
        scene.send(sender, pay(tips, 0));
    }
    let block = Arc::new(scene.block.clone());
    let waits = |scene: &Scene| {
        let mut lineup = Lineup::new(Policy::Forced(Forced::Speculative), Mode::Validate);
        lineup.compare_paced(&block, &scene.database()).expect("equal");
        lineup.speculative
    };
    let paid = waits(&scene);
    // The account may be created or deleted, so payers have to read it.
    scene.put(BENEFICIARY, MemoryAccount::default());
    let known = waits(&scene);
    assert!(paid > known, "{paid} and {known} committed from speculative runs");
}

#[test]
pub(crate) fn who_looks_after_paying_sees_what_there_is() {
    for spec in SPECS {
        let (mut scene, senders) = scene::<6>(spec);
        let looks = tip(Code::new()).op(opcode::COINBASE).op(opcode::BALANCE);
        let looks = scene.contract(0, looks.op(opcode::CALLER).op(opcode::SSTORE));
        let tips = scene.contract(1, tip(Code::new()));
        for (index, sender) in senders.into_iter().enumerate() {
            scene.send(sender, pay(if index % 2 == 0 { tips } else { looks }, 5));
        }
        let played = scene.play();
        let seen = |sender: Address| {
            let slot = U256::from_be_slice(sender.as_slice());
            played.account(looks).storage[&slot].present_value
        };
        assert!(rich().balance < seen(senders[1]), "{spec:?}");
        assert!(seen(senders[1]) < seen(senders[3]), "{spec:?}");
        assert!(seen(senders[3]) < seen(senders[5]), "{spec:?}");
    }
}

/// The beneficiary sends transactions itself, spends what it was paid, and authorizes others in a
/// transaction that pays it.
#[test]
fn it_acts_between_payments() {
    for spec in [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let (mut scene, [alice, bob, carol]) = scene(spec);
        let tips = scene.contract(0, tip(Code::new()));
        scene.set_nonce(BENEFICIARY, 1);
        scene.send(alice, pay(tips, 5));
        scene.send(BENEFICIARY, pay(tips, 6));
        scene.send(bob, pay(tips, 7));
        let wrong = authorization(BENEFICIARY, tips, 1);
        scene.send(carol, TxEnv { value: U256::from(8), ..delegate(vec![wrong], tips) });
        scene.send(alice, pay(tips, 9));
        let right = authorization(BENEFICIARY, Address::repeat_byte(0x11), 2);
        scene.send(carol, TxEnv { value: U256::from(8), ..delegate(vec![right], tips) });
        scene.send(bob, pay(tips, 10));
        let played = scene.play();
        let info = played.account(BENEFICIARY).info.as_ref().expect("it is there");
        assert_eq!(info.nonce, 3, "{spec:?}");
    }
}

/// A signature that was not recovered beforehand may be anyone's, including the beneficiary's.
#[test]
pub(crate) fn it_may_have_signed() {
    for spec in [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let (mut scene, [alice, bob, carol]) = scene(spec);
        // The contract stays unchanged: only the signer delays speculative runs.
        let slots = storage([(7, 1)]);
        let tips = MemoryAccount { storage: slots, ..contract(tip(Code::new())) };
        let tips = scene.put(Address::repeat_byte(0x21), tips);
        let count = scene.contract(1, Code::new().increment(3, 1));
        let inner = Authorization { chain_id: U256::ONE, address: count, nonce: 1 };
        // Some numbers are valid signatures of unknown signers.
        let unrecovered = |r| {
            let r = U256::from(r);
            Either::Left(SignedAuthorization::new_unchecked(inner.clone(), 0, r, U256::ONE))
        };
        let signed = (1..32).map(unrecovered).find(|signed: &Signed| signed.authority().is_some());
        let signed = signed.expect("every other number is a point's");
        let signer = signed.authority().expect("it was found so");
        scene.put(signer, MemoryAccount { nonce: 1, ..rich() });
        scene.block.env.beneficiary = signer;
        scene.send(alice, pay(tips, 5));
        let set = delegate(vec![signed], tips);
        scene.send(carol, TxEnv { value: U256::from(8), ..set });
        scene.send(bob, pay(tips, 6));
        let played = scene.play();
        let info = played.account(signer).info.as_ref().expect("it is there");
        assert_eq!(info.nonce, 2, "{spec:?}");
        assert_eq!(played.slot(signer, 3), Some(U256::from(2)), "{spec:?}");
    }
}

/// After a transaction has given the beneficiary code, payments call it, until that code is gone.
#[test]
pub(crate) fn it_gets_code_between_payments() {
    for spec in [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let (mut scene, [alice, bob, carol]) = scene(spec);
        let tips = scene.contract(0, tip(Code::new()));
        let count = scene.contract(1, Code::new().increment(3, 1));
        scene.set_nonce(BENEFICIARY, 1);
        scene.send(alice, pay(tips, 5));
        let set = scene.authorize(BENEFICIARY, count);
        scene.send(carol, delegate(vec![set], bob));
        scene.send(alice, pay(tips, 6));
        scene.send(bob, pay(tips, 7));
        let clear = scene.authorize(BENEFICIARY, Address::ZERO);
        scene.send(carol, delegate(vec![clear], bob));
        scene.send(alice, pay(tips, 8));
        scene.send(bob, pay(tips, 9));
        let played = scene.play();
        assert_eq!(played.slot(BENEFICIARY, 3), Some(U256::from(2)), "{spec:?}");
    }
}

/// The same without tips, so that the balance is unchanged afterwards. An account pays the
/// beneficiary before it gets code, in a chunk that ends after that; at the frontier, values are
/// compared.
#[test]
pub(crate) fn it_gets_code_and_owns_what_it_owned() {
    for spec in [SpecId::PRAGUE, SpecId::OSAKA] {
        let (mut scene, senders) = scene::<8>(spec);
        let [called, asked] = [0x11, 0x22].map(Address::repeat_byte);
        let tips = scene.contract(0, tip(Code::new()));
        let asks = tip(Code::new()).address(asked).op(opcode::BALANCE).op(opcode::POP);
        let asks = scene.contract(1, asks);
        let count = scene.contract(2, Code::new().increment(3, 1));
        scene.set_nonce(BENEFICIARY, 1);
        let set = scene.authorize(BENEFICIARY, count);
        let price = u128::from(scene.block.env.basefee);
        let delegation = delegate(vec![set], called);
        let free = TxEnv { gas_price: price, gas_priority_fee: Some(0), ..delegation };
        scene.send(senders[0], free);
        for (index, sender) in senders.into_iter().enumerate().skip(1) {
            scene.send(sender, pay(if index == 2 { asks } else { tips }, 6));
        }
        let block = Arc::new(scene.block.clone());
        let expected = Expected::new(&block, Mode::Validate, &scene.database());
        // One worker has the first transaction, another one the next two, and the fourth starts
        // once the first is committed. Whether the first wait happens depends on which worker comes
        // first.
        let waits = [(called, asked), (asked, senders[3])];
        let gate = Arc::new(Gate::until(waits, Duration::from_secs(20)));
        let database = gate.guard(scene.database());
        let mut executor =
            chunked(2, NonZeroU32::new(3), Policy::Forced(Forced::Speculative), Mode::Validate);
        let found = executor.block(block).database(database).execute();
        expected.compare(&found).unwrap_or_else(|difference| panic!("{spec:?}: {difference}"));
        assert_eq!(gate.in_vain(), 0, "{spec:?}");
        let played = scene.play();
        assert_eq!(played.slot(BENEFICIARY, 3), Some(U256::from(7)), "{spec:?}");
    }
}

/// One payment is so large that the next one overflows the balance, and the one after that fits
/// again.
#[test]
pub(crate) fn what_it_is_paid_does_not_fit() {
    for spec in [SpecId::LONDON, SpecId::OSAKA] {
        let (mut scene, [alice, bob, carol, dave]) = scene(spec);
        let tips = scene.contract(0, tip(Code::new()));
        let room = U256::from(4_000_000);
        let whale = U256::MAX - rich().balance - room;
        scene.put(dave, MemoryAccount { balance: U256::MAX, ..MemoryAccount::default() });
        scene.send(alice, pay(tips, 5));
        scene.send(dave, TxEnv { value: whale, ..call(tips) });
        scene.send(bob, pay(tips, 4_000_000));
        scene.send(carol, pay(tips, 6));
        let played = scene.play();
        assert!((0..4).all(|tx| played.ok(tx)), "{spec:?}");
        // The call that pays too much fails with all gas that it was given.
        let failed = [0, 1, 2, 3].map(|tx| played.gas(tx) > 300_000);
        assert_eq!(failed, [false, false, true, false], "{spec:?}");
    }
}

/// Amounts that fit only if the balance is small, and that are returned at once.
#[test]
fn payments_of_all_that_there_is_are_taken_back() {
    let (mut scene, [alice, bob, carol, dave]) = scene(SpecId::OSAKA);
    let fails = scene.contract(0, tip(Code::new()).op(opcode::INVALID));
    let forward = Code::new().push(0).push(0).push(0).push(0).op(opcode::CALLVALUE);
    let forward = forward.address(fails).push(200_000).op(opcode::CALL).sstore_top(1);
    let tries = scene.contract(1, forward.op(opcode::GAS).sstore_top(2));
    let all = U256::MAX - U256::from(1_u64 << 60);
    scene.put(dave, MemoryAccount { balance: U256::MAX, ..MemoryAccount::default() });
    scene.put(
        BENEFICIARY,
        MemoryAccount { nonce: 1, balance: U256::from(1_u64 << 60) - U256::from(5), ..rich() },
    );
    scene.send(alice, pay(bob, 5));
    scene.send(dave, TxEnv { value: all, ..call(tries) });
    scene.send(carol, call_with(tries, 0));
    scene.play();
}
