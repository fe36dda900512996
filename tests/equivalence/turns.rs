//! Blocks that alternate between speculative and sequential execution: at each change, no result is
//! lost, and no result of a wrong guess remains.

use crate::support::scene::{BENEFICIARY, Scene, call, pay};
use alloy_primitives::Address;
use braid_blocks::code::Code;
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::MemoryDatabase;
use braid_evm::{Forced, Mode, Policy};
use braid_testkit::lineup::executor;
use braid_testkit::oracle::Expected;
use revm::bytecode::opcode::{ADD, BALANCE, CALLER, SSTORE};
use revm::primitives::hardfork::SpecId;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const TRANSACTIONS: u64 = 30;

/// Returns calls that each store the caller in the slot that slot 0 names, record the sum of the
/// first slots, and increment slot 0, so that a wrong guess of slot 0 writes elsewhere. In between,
/// one account makes an unrelated payment, and another one reads the beneficiary's balance.
fn scene() -> (Scene, [Address; 2]) {
    let mut scene = Scene::on(SpecId::OSAKA);
    let place = |code: Code, first: u64| code.sload(0).push(first).op(ADD).op(SSTORE);
    let code = place(Code::new().op(CALLER), 1).sload(1);
    let code = (2..=6).fold(code, |code, slot| code.sload(slot).op(ADD));
    let counter = scene.contract(0, place(code, 100).increment(0, 1));
    let code = place(Code::new().address(BENEFICIARY).op(BALANCE), 200);
    let asker = scene.contract(1, code.increment(0, 1));
    for index in 0..TRANSACTIONS {
        let sender = scene.sender(index);
        let tx = match index % 7 {
            5 => pay(Address::repeat_byte(0x70), 1),
            6 => call(asker),
            _ => call(counter),
        };
        scene.send(sender, tx);
    }
    let waiting = scene.block.transactions[0].caller;
    let awaited = scene.block.transactions[4].caller;
    (scene, [waiting, awaited])
}

/// Returns a database in which the first sender waits until a later one has been read: the
/// transactions between them have then run on a wrong guess.
fn held(database: MemoryDatabase, [waiting, awaited]: [Address; 2]) -> Hooked<MemoryDatabase> {
    let (come, one_came) = (Mutex::new(false), Condvar::new());
    Hooked::watched(database, move |read| {
        if read == Read::Account(awaited) {
            *come.lock().expect("no thread panics") = true;
            one_came.notify_all();
        } else if read == Read::Account(waiting) {
            let come = come.lock().expect("no thread panics");
            let patience = Duration::from_millis(200);
            drop(one_came.wait_timeout_while(come, patience, |come| !*come));
        }
    })
}

#[test]
pub(crate) fn taking_turns() {
    let (scene, senders) = scene();
    let block = Arc::new(scene.block.clone());
    let expected = Expected::new(&block, Mode::Validate, &scene.database());
    for workers in [2, 3] {
        let mut executor = executor(workers, Policy::Forced(Forced::Alternate), Mode::Validate);
        let (mut aborts, mut turns) = (0, 0);
        for _ in 0..5 {
            let database = held(scene.database(), senders);
            let found = executor.block(Arc::clone(&block)).database(database).execute();
            expected.compare(&found).unwrap_or_else(|difference| panic!("{workers}: {difference}"));
            let stats = found.expect("a valid block").stats;
            aborts += stats.aborts;
            turns += stats.fallback_segments;
        }
        assert!(aborts > 0 && turns >= 20, "{workers}: {aborts} aborted, {turns} turns");
    }
}
