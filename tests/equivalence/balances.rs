//! Balances of accounts with code that most callers do not read, while other transactions change
//! them.

use crate::support::scene::{Scene, authorization, call, call_with, contract, delegate, pay};
use alloy_primitives::{Address, B256, Bytes, U256};
use braid_blocks::code::Code;
use braid_blocks::memory::MemoryAccount;
#[cfg(feature = "testing")]
use braid_evm::runtime::simulated::{Costs, Schedule};
use braid_evm::{Forced, Mode, Policy};
use braid_testkit::lineup::Lineup;
use revm::bytecode::opcode;
use revm::primitives::hardfork::SpecId;
#[cfg(feature = "testing")]
use std::num::NonZeroU32;
use std::sync::Arc;

const SPECS: [SpecId; 6] = [
    SpecId::HOMESTEAD,
    SpecId::PETERSBURG,
    SpecId::ISTANBUL,
    SpecId::LONDON,
    SpecId::OSAKA,
    SpecId::AMSTERDAM,
];

/// Code that counts its calls, and pays its caller 1,000 wei on request.
fn till() -> Code {
    let count = Code::new().increment(0, 1);
    count.push(0).op(opcode::CALLDATALOAD).if_nonzero(|code| {
        let call = code.push(0).push(0).push(0).push(0).push(1_000);
        call.op(opcode::CALLER).push(30_000).op(opcode::CALL).sstore_top(1)
    })
}

/// As with a contract that wraps ether, some callers deposit, some withdraw, and most do neither.
#[test]
pub(crate) fn some_pay_and_most_only_call() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let till = scene.contract(0, till());
        let mut paid = 0;
        for index in 0..30 {
            let sender = scene.sender(index);
            match index % 5 {
                1 => {
                    paid += 2_000 + index;
                    scene.send(sender, pay(till, 2_000 + index));
                }
                3 => {
                    paid -= 1_000;
                    scene.send(sender, call_with(till, 1));
                }
                _ => scene.send(sender, call(till)),
            }
        }
        let played = scene.play();
        assert_eq!(played.balance(till), Some(U256::from(paid)), "{spec:?}");
        assert_eq!(played.slot(till, 0), Some(U256::from(30)), "{spec:?}");
    }
}

/// Returns every way in which a contract can read its own balance after running `code`.
fn looks(code: &Code, heir: Address) -> Vec<(SpecId, Code)> {
    let code = || code.clone();
    let to = |value: u64| code().push(0).push(0).push(0).push(0).push(value).address(heir);
    vec![
        (SpecId::HOMESTEAD, code().op(opcode::ADDRESS).op(opcode::BALANCE).sstore_top(2)),
        (SpecId::ISTANBUL, code().op(opcode::SELFBALANCE).sstore_top(2)),
        // Fails while the balance is too small.
        (SpecId::HOMESTEAD, to(2_500).push(9_000).op(opcode::CALL).sstore_top(2)),
        (SpecId::HOMESTEAD, to(2_500).push(9_000).op(opcode::CALLCODE).sstore_top(2)),
        (SpecId::HOMESTEAD, code().create(&[], 2_500).sstore_top(2)),
        (SpecId::PETERSBURG, code().create2(&[], 2_500, 7).sstore_top(2)),
        (SpecId::HOMESTEAD, code().selfdestruct(heir)),
    ]
}

