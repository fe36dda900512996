//! One block for each reason of docs/PATHS.md that no generated block shows reliably, because it
//! depends on time, on earlier blocks or on the state.

use crate::support::scene::{Scene, authorization, call_with, delegate};
use alloy_primitives::Address;
use braid_blocks::code::Code;
use braid_blocks::hooked::Hooked;
use braid_blocks::memory::MemoryAccount;
use braid_evm::{Block, BlockOutput, Config, Executor, Reason, Strategy};
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;
use std::time::Duration;

/// Number of blocks within which another worker has started often enough, even on a busy machine.
const PATIENCE: usize = 100;

fn executor(config: impl FnOnce(&mut Config)) -> Executor {
    let mut built = Config::builder().workers(2).build().expect("allowed");
    config(&mut built);
    Executor::new(built).expect("threads start")
}

/// Returns calls of one counter, each of which depends on the preceding one.
fn chain(one_sender: bool) -> Scene {
    let mut scene = Scene::on(SpecId::OSAKA);
    scene.block.env.gas_limit = 1_000_000_000;
    let counter = scene.contract(0, Code::new().increment(0, 1));
    let first = scene.sender(0);
    for index in 0..200 {
        let sender = if one_sender { first } else { scene.sender(index) };
        scene.send(sender, call_with(counter, 1));
    }
    scene
}

fn run(executor: &mut Executor, scene: &Scene) -> BlockOutput {
    let request = executor.block(scene.block.clone()).database(scene.database());
    request.execute().expect("a valid block")
}

fn has(output: &BlockOutput, way: (Strategy, Reason)) -> bool {
    output.segments.iter().any(|segment| (segment.strategy, segment.reason) == way)
}

#[test]
fn one_sender_has_most_of_the_gas() {
    let output = run(&mut executor(|_| {}), &chain(true));
    assert!(has(&output, (Strategy::Sequential, Reason::OneSender)), "{:?}", output.segments);
}

/// A list does not record whether an account that was empty before the block still exists.
#[test]
fn a_transaction_does_something_else() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    let empty = scene.put(Address::repeat_byte(0xee), MemoryAccount::default());
    for index in 0..200 {
        let (sender, counter) =
            (scene.sender(index), scene.contract(index, Code::new().increment(0, 1)));
        scene.send(sender, call_with(counter, 1));
        if index == 100 {
            scene.send(alice, delegate(vec![authorization(empty, bob, 0)], bob));
        }
    }
    let mut lists = executor(|config| config.access_list = true);
    let list = run(&mut lists, &scene).access_list.expect("a list");
    let block = Block { access_list: Some(Arc::new(list)), ..scene.block.clone() };
    let output = lists.block(block).database(scene.database()).execute().expect("its own list");
    assert!(has(&output, (Strategy::AccessList, Reason::AccessList)), "{:?}", output.segments);
    assert!(has(&output, (Strategy::Sequential, Reason::Unlisted)), "{:?}", output.segments);
}

/// Executes a block with slow reads.
fn run_slowly(executor: &mut Executor, scene: &Scene) -> BlockOutput {
    let wait = |_| std::thread::sleep(Duration::from_micros(200));
    let database = Hooked::watched(scene.database(), wait);
    let request = executor.block(scene.block.clone()).database(database);
    request.execute().expect("a valid block")
}

/// Speculative runs of dependent calls still fetch their senders.
#[test]
fn storage_is_slow() {
    let (mut executor, scene) = (executor(|_| {}), chain(false));
    let is_seen = |_| {
        let output = run_slowly(&mut executor, &scene);
        has(&output, (Strategy::Speculative, Reason::SlowStorage))
    };
    assert!((0..PATIENCE).any(is_seen), "the workers were not seen waiting in {PATIENCE} blocks");
}
