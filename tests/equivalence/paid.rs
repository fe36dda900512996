//! Payments to accounts that many transactions pay: the payer need not read the balance, in
//! speculative runs and in private batches.

use super::parts::{receiver, run, send};
use crate::support::POLICIES;
use crate::support::scene::{BENEFICIARY, Scene, call, create, delegate, pay, rich};
use alloy_primitives::{Address, B256, U256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::memory::MemoryAccount;
use braid_evm::{Executor, Forced, Mode, Policy, Reason, Strategy};
use braid_testkit::lineup::executor;
use braid_testkit::oracle::Expected;
use core::ops::ControlFlow;
use revm::bytecode::opcode::{
    BALANCE, CALL, CALLDATALOAD, CALLER, CALLVALUE, DUP1, EXTCODEHASH, INVALID, REVERT,
    SELFBALANCE, SSTORE,
};
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

/// Account that many transactions pay.
const PAYEE: Address = Address::repeat_byte(0xca);
const OTHER: Address = Address::repeat_byte(0xcb);

/// Returns a block without transactions; both accounts have sent transactions before.
fn scene(spec: SpecId) -> Scene {
    let mut scene = Scene::on(spec);
    scene.block.parent_beacon_block_root = Some(B256::ZERO);
    for payee in [PAYEE, OTHER] {
        scene.put(payee, MemoryAccount { nonce: 1, ..rich() });
    }
    scene
}

/// Code that forwards the value it receives to the account.
fn forwards(code: Code, to: Address) -> Code {
    let code = code.push(0).push(0).push(0).push(0).op(CALLVALUE);
    code.address(to).push(30_000).op(CALL).sstore_top(7)
}

fn each(mut act: impl FnMut(&mut Executor)) {
    for policy in POLICIES {
        for workers in [1, 2, 3, 8] {
            act(&mut executor(workers, policy, Mode::Validate));
        }
    }
}

/// Payments by a transaction, by a call, twice in one transaction, in a failing call, by a
/// self-destruct, of zero, and through the account to another one.
#[test]
pub(crate) fn they_are_paid_in_every_way() {
    for spec in [SpecId::HOMESTEAD, SpecId::LONDON, SpecId::OSAKA] {
        let mut scene = scene(spec);
        let once = scene.contract(0, forwards(Code::new(), PAYEE));
        let twice = scene.contract(1, forwards(forwards(Code::new(), PAYEE), OTHER));
        let fails = scene.contract(2, forwards(Code::new(), PAYEE).op(INVALID));
        let leaves = scene.contract(3, Code::new().selfdestruct(PAYEE));
        scene.fund(twice, 1_000);
        let ways = [PAYEE, once, PAYEE, twice, OTHER, fails, leaves];
        for number in 0..28 {
            let to = ways[number as usize % ways.len()];
            let tx = TxEnv { gas_limit: 200_000, ..pay(to, number % 5) };
            let sender = scene.sender(number);
            scene.send(sender, tx);
        }
        each(|executor| {
            run(executor, &scene, scene.database());
        });
        let paid = scene.play().balance(PAYEE);
        assert!(paid > Some(rich().balance), "{spec:?}: {paid:?}");
    }
}

/// Some transactions read the balance in the middle of a batch whose first members have paid.
#[test]
pub(crate) fn who_looks_sees_all_that_was_paid_below() {
    let mut scene = scene(SpecId::OSAKA);
    let looks = Code::new().address(PAYEE).op(BALANCE).op(CALLER).op(SSTORE);
    let looks = scene.contract(0, looks);
    for number in 0..24 {
        let to = if number % 6 == 5 { looks } else { PAYEE };
        send(&mut scene, number, pay(to, u64::from(to == PAYEE)));
    }
    each(|executor| {
        run(executor, &scene, scene.database());
    });
    let played = scene.play();
    for (looked, paid) in [(5, 5), (11, 10), (17, 15), (23, 20)] {
        let slot = U256::from_be_slice(scene.sender(looked).as_slice());
        let seen = played.account(looks).storage[&slot].present_value;
        assert_eq!(seen, rich().balance + U256::from(paid), "{looked}");
    }
}

/// After that, payments run the new code.
#[test]
pub(crate) fn one_gets_code_between_payments() {
    for spec in [SpecId::PRAGUE, SpecId::OSAKA] {
        let mut scene = scene(spec);
        let counts = scene.contract(0, Code::new().increment(3, 1));
        scene.set_nonce(PAYEE, 1);
        for number in 0..16 {
            if number == 9 {
                let (set, sponsor) = (scene.authorize(PAYEE, counts), scene.sender(100));
                scene.send(sponsor, delegate(vec![set], OTHER));
            }
            send(&mut scene, number, pay(PAYEE, 2));
        }
        each(|executor| {
            run(executor, &scene, scene.database());
        });
        assert_eq!(scene.play().slot(PAYEE, 3), Some(U256::from(7)), "{spec:?}");
    }
}

/// A contract is created where many have paid an account without nonce, and gets its balance, or
/// the creation fails.
#[test]
pub(crate) fn a_contract_comes_about_between_payments() {
    for spec in [SpecId::LONDON, SpecId::OSAKA] {
        // Counts its calls.
        let code = Code::new().op(SELFBALANCE).sstore_top(2).increment(3, 1);
        let fails = Code::new().push(0).push(0).op(REVERT).bytes();
        for (init, calls) in [(deploying(code), Some(7)), (fails, None)] {
            let mut scene = scene(spec);
            let creator = scene.sender(50);
            let payee = scene.put(creator.create(0), rich());
            for number in 0..20 {
                if number == 13 {
                    scene.send(creator, create(init.clone()));
                }
                let sender = scene.sender(number);
                scene.send(sender, TxEnv { gas_limit: 100_000, ..pay(payee, 2) });
            }
            each(|executor| {
                run(executor, &scene, scene.database());
            });
            let played = scene.play();
            assert_eq!(played.slot(payee, 3), calls.map(U256::from), "{spec:?}");
            assert_eq!(played.balance(payee), Some(rich().balance + U256::from(40)), "{spec:?}");
        }
    }
}

/// A contract is created and immediately destroyed where many have paid an account without nonce. A
/// later payment pays for a new account, and a read of its code finds none.
#[test]
pub(crate) fn one_is_gone_between_payments() {
    for spec in [SpecId::LONDON, SpecId::OSAKA] {
        let mut scene = scene(spec);
        let creator = scene.sender(50);
        let payee = scene.put(creator.create(0), rich());
        let pays = scene.contract(0, forwards(Code::new(), payee));
        let asks = Code::new().address(payee).op(EXTCODEHASH).op(CALLER).op(SSTORE);
        let asks = scene.contract(1, asks);
        for number in 0..26 {
            if number == 13 {
                scene.send(creator, create(Code::new().selfdestruct(OTHER).bytes()));
            }
            let to = match number {
                13 | 16 => asks,
                14 | 17 => pays,
                _ => payee,
            };
            let sender = scene.sender(number);
            scene.send(sender, TxEnv { gas_limit: 200_000, ..pay(to, u64::from(to != asks)) });
        }
        each(|executor| {
            run(executor, &scene, scene.database());
        });
        let played = scene.play();
        assert_eq!(played.balance(payee), Some(U256::from(11)), "{spec:?}");
    }
}

/// One payment is so large that the next one overflows the balance.
#[test]
fn what_one_is_paid_does_not_fit() {
    let mut scene = scene(SpecId::OSAKA);
    let whale = scene.put(Address::repeat_byte(0x77), rich());
    let all = MemoryAccount { balance: U256::MAX, ..MemoryAccount::default() };
    scene.put(whale, all);
    for number in 0..12 {
        if number == 6 {
            let value = U256::MAX - rich().balance - U256::from(6 + 3);
            scene.send(whale, TxEnv { value, ..call(PAYEE) });
        }
        send(&mut scene, number, pay(PAYEE, 1));
    }
    each(|executor| {
        run(executor, &scene, scene.database());
    });
    let played = scene.play();
    assert!(played.ok(9) && !played.ok(12), "three more fit");
}

/// Independent calls, with payments to one account between them.
#[test]
fn payments_are_no_ties() {
    let mut scene = scene(SpecId::OSAKA);
    scene.block.env.gas_limit = 1_000_000_000;
    let own = scene.contract(0, Code::new().push(4).op(CALLDATALOAD).op(DUP1).op(SSTORE));
    for number in 0..400_u64 {
        let tx = match number % 2 {
            0 => pay(PAYEE, 1),
            _ => {
                let data = [&[7; 4], &U256::from(number).to_be_bytes::<32>()[..]].concat().into();
                TxEnv { data, ..call(own) }
            }
        };
        let sender = scene.sender(number);
        scene.send(sender, TxEnv { gas_limit: 90_000, ..tx });
    }
    for workers in [2, 3] {
        let block = Arc::new(scene.block.clone());
        let expected = Expected::new(&block, Mode::Validate, &scene.database());
        let mut executor = executor(workers, Policy::Auto, Mode::Validate);
        let found = executor.block(block).database(scene.database()).execute();
        expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
        let found = found.unwrap_or_else(|error| panic!("{}", error.kind));
        let how = found.segments.iter().map(|segment| (segment.strategy, segment.reason));
        let expected = [(Strategy::ContiguousBatches, Reason::Independent)];
        assert_eq!(how.collect::<Vec<_>>(), expected);
        assert_eq!(found.stats.aborts, 0, "{:?}", found.stats);
    }
}

/// A caller that receives each commit receives the balance change of each payment.
#[test]
pub(crate) fn payments_are_told_as_they_commit() {
    let mut scene = scene(SpecId::OSAKA);
    let once = scene.contract(0, forwards(Code::new(), PAYEE));
    for number in 0..24 {
        let to = [PAYEE, OTHER, once][number as usize % 3];
        send(&mut scene, number, pay(to, number));
    }
    let played = scene.play();
    each(|executor| {
        let mut owns = [PAYEE, OTHER].map(|payee| (payee, rich().balance));
        let block = Arc::new(scene.block.clone());
        let request = executor.block(block).database(scene.database());
        let hear = |committed: braid_evm::Committed| {
            for change in committed.changes() {
                let known = owns.iter_mut().find(|(payee, _)| *payee == change.address);
                let Some((_, owns)) = known else { continue };
                let of = |info: &Option<revm::state::AccountInfo>| {
                    info.as_ref().map(|info| info.balance).expect("it is there")
                };
                assert_eq!(of(&change.before), *owns, "{:?}", committed.tx);
                *owns = of(&change.after);
            }
            ControlFlow::Continue(())
        };
        let found = request.on_commit(hear).execute();
        let bundle = found.unwrap_or_else(|error| panic!("{}", error.kind)).bundle;
        for (payee, told) in owns {
            assert_eq!(Some(told), played.balance(payee), "{payee}");
            let account = bundle.state[&payee].info.as_ref();
            assert_eq!(account.map(|info| info.balance), Some(told), "{payee}");
        }
    });
}

/// The beneficiary can be paid without a read in a batch, too.
#[cfg(feature = "testing")]
#[test]
fn the_beneficiary_is_paid_in_batches() {
    let mut scene = scene(SpecId::OSAKA);
    scene.put(BENEFICIARY, MemoryAccount { nonce: 1, ..rich() });
    let tips = scene.contract(0, forwards(Code::new(), BENEFICIARY));
    for number in 0..24 {
        let tx = if number % 3 == 0 { pay(tips, 5) } else { pay(receiver(number), 1) };
        send(&mut scene, number, tx);
    }
    each(|executor| {
        run(executor, &scene, scene.database());
    });
    let parts = |scene: &Scene| {
        scene.play_whole(0..40, |simulation| {
            simulation.config.workers = 2.try_into().expect("not zero");
            simulation.config.policy = Policy::Forced(Forced::ContiguousBatches);
            simulation.config.access_list = false;
        })
    };
    let unseen = parts(&scene);
    // A payment needs to know the balance.
    let balance = U256::from(u128::MAX) + U256::ONE;
    scene.put(BENEFICIARY, MemoryAccount { nonce: 1, balance, ..rich() });
    let seen = parts(&scene);
    assert!(unseen > 2 * seen, "{unseen} and {seen} batches committed");
}
