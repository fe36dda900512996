//! Blocks that are shared out and run in order by turns: nothing is lost, and nothing that was only
//! guessed is left, where one takes over from the other.

use crate::support::scene::{BENEFICIARY, SEEDED, Scene, call, pay};
use alloy_primitives::{Address, B256, U256};
use braid_evm::{Forced, Mode, Policy};
use braid_testkit::code::Code;
use braid_testkit::lineup::executor;
use braid_testkit::memory::MemoryDatabase;
use braid_testkit::oracle::Expected;
use core::convert::Infallible;
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::bytecode::opcode::{ADD, BALANCE, CALLER, SSTORE};
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const TRANSACTIONS: u64 = 30;

/// Each call writes who called into the slot that slot 0 says, notes what the first slots hold, and
/// counts slot 0 up: a wrong guess of slot 0 writes somewhere else. In between one account pays, which
/// touches none of that, and another asks what the beneficiary has by then.
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

/// The first sender is not there before a later one has been asked for: what lies between has run on a
/// wrong guess then.
#[derive(Clone)]
struct Held {
    database: MemoryDatabase,
    senders: [Address; 2],
    come: Arc<(Mutex<bool>, Condvar)>,
}

impl DatabaseRef for Held {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let (come, one_came) = &*self.come;
        if address == self.senders[1] {
            *come.lock().expect("no thread panics") = true;
            one_came.notify_all();
        } else if address == self.senders[0] {
            let come = come.lock().expect("no thread panics");
            let patience = Duration::from_millis(200);
            drop(one_came.wait_timeout_while(come, patience, |come| !*come));
        }
        self.database.basic_ref(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Infallible> {
        self.database.code_by_hash_ref(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        self.database.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        self.database.block_hash_ref(number)
    }
}

#[test]
pub(crate) fn taking_turns() {
    let (scene, senders) = scene();
    let block = Arc::new(scene.block.clone());
    let expected = Expected::new(&block, Mode::Validate, &scene.database());
    for workers in [2, 3] {
        let executor = executor(workers, Policy::Forced(Forced::Alternate), Mode::Validate);
        let mut executor = executor.with_mutant(SEEDED.get());
        let (mut discarded, mut turns) = (0, 0);
        for _ in 0..5 {
            let database = Held { database: scene.database(), senders, come: Arc::default() };
            let found = executor.block(Arc::clone(&block)).database(database).execute();
            expected.compare(&found).unwrap_or_else(|difference| panic!("{workers}: {difference}"));
            let stats = found.expect("a valid block").stats;
            discarded += stats.discarded;
            turns += stats.in_order_stretches;
        }
        assert!(discarded > 0 && turns >= 20, "{workers}: {discarded} discarded, {turns} turns");
    }
}