/// All transactions load the account before one reads its balance, while others change it.
#[test]
pub(crate) fn every_way_to_look() {
    let heir = Address::repeat_byte(0x4e);
    for spec in SPECS {
        let looks = looks(&Code::new().increment(0, 1), heir).into_iter();
        let enabled = looks.filter(|(since, _)| spec.is_enabled_in(*since));
        for ((_, look), funds) in enabled.flat_map(|look| [(look.clone(), 0), (look, 2_500)]) {
            let mut scene = Scene::on(spec);
            let looking = scene.contract(0, look);
            scene.fund(looking, funds);
            let touch = |code: Code| code.address(looking).op(opcode::EXTCODESIZE).sstore_top(0);
            let first = touch(Code::new()).call(looking, 0, 200_000).sstore_top(1);
            let first = scene.contract(1, first);
            let reverted = Code::new().call(looking, 1, 200_000).revert();
            let reverted = scene.contract(2, reverted);
            let other = touch(Code::new()).balance(looking).sstore_top(1);
            let other = scene.contract(3, other);
            for index in 0..12 {
                let sender = scene.sender(index);
                let tx = match index % 6 {
                    // The next transaction reads the balance while this one runs.
                    0 => pay(Address::repeat_byte(0x77), 1),
                    2 => pay(looking, 6_000),
                    3 => call(reverted),
                    4 => call(other),
                    _ => call(first),
                };
                scene.send(sender, tx);
            }
            scene.play();
            #[cfg(feature = "testing")]
            scene.play_schedules(0..40, |_| {});
        }
    }
}

/// A transfer within a reverted call depends on the balance nevertheless.
#[test]
fn a_reverted_payment_has_looked() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let poor = scene.contract(0, till());
        let ask = Code::new().push(1).push(0).op(opcode::MSTORE);
        let ask = ask.push(0).push(0).push(32).push(0).push(0).address(poor);
        let undo = scene.contract(1, ask.push(60_000).op(opcode::CALL).revert());
        let tell = Code::new().call(undo, 0, 90_000).sstore_top(0).op(opcode::GAS).sstore_top(1);
        let tell = scene.contract(2, tell);
        for index in 0..9 {
            let sender = scene.sender(index);
            scene.send(sender, if index == 4 { pay(poor, 5_000) } else { call(tell) });
        }
        scene.play();
    }
}

/// An account gets, changes and loses its code while its balance changes unread.
#[test]
fn code_comes_and_goes_beside_the_balance() {
    for spec in [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM] {
        for targets in [[true, false, true], [false, true, false], [true, true, false]] {
            let mut scene = Scene::on(spec);
            let [bob, carol, dave] = scene.senders();
            let count = scene.contract(0, Code::new().increment(0, 1));
            let other = scene.contract(1, Code::new().increment(0, 3));
            let owner = Address::repeat_byte(0x99);
            let mut delegated = vec![0xef, 0x01, 0x00];
            delegated.extend_from_slice(count.as_slice());
            let account = MemoryAccount {
                balance: U256::from(50),
                code: Bytes::from(delegated),
                ..contract(Code::new())
            };
            scene.put(owner, MemoryAccount { nonce: 0, ..account });
            for (nonce, sets) in targets.into_iter().enumerate() {
                let to = if sets { other } else { Address::ZERO };
                scene.send(bob, pay(owner, 7));
                scene.send(carol, call(owner));
                scene.send(dave, delegate(vec![authorization(owner, to, nonce as u64)], other));
                scene.send(carol, call(owner));
            }
            scene.send(bob, pay(owner, 1));
            let played = scene.play();
            assert_eq!(played.balance(owner), Some(U256::from(50 + 3 * 7 + 1)), "{spec:?}");
        }
    }
}

