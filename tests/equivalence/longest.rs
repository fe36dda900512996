//! Transactions that take much longer than others are scheduled first, once earlier blocks have
//! shown which they are.

use crate::support::scene::{Scene, call};
use alloy_primitives::{Address, address};
use braid_blocks::code::Code;
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::MemoryDatabase;
use braid_evm::{Config, Executor, Mode, Stats};
use braid_testkit::oracle::Expected;
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;
use std::num::NonZeroU16;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const ECRECOVER: Address = address!("0000000000000000000000000000000000000001");
const TRANSACTIONS: u64 = 60;
/// Index of the long transaction.
const LAST: usize = TRANSACTIONS as usize - 1;

/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A reader of one of the `waiting` contracts' storage waits until the storage of the slow contract
/// has been read.
fn held(database: MemoryDatabase, slow: Address, waiting: Vec<Address>) -> Hooked<MemoryDatabase> {
    let (came, one_came) = (Mutex::new(false), Condvar::new());
    Hooked::watched(database, move |read| {
        let Read::Slot(address, _) = read else { return };
        let mut came = came.lock().expect("no thread panics");
        if address == slow {
            *came = true;
            one_came.notify_all();
        } else if waiting.contains(&address) {
            let waited = one_came.wait_timeout_while(came, PATIENCE, |came| !*came);
            let is_late = waited.expect("no thread panics").1.timed_out();
            assert!(!is_late, "no worker began the slow one");
        }
    })
}

/// Returns calls that each increment one of many counters. The last one also increments counter
/// `counts_in`, if set, and a counter of its own, and recovers thirty signatures.
fn scene(counts_in: Option<usize>) -> (Scene, Address) {
    let mut scene = Scene::on(SpecId::OSAKA);
    let counters: Vec<_> =
        (0..20).map(|of| scene.contract(of, Code::new().increment(0, 1))).collect();
    let recover = |code: Code| code.call_by(opcode::STATICCALL, ECRECOVER, 5_000).op(opcode::POP);
    let code = match counts_in {
        Some(of) => Code::new().call(counters[of], 0, 50_000).op(opcode::POP),
        None => Code::new(),
    };
    // Whoever waits for this read can be sure that the counter was incremented before.
    let code = code.sload(7).op(opcode::POP).increment(0, 1);
    let code = (0..30).fold(code, |code, _| recover(code));
    let slow = scene.contract(100, code);
    for index in 0..TRANSACTIONS {
        let sender = scene.sender(index);
        let to = if index as usize == LAST { slow } else { counters[index as usize % 20] };
        let tx = TxEnv { gas_limit: 300_000, data: [7; 36].into(), ..call(to) };
        scene.send(sender, tx);
    }
    (scene, slow)
}

/// Returns an executor that learns, and does not add workers because threads wait here.
fn executor(workers: u16) -> Executor {
    let workers = NonZeroU16::new(workers).expect("at least one");
    let mut config = Config::with_workers(workers);
    config.io_workers = Some(workers);
    Executor::new(config).expect("threads start")
}

/// Executes the block and compares it. If `is_held` is set, its second half cannot continue before
/// the slow call has started.
fn play(executor: &mut Executor, (scene, slow): &(Scene, Address), is_held: bool) -> Stats {
    let block = Arc::new(scene.block.clone());
    let database = scene.database();
    let expected = Expected::new(&block, Mode::Validate, &database);
    // Not the transaction after the tenth, because the slow call may conflict with it.
    let later = scene.block.transactions.iter().skip(12).take(8).filter(|_| is_held);
    let waiting = later.filter_map(|tx| tx.kind.to().copied()).collect();
    let database = held(database, *slow, waiting);
    let found = executor.block(Arc::clone(&block)).database(database).execute();
    expected.compare(&found).expect("equal");
    found.expect("a valid block").stats
}

#[test]
fn who_took_long_begins_first_in_later_blocks() {
    let free = scene(None);
    for workers in [2, 3, 8] {
        let mut executor = executor(workers);
        let first = play(&mut executor, &free, false);
        assert_eq!(first.scheduled_early, 0, "{workers} workers: nothing tells it");
        for _ in 0..5 {
            let stats = play(&mut executor, &free, true);
            assert_eq!(stats.scheduled_early, 1, "{workers} workers: {stats:?}");
        }
    }
}

/// The slow call reads a write of an earlier one. After an aborted run it waits for its turn.
#[test]
fn who_began_in_vain_waits_for_its_turn() {
    let tied = scene(Some(11));
    for workers in [2, 3] {
        let mut executor = executor(workers);
        let mut scheduled_early = |held| play(&mut executor, &tied, held).scheduled_early;
        assert_eq!(scheduled_early(false), 0, "{workers} workers: nothing tells it");
        assert_eq!(scheduled_early(true), 1, "{workers} workers: it is known");
        for _ in 0..10 {
            assert_eq!(scheduled_early(false), 0, "{workers} workers: it waits");
        }
    }
}
