//! Measures the cost of a wrong list in virtual time, where a read takes a microsecond and almost
//! nothing else takes time. It must not exceed 1.15 of sequential execution without the list, plus
//! a tenth of a millisecond.

use crate::support::scene::{Scene, call, contract, pay};
use alloy_eip7928::bal::Bal;
use alloy_eip7928::{AccountChanges, BlockAccessIndex, SlotChanges, StorageChange};
use alloy_primitives::{Address, B256, U256, hex};
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_evm::runtime::simulated::{Costs, Options, Schedule};
use braid_evm::{
    AccessListError, Block, BlockError, BlockErrorKind, BlockPosition, Cloned, Config, Executor,
    Segment, SimulatedExecutor, Strategy, TxIndex,
};
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Code that reads as many slots as slot 0 says, starting with the slot that the call names, and
/// writes that slot.
const READER: [u8; 32] =
    hex!("6000545b80156017578060003501545060019003600356" "5b5060016000355500");

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

/// Nanoseconds that a wrong list may cost in addition to 0.15 of the block.
const BESIDE: u64 = 100_000;

/// Returns a block with a payment, followed by `calls` calls that read `reads` slots each.
pub(super) fn reader_scene(calls: u64, reads: u64) -> (Scene, Address) {
    let mut scene = Scene::on(SpecId::OSAKA);
    scene.block.env.gas_limit = 1_000_000_000;
    let reader = Address::repeat_byte(0xcc);
    let storage = [(U256::ZERO, U256::from(reads))].into_iter().collect();
    let code = braid_blocks::code::Code::new();
    let account = MemoryAccount { code: READER.into(), storage, ..contract(code) };
    scene.put(reader, account);
    let payer = scene.sender(0);
    scene.send(payer, pay(Address::repeat_byte(0xdd), 1));
    for number in 1..=calls {
        let sender = scene.sender(number);
        let from = B256::from(U256::from(number * 100_000));
        let data = from.0.to_vec().into();
        scene.send(sender, TxEnv { gas_limit: 16_000_000, data, ..call(reader) });
    }
    (scene, reader)
}

pub(super) fn right_list(scene: &Scene) -> Vec<AccountChanges> {
    let mut config = Config::with_workers(NonZeroU16::MIN);
    config.access_list = true;
    let mut executor = Executor::new(config).expect("threads start");
    let output = executor.block(scene.block.clone()).database(scene.database()).execute();
    output.expect("a valid block").access_list.expect("a list").iter().cloned().collect()
}

/// A state that counts reads of accounts and slots.
struct Counting {
    state: Hooked<MemoryDatabase>,
    reads: Arc<AtomicU64>,
}