/// Returns a block in which a contract that has 5 wei is destroyed and created again with
/// `endowment`.
fn coming_back(spec: SpecId, endowment: u64, paid_before: Option<u64>) -> (Scene, Address) {
    let mut scene = Scene::on(spec);
    let heir = Address::repeat_byte(0x4e);
    let factory = Address::repeat_byte(0xfa);
    // Reads many slots to take time.
    let look_around = |code: Code, slots| {
        (0..slots).fold(code, |code: Code, slot| code.sload(slot).op(opcode::POP))
    };
    // Destroys itself when it is called with a word, after it was seen by others, and does nothing
    // otherwise.
    let runtime = Code::new().push(0).op(opcode::CALLDATALOAD);
    let runtime = runtime.if_nonzero(|code| look_around(code, 60).selfdestruct(heir)).bytes();
    let init = Code::new().deploying(&runtime);
    let mortal = factory.create2_from_code(B256::ZERO, &init);
    let create = Code::new().create2(&init, endowment, 0).sstore_top(0);
    scene.put(factory, MemoryAccount { balance: U256::from(1_000), ..contract(create) });
    let account = MemoryAccount { code: runtime, ..contract(Code::new()) };
    scene.put(mortal, MemoryAccount { balance: U256::from(5), ..account });
    let before = paid_before.map(|wei| pay(mortal, wei));
    let there_and_back = [call_with(mortal, 1), call(factory)];
    let visit = Code::new().call(mortal, 0, 50_000).op(opcode::POP);
    let visit = (0..36).fold(visit, |code: Code, slot| code.sstore(slot, 1));
    let after = [0, 1].map(|index| call(scene.contract(index, visit.clone())));
    for (index, tx) in before.into_iter().chain(there_and_back).chain(after).enumerate() {
        let sender = scene.sender(index as u64);
        scene.send(sender, tx);
    }
    (scene, mortal)
}

/// A contract that is destroyed and created again may look as it did before the block, except for
/// its balance.
#[test]
pub(crate) fn a_contract_comes_back_with_another_balance() {
    for spec in [SpecId::PETERSBURG, SpecId::LONDON, SpecId::SHANGHAI] {
        for endowment in [0, 5, 7] {
            for paid_before in [None, Some(3)] {
                let (scene, mortal) = coming_back(spec, endowment, paid_before);
                let played = scene.play();
                assert_eq!(played.balance(mortal), Some(U256::from(endowment)), "{spec:?}");
                // A call before the destruction may be valid by the time the contract is back.
                #[cfg(feature = "testing")]
                scene.play_schedules(0..8, |simulation| {
                    // The visits end before the contract is destroyed, and are published until it
                    // is back and a visit runs at the frontier, where only values count.
                    let costs = Costs { read: 1, publish: 1_000, commit: 1, ..Costs::default() };
                    simulation.options.schedule = Schedule::VirtualTime(costs);
                    simulation.options.workers = 5;
                    simulation.config.engine.chunk = NonZeroU32::new(1);
                    simulation.config.policy = Policy::Forced(Forced::Speculative);
                    simulation.config.engine.max_speculative_runs = 1;
                });
            }
        }
    }
}

/// revm treats an account with a code hash of zero as empty if its balance is zero, and removes it
/// when it is touched, so a transaction that touches it reads its balance. It is paid only on a
/// wrong guess.
#[test]
fn a_hash_of_zero_is_no_code() {
    for (spec, wei) in [SpecId::LONDON, SpecId::OSAKA].into_iter().flat_map(|on| [(on, 0), (on, 5)])
    {
        let mut scene = Scene::on(spec);
        let odd = scene.fund(Address::repeat_byte(0x0d), wei);
        let open = Code::new().op(opcode::CALLDATASIZE);
        let open = open.if_nonzero(|code| code.sstore(0, 1).op(opcode::STOP));
        let pay = |code: Code| code.call(odd, 9, 50_000).op(opcode::POP);
        let door = scene.contract(1, open.sload(0).op(opcode::ISZERO).if_nonzero(pay));
        scene.fund(door, 1_000);
        for index in 0..8 {
            let sender = scene.sender(index);
            let tx = match index {
                0 => call_with(door, 1),
                1 => call(door),
                _ => call(odd),
            };
            scene.send(sender, tx);
        }
        let block = Arc::new(scene.block.clone());
        let database = scene.database().with_code_hash(odd, B256::ZERO);
        let mut lineup = Lineup::new(Policy::Forced(Forced::Speculative), Mode::Validate);
        for _ in 0..5 {
            let compared = lineup.compare_paced(&block, &database);
            compared.unwrap_or_else(|difference| panic!("{spec:?}, {wei} wei: {difference}"));
        }
    }
}
