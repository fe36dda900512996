//! Checks the test harness: transactions run at the same time and conflict. Both are measured in
//! the database, not in the executor.

use crate::support::scene::{Scene, call, pay};
use braid_blocks::code::Code;
use braid_evm::{Forced, Mode, Policy};
use braid_testkit::lineup::{Lineup, executor};
use braid_testkit::pace::Gate;
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;
use std::time::Duration;

/// Long enough for any machine; it elapses only if transactions never meet.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn two_transactions_are_in_progress_at_once() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    scene.send(alice, pay(bob, 1));
    scene.send(bob, pay(alice, 1));
    let block = Arc::new(scene.block.clone());
    for workers in [2, 3, 8] {
        let mut executor = executor(workers, Policy::Forced(Forced::Speculative), Mode::Validate);
        for _ in 0..20 {
            let gate = Arc::new(Gate::meeting(&block, PATIENCE));
            let database = gate.guard(scene.database());
            executor.block(Arc::clone(&block)).database(database).execute().expect("a valid block");
            assert_eq!(gate.met(), 1, "{workers} workers");
        }
    }
}

#[test]
fn higher_transactions_that_run_first_are_wrong_and_found_out() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let counter = scene.contract(0, Code::new().increment(0, 1));
    for index in 0..16 {
        let sender = scene.sender(index);
        scene.send(sender, call(counter));
    }
    let mut lineup = Lineup::new(Policy::Forced(Forced::Speculative), Mode::Validate);
    let block = Arc::new(scene.block.clone());
    let expected = lineup.compare_paced(&block, &scene.database()).expect("equal");
    let output = expected.output().expect("a valid block");
    let account = output.bundle.account(&counter).expect("it counted");
    assert_eq!(account.storage[&alloy_primitives::U256::ZERO].present_value.to::<u64>(), 16);
    assert!(lineup.met > 0, "no two transactions met");
    assert!(lineup.aborts > 0, "nothing was aborted");
}

#[test]
fn independent_transactions_commit_from_their_speculative_runs() {
    let mut scene = Scene::on(SpecId::OSAKA);
    for index in 0..32 {
        let sender = scene.sender(index);
        let receiver = scene.sender(100 + index);
        scene.send(sender, pay(receiver, 1));
    }
    let mut lineup = Lineup::new(Policy::Forced(Forced::Speculative), Mode::Validate);
    let block = Arc::new(scene.block.clone());
    lineup.compare_paced(&block, &scene.database()).expect("equal");
    assert!(lineup.speculative > 0, "nothing was committed from a speculative run");
}