impl Counting {
    fn of(scene: &Scene) -> Self {
        let reads = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&reads);
        let state = Hooked::watched(scene.database(), move |read| {
            if matches!(read, Read::Account(_) | Read::Slot(..)) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { state, reads }
    }

    fn count(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

/// Returns the time of all reads of the block in sequential execution without a list.
fn time_in_order(scene: &Scene) -> u64 {
    let state = Counting::of(scene);
    let mut executor = Executor::new(Config::with_workers(NonZeroU16::MIN)).expect("it starts");
    let output = executor.block(scene.block.clone()).database(state.state.clone()).execute();
    output.expect("a valid block");
    state.count() * COSTS.base_read
}

/// Returns the virtual time of `block` with its list, and the transaction at which the list is
/// found to be wrong. Sequential runs are outside virtual time, so no transaction may run
/// sequentially, and the time includes all reads of `state`.
fn time(state: &Counting, block: Block, workers: u16) -> (u64, Option<BlockPosition>) {
    let workers = NonZeroU16::new(workers).expect("some");
    let config = Config::with_workers(workers);
    let mut options = Options::new(workers.get(), 0);
    options.schedule = Schedule::VirtualTime(COSTS);
    let mut executor = SimulatedExecutor::new(config, options);
    let ran = executor.execute(block, Cloned(state.state.clone())).expect("it ends");
    let (output, wrong) = match ran.result {
        Ok(output) => (output, None),
        Err(BlockError { at, kind, committed, .. }) => {
            let is_list = matches!(kind, BlockErrorKind::AccessList(AccessListError::Mismatch(_)));
            assert!(is_list, "{kind}");
            (*committed, Some(at))
        }
    };
    let by_list = |segment: &Segment| segment.strategy == Strategy::AccessList;
    assert!(output.segments.iter().all(by_list), "{:?}", output.segments);
    // A sequential run without a result is missing from the path. Calls before the first
    // transaction read as well.
    let busy = state.count() * COSTS.base_read;
    assert!(
        busy <= ran.busy + 20 * COSTS.base_read,
        "{busy} of {}: something ran sequentially",
        ran.busy
    );
    (ran.makespan, wrong)
}

/// Checks the cost of a list that is wrong at transaction `at`, on any number of workers.
#[track_caller]
fn check(scene: &Scene, list: Vec<AccountChanges>, at: u32) {
    let in_order = time_in_order(scene);
    let access_list = Some(Arc::new(Bal::new(list)));
    let block = Block { access_list, ..scene.block.clone() };
    for workers in [2, 3, 8] {
        let (with_list, wrong) = time(&Counting::of(scene), block.clone(), workers);
        assert_eq!(wrong, Some(BlockPosition::Transaction(TxIndex(at))));
        let most = in_order + in_order * 15 / 100 + BESIDE;
        assert!(
            with_list <= most,
            "wrong at {at}, {workers} workers: {with_list} of {in_order} ns"
        );
    }
}

/// Replaces the listed value of the slot that the call at `index` writes.
fn lie(list: &mut [AccountChanges], reader: Address, index: u64) {
    let account = list.iter_mut().find(|it| it.address == reader).expect("it is listed");
    let changes = account.storage_changes.iter_mut().flat_map(|slot| &mut slot.changes);
    let at = BlockAccessIndex::new(index);
    let change = changes.into_iter().find(|change| change.block_access_index == at);
    change.expect("each call writes").new_value = U256::from(7);
}

/// Before a run is known to differ, the block could run again from there.
#[test]
pub(in crate::equivalence) fn a_call_that_is_most_of_its_block_runs_once() {
    let (scene, reader) = reader_scene(1, 4_000);
    let mut list = right_list(&scene);
    lie(&mut list, reader, 2);
    check(&scene, list, 1);
}

#[test]
fn a_difference_ends_the_block_wherever_it_is() {
    let (scene, reader) = reader_scene(24, 100);
    let list = right_list(&scene);
    let right =
        Block { access_list: Some(Arc::new(Bal::new(list.clone()))), ..scene.block.clone() };
    let in_order = time_in_order(&scene);
    let (with_list, wrong) = time(&Counting::of(&scene), right, 2);
    assert!(wrong.is_none() && with_list * 10 < in_order * 6, "{with_list} of {in_order}");
    for index in [2, 3, 11, 20, 25] {
        let mut list = list.clone();
        lie(&mut list, reader, index);
        check(&scene, list, index as u32 - 1);
    }
}

/// The list claims that the payment makes all calls long.
#[test]
pub(in crate::equivalence) fn what_a_wrong_list_makes_long_ends_once_the_list_is_known_to_be_wrong()
{
    let (scene, reader) = reader_scene(7, 3);
    let mut list = right_list(&scene);
    let account = list.iter_mut().find(|it| it.address == reader).expect("it is listed");
    account.storage_reads.retain(|slot| !slot.is_zero());
    let changes = vec![StorageChange::new(BlockAccessIndex::new(1), U256::from(5_000))];
    account.storage_changes.insert(0, SlotChanges::new(U256::ZERO, changes));
    check(&scene, list, 0);
}
