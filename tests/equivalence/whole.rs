//! The executor as it ships, on fibers: what its tasks have for each other does not depend on who comes first.

use crate::support::scene::{Scene, call, pay};
use alloy_primitives::{Address, U256};
use braid_evm::{Policy, Simulation};
use braid_fuzz::code::Code;
use revm::primitives::hardfork::SpecId;

/// Payments to new accounts and calls that change a slot of one contract each, enough of them to share out the
/// bundle.
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
    let ways = scene().play_whole(0..40, |simulation| {
        two_or_more(simulation);
        simulation.config.policy = Policy::ForceSpeculative;
    });
    assert_eq!(ways, (0, 0));
}

#[test]
fn parts_lanes_and_order_come_to_the_same() {
    let scene = scene();
    let (parts, _) = scene.play_whole(0..40, |simulation| {
        two_or_more(simulation);
        simulation.config.policy = Policy::Parts;
    });
    assert!(parts > 40, "{parts}");
    let (_, rounds) = scene.play_whole(0..40, |simulation| {
        two_or_more(simulation);
        simulation.config.policy = Policy::Lanes;
    });
    assert!(rounds > 40, "{rounds}");
    let ways = scene.play_whole(0..40, |simulation| {
        two_or_more(simulation);
        simulation.config.policy = Policy::InOrder;
    });
    assert_eq!(ways, (0, 0));
}
