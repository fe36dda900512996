//! An untrusted list predicts dependencies and changes no result.

use super::bound::right_list;
use crate::support::scene::{Scene, call};
use alloy_eip7928::AccountChanges;
use alloy_eip7928::bal::Bal;
use braid_blocks::code::Code;
use braid_evm::runtime::simulated::{Costs, Options, Schedule};
use braid_evm::{Block, Cloned, Config, Forced, Mode, Policy, SimulatedExecutor, Stats};
use braid_testkit::oracle::Expected;
use braid_testkit::spoil::{draws, scramble};
use revm::bytecode::opcode;
use revm::primitives::hardfork::SpecId;
use std::num::NonZeroU16;
use std::sync::Arc;

const COSTS: Costs = Costs {
    begin: 200,
    read: 0,
    base_read: 1_000,
    publish: 80,
    check: 60,
    message: 100,
    coordinator: 30,
    validate: 80,
    commit: 100,
};

/// Returns forty calls in mixed order; each increments one of five counters after many reads.
fn scene() -> Scene {
    let mut scene = Scene::on(SpecId::OSAKA);
    let counters: Vec<_> = (0..5)
        .map(|of| {
            let read = |code: Code, slot| code.sload(slot).op(opcode::POP);
            scene.contract(of, (100..120).fold(Code::new(), read).increment(0, 1))
        })
        .collect();
    let mut draw = draws(7);
    for index in 0..40 {
        let sender = scene.sender(index);
        scene.send(sender, call(counters[draw(counters.len())]));
    }
    scene
}

/// Returns the statistics of the block with this hint.
fn run(scene: &Scene, hint: Option<Vec<AccountChanges>>, workers: u16) -> Stats {
    let workers = NonZeroU16::new(workers).expect("some");
    let mut config = Config::with_workers(workers);
    config.policy = Policy::Forced(Forced::Speculative);
    let mut options = Options::new(workers.get(), 0);
    options.schedule = Schedule::VirtualTime(COSTS);
    let mut executor = SimulatedExecutor::new(config, options);
    let access_list_hint = hint.map(|list| Arc::new(Bal::new(list)));
    let block = Block { access_list_hint, ..scene.block.clone() };
    let ran = executor.execute(block, Cloned(scene.database())).expect("it ends");
    let expected = Expected::new(&scene.block, Mode::Validate, &scene.database());
    expected.compare(&ran.result).expect("equal");
    ran.result.expect("a valid block").stats
}

#[test]
pub(in crate::equivalence) fn who_writes_the_same_waits() {
    let scene = scene();
    for workers in [2, 3, 8] {
        let without = run(&scene, None, workers);
        assert!(without.aborts > 0, "{workers} workers: {without:?}");
        let with = run(&scene, Some(right_list(&scene)), workers);
        assert_eq!(with.aborts, 0, "{workers} workers: {with:?}");
    }
}

#[test]
fn a_hint_that_lies_changes_no_result() {
    let scene = scene();
    for seed in 0..20 {
        let mut list = right_list(&scene);
        scramble(&mut list, scene.block.transactions.len(), &mut draws(seed));
        for workers in [1, 2, 8] {
            let stats = run(&scene, Some(list.clone()), workers);
            assert_eq!(stats.transactions, 40, "{stats:?}");
        }
    }
}
