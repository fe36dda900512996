//! With slow storage, the values named in the block's access list are prefetched. Each is read by
//! one of the workers beyond the number of cores, many at once but never more than there are such
//! workers.

use super::bound::{reader_scene, right_list};
use crate::support::scene::Scene;
use alloy_eip7928::bal::Bal;
use alloy_eip7928::{AccountChanges, BlockAccessIndex, StorageChange};
use alloy_primitives::{Address, U256};
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::MemoryDatabase;
use braid_evm::{Block, BlockErrorKind, BlockOutput, Cloned, Config, Executor};
use revm::DatabaseRef;
use revm::database::BundleState;
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Number of workers with slow storage; otherwise there are two.
const WIDE: u16 = 12;

/// A slow state that counts concurrent readers and the reads of each slot.
struct Slow {
    state: Hooked<MemoryDatabase>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    inside: AtomicUsize,
    most: AtomicUsize,
    reads: Mutex<BTreeMap<(Address, U256), usize>>,
}

impl Seen {
    fn see(&self, read: Read) {
        match read {
            Read::Account(_) | Read::Code(_) => {}
            Read::Slot(address, slot) => {
                *self.reads.lock().expect("no panic").entry((address, slot)).or_default() += 1;
            }
            Read::BlockHash(_) => return,
        }
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        std::thread::sleep(Duration::from_micros(300));
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Slow {
    fn of(scene: &Scene) -> Self {
        let seen = Arc::new(Seen::default());
        let sees = Arc::clone(&seen);
        Self { state: Hooked::watched(scene.database(), move |read| sees.see(read)), seen }
    }
}

/// Returns an executor that has learned that the storage of `scene` is slow.
fn wide(scene: &Scene) -> Executor {
    let mut config = Config::with_workers(NonZeroU16::new(2).expect("some"));
    config.io_workers = NonZeroU16::new(WIDE);
    let mut executor = Executor::new(config).expect("threads start");
    for _ in 0..20 {
        let output = executor.block(scene.block.clone()).database(Slow::of(scene).state).execute();
        if output.expect("a valid block").stats.workers == u64::from(WIDE) {
            return executor;
        }
    }
    panic!("it has not learned that storage is slow")
}

fn with_list(scene: &Scene, list: Vec<AccountChanges>) -> Block {
    Block { access_list: Some(Arc::new(Bal::new(list))), ..scene.block.clone() }
}

fn in_order(scene: &Scene, parent: Option<&BundleState>) -> BlockOutput {
    let mut config = Config::with_workers(NonZeroU16::MIN);
    config.access_list = true;
    let mut executor = Executor::new(config).expect("it starts");
    let request = executor.block(scene.block.clone()).state(Cloned(scene.database()));
    let request = match parent {
        Some(parent) => request.parent(parent.clone()),
        None => request,
    };
    request.execute().expect("a valid block")
}

/// A single call that reads one slot after the other: without its list, only one read is in
/// progress at a time.
#[test]
pub(in crate::equivalence) fn one_long_call_does_not_wait_for_each_read() {
    let (learns, _) = reader_scene(16, 20);
    let mut executor = wide(&learns);
    let (scene, reader) = reader_scene(1, 300);
    let slow = Slow::of(&scene);
    let block = with_list(&scene, right_list(&scene));
    let output = executor.block(block).database(slow.state.clone()).execute().expect("it is right");
    let expected = in_order(&scene, None);
    assert_eq!((output.outcomes, output.bundle), (expected.outcomes, expected.bundle));
    let (most, reads) =
        (slow.seen.most.load(Ordering::SeqCst), slow.seen.reads.lock().expect("no panic"));
    assert!(most >= usize::from(WIDE) / 2, "{most} reads at a time");
    assert!(most <= usize::from(WIDE), "{most} reads at a time");
    let slots = reads.iter().filter(|((address, _), _)| *address == reader);
    let (slots, twice) =
        slots.fold((0, 0), |(slots, twice), (_, times)| (slots + 1, twice + times - 1));
    assert_eq!(slots, 302, "slots, each at least once");
    // The call may read a slot that is being prefetched, but not most of them.
    assert!(twice < slots / 2, "{twice} of {slots} slots were read twice");
}

/// Changes of an unwritten parent take precedence over prefetched values.
#[test]
fn what_is_read_ahead_lies_under_the_parent() {
    let (scene, reader) = reader_scene(16, 20);
    let mut executor = wide(&scene);
    let info = scene.database().basic_ref(reader).expect("it reads").expect("it is there");
    let slots = [(U256::ZERO, (U256::from(20), U256::from(7)))].into_iter().collect();
    let parent = BundleState::builder(0..=0)
        .state_original_account_info(reader, info.clone())
        .state_present_account_info(reader, info)
        .state_storage(reader, slots)
        .build();
    let expected = in_order(&scene, Some(&parent));
    let list = expected.access_list.expect("a list").iter().cloned().collect();
    let slow = Slow::of(&scene);
    let request =
        executor.block(with_list(&scene, list)).state(Cloned(slow.state.clone())).parent(parent);
    let output = request.execute().expect("it is right");
    assert_eq!((output.outcomes, output.bundle), (expected.outcomes, expected.bundle));
    assert!(slow.seen.most.load(Ordering::SeqCst) > 2, "nothing was read ahead");
}

/// Prefetching delays no transaction and ends with the block: a list that names far too many slots
/// is rejected at its first error, before most of it is read.
#[test]
fn a_list_that_names_too_much_is_not_read_to_its_end() {
    let (scene, reader) = reader_scene(16, 20);
    let mut executor = wide(&scene);
    let mut list = right_list(&scene);
    let account = list.iter_mut().find(|it| it.address == reader).expect("it is listed");
    let changes = &mut account.storage_changes[0].changes;
    *changes = vec![StorageChange::new(BlockAccessIndex::new(2), U256::from(9))];
    account
        .storage_reads
        .extend((0..50_000u64).map(|slot| (U256::from(1) << 200) + U256::from(slot)));
    let slow = Slow::of(&scene);
    let output = executor.block(with_list(&scene, list)).database(slow.state.clone()).execute();
    let error = output.expect_err("it is wrong");
    assert!(matches!(error.kind, BlockErrorKind::AccessList(_)), "{}", error.kind);
    let reads = slow.seen.reads.lock().expect("no panic").len();
    assert!(reads < 25_000, "{reads} slots were read");
}
