//! The shipped executor on fibers: the values that its tasks exchange do not depend on their order.

use super::parts::{payments, run, seeded};
use crate::support::scene::{Scene, call, create, pay};
use alloy_primitives::{Address, U256};
use braid_blocks::code::{Code, deploying};
use braid_evm::{Forced, Policy, Simulation};
use revm::bytecode::opcode::{ADD, CALLDATALOAD, SSTORE};
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;

/// Returns payments to new accounts and calls that each change a slot of one contract, enough of
/// them to share the bundle.
fn scene() -> Scene {
    let mut scene = Scene::on(SpecId::OSAKA);
    let contract = |index: u64| Code::new().sstore(index, index + 1).increment(0, 1);
    let counters: Vec<Address> =
        (0..4).map(|index| scene.contract(index, contract(index))).collect();
    for index in 0..80_u64 {
        let sender = scene.sender(index);
        let tx = match index % 5 {
            4 => call(counters[index as usize % counters.len()]),
            _ => pay(Address::left_padding_from(&(0x7000 + index).to_be_bytes()), index + 1),
        };
        scene.send(sender, tx);
    }
    let played = scene.play();
    assert_eq!(played.slot(counters[1], 0), Some(U256::from(4)));
    scene
}

fn two_or_more(simulation: &mut Simulation) {
    simulation.config.workers = simulation.config.workers.max(2.try_into().expect("not zero"));
}

#[test]
pub(crate) fn workers_share_the_bundle_and_what_undoes_it() {
    let parts = scene().play_whole(0..40, |simulation| {
        two_or_more(simulation);
        simulation.config.policy = Policy::Forced(Forced::Speculative);
    });
    assert_eq!(parts, 0);
}

#[test]
fn batches_and_order_come_to_the_same() {
    let scene = scene();
    let parts = scene.play_whole(0..40, |simulation| {
        two_or_more(simulation);
        simulation.config.policy = Policy::Forced(Forced::ContiguousBatches);
    });
    assert!(parts > 40, "{parts}");
    let parts = scene.play_whole(0..40, |simulation| {
        two_or_more(simulation);
        simulation.config.policy = Policy::Sequential;
    });
    assert_eq!(parts, 0);
}

/// Number of slots that one call changes.
const AT_ONCE: u64 = 150;

/// Each call sets its own slots; some get other values later, the old ones again, or both. For a
/// contract that is new in the block, another worker cannot see which value counts.
#[test]
pub(crate) fn very_many_slots_are_undone_by_another_worker() {
    for is_new in [false, true] {
        let mut scene = payments(0);
        let mut code = Code::new();
        for slot in 0..AT_ONCE {
            let value = code.push(32).op(CALLDATALOAD);
            code = value.push(slot).push(0).op(CALLDATALOAD).op(ADD).op(SSTORE);
        }
        let writer = if is_new {
            let creator = scene.sender(77);
            let gas_limit = 5_000_000;
            scene.send(creator, TxEnv { gas_limit, ..create(deploying(code)) });
            creator.create(0)
        } else {
            scene.contract(0, code)
        };
        let mut write = |first: u64, value: u64| {
            let word = |word: u64| U256::from(word).to_be_bytes::<32>();
            let (gas_limit, data) = (5_000_000, [word(first), word(value)].concat().into());
            let sender = scene.sender(first + value);
            scene.send(sender, TxEnv { gas_limit, data, ..call(writer) });
        };
        (1..33).for_each(|number| write(1_000 * number, 7));
        (1..5).for_each(|number| write(1_000 * number, 0));
        (3..7).for_each(|number| write(1_000 * number, 9));
        let played = scene.play();
        assert_eq!(played.slot(writer, 1_000), None, "it is as it was");
        assert_eq!(played.slot(writer, 3_000), Some(U256::from(9)));
        for workers in [2, 3, 8] {
            run(
                &mut seeded(workers, Policy::Forced(Forced::Speculative)),
                &scene,
                scene.database(),
            );
        }
        scene.play_whole(0..8, |simulation| {
            two_or_more(simulation);
            simulation.config.policy = Policy::Forced(Forced::Speculative);
        });
    }
}
