//! Rewards that overflow a balance: each is dropped separately, while an ordinary credit that
//! overflows fails its transaction.

use crate::support::scene::{BENEFICIARY, Scene, call, pay};
use alloy_primitives::U256;
use braid_blocks::code::Code;
use braid_blocks::memory::MemoryAccount;
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;

/// Price above the base fee, in wei per gas.
const TIP: u64 = 3;
/// Reward of a plain transfer for the beneficiary.
const REWARD: u64 = 21_000 * TIP;

fn scene(spec: SpecId, room: u64) -> (Scene, [alloy_primitives::Address; 4]) {
    let mut scene = Scene::on(spec);
    let senders = scene.senders();
    scene.block.rules.block_reward = Some(0);
    let balance = U256::MAX - U256::from(room);
    scene.put(BENEFICIARY, MemoryAccount { balance, ..MemoryAccount::default() });
    (scene, senders)
}

#[test]
pub(crate) fn a_reward_that_does_not_fit_is_dropped_and_a_smaller_one_still_fits() {
    for spec in [SpecId::LONDON, SpecId::OSAKA] {
        let (mut scene, [alice, bob, carol, heir]) = scene(spec, REWARD + 30_000);
        scene.send(alice, pay(heir, 1));
        // Overflows.
        scene.send(bob, pay(heir, 1));
        // A tip of one wei per gas fits.
        scene.send(carol, TxEnv { gas_price: 8, ..pay(heir, 1) });
        scene.send(alice, TxEnv { gas_price: 7, ..pay(heir, 1) });
        let played = scene.play();
        let expected = U256::MAX - U256::from(30_000 - 21_000);
        assert_eq!(played.balance(BENEFICIARY), Some(expected), "{spec:?}");
    }
}

#[test]
pub(crate) fn rewards_without_any_room_are_dropped() {
    let (mut scene, [alice, bob, carol, heir]) = scene(SpecId::OSAKA, 0);
    for sender in [alice, bob, carol, alice, bob, carol] {
        scene.send(sender, pay(heir, 1));
    }
    let played = scene.play();
    assert_eq!(played.output().bundle.account(&BENEFICIARY), None);
}

#[test]
fn a_credit_to_a_full_account_fails() {
    let (mut scene, [alice, bob, carol, heir]) = scene(SpecId::OSAKA, 2 * REWARD);
    scene.send(alice, pay(heir, 1));
    scene.send(bob, pay(BENEFICIARY, 2 * REWARD));
    scene.send(carol, pay(BENEFICIARY, 1));
    let played = scene.play();
    assert!(!played.ok(1));
    assert!(played.ok(2));
}

/// A payment that fits only if the preceding rewards were dropped, or only if they were not.
#[test]
fn readers_see_what_the_fold_made_of_each_reward() {
    for room in [0, REWARD - 1, REWARD, REWARD + 1, 2 * REWARD, 3 * REWARD] {
        let (mut scene, [alice, bob, carol, heir]) = scene(SpecId::OSAKA, room);
        let look = Code::new().balance(BENEFICIARY).sload(0).push(1).op(0x01).op(0x55);
        let look = scene.contract(0, look.increment(0, 1));
        scene.send(alice, pay(heir, 1));
        scene.send(bob, call(look));
        scene.send(carol, pay(heir, 1));
        scene.send(bob, call(look));
        scene.send(alice, pay(BENEFICIARY, 5));
        scene.send(carol, TxEnv { gas_price: 8, ..pay(heir, 1) });
        scene.send(bob, call(look));
        scene.play();
    }
}
