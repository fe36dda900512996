//! loom tests of the store: each runs under every schedule of its threads.
//!
//! A join models the report channel and the coordinator of the engine: all publications of the
//! joined thread happened before it. Run with `RUSTFLAGS="--cfg braid_loom" cargo test
//! --no-default-features --lib --release loom`.

use super::versioned_lock::VersionedLock;
use super::{Entry, Location, Origin, ReadSet, Resolution, Store};
use crate::ids::{Incarnation, TxIndex, Version};
#[cfg(feature = "mutants")]
use crate::mutants::{Bug, seed};
use crate::sync::loom_model::explore;
use crate::sync::{AtomicBool, SeqCst};
use loom::sync::Arc;
use loom::thread;

/// A slot in the scope of one life, and a balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cell {
    Slot,
    Life,
    Balance,
}

impl Location for Cell {
    type Value = u32;
    type Delta = u32;

    fn scope(&self) -> Option<Self> {
        (*self == Self::Slot).then_some(Self::Life)
    }

    fn is_scope(&self) -> bool {
        *self == Self::Life
    }

    fn destroyed(&self) -> u32 {
        0
    }

    fn fold(value: &mut u32, delta: &u32) {
        *value += delta;
    }
}

/// Number of preemptions: these tests are short enough for more than tests of the whole engine.
const PREEMPTIONS: usize = 4;

/// The base value of each cell.
const BASE: u32 = 100;

fn version(tx: u32, incarnation: u32) -> Version {
    Version { tx: TxIndex(tx), incarnation: Incarnation(incarnation) }
}

fn new_store(shards: usize) -> Arc<Store<Cell>> {
    Arc::new(Store::new(shards))
}

/// Publishes an entry, and returns the readers that the publication names.
fn publish(store: &Store<Cell>, version: Version, cell: Cell, entry: Entry<Cell>) -> Vec<TxIndex> {
    let mut stale = Vec::new();
    store.publish(version, &cell, entry, &mut stale);
    stale
}

/// Records one read, with `base` as the base value if the store requests it.
fn read(store: &Store<Cell>, cell: Cell, reader: u32, base: u32) -> (ReadSet<Cell>, u32, Origin) {
    let reader = TxIndex(reader);
    let mut resolution = store.resolve(&cell, reader);
    if let Resolution::NeedsBase(chain) = resolution {
        resolution = store.supply_base(chain, &cell, reader, base);
    }
    let Resolution::Resolved(seen) = resolution else {
        panic!("{resolution:?} in a story without estimates")
    };
    let (value, origin) = (seen.value, seen.origin);
    let mut reads = ReadSet::default();
    reads.push(cell, seen);
    (reads, value, origin)
}

#[test]
fn loom_unchanged_stamp_means_current_data() {
    explore("unchanged_stamp", PREEMPTIONS, 33, || {
        let lock = Arc::new(VersionedLock::new(0_u32));
        let reported = Arc::new(AtomicBool::new(false));
        let writer = thread::spawn({
            let (lock, reported) = (Arc::clone(&lock), Arc::clone(&reported));
            move || {
                lock.publish(|data, _| *data = 1);
                lock.publish(|data, _| *data = 2);
                reported.store(true, SeqCst);
            }
        });
        let (seen, stamp) = {
            let (data, stamp) = lock.read();
            (*data, stamp)
        };
        if reported.load(SeqCst) && lock.stamp() == stamp {
            assert_eq!(seen, 2, "an unchanged stamp, but data has changed");
        }
        writer.join().unwrap();
        assert_eq!(lock.stamp() == stamp, seen == 2, "stamp and data tell different stories");
    });
}

/// A read concurrent with two publications is valid afterwards if and only if it saw the last one.
fn publish_against_validate(new_store: fn() -> Arc<Store<Cell>>) {
    explore("publish_against_validate", PREEMPTIONS, 80, move || {
        let store = new_store();
        let writer = thread::spawn({
            let store = Arc::clone(&store);
            move || {
                publish(&store, version(0, 0), Cell::Balance, Entry::Value(1));
                publish(&store, version(1, 0), Cell::Balance, Entry::Value(2));
            }
        });
        let (reads, seen, _) = read(&store, Cell::Balance, 2, BASE);
        let hint = store.is_current(&reads, TxIndex(2));
        writer.join().unwrap();
        assert_eq!(store.validate(&reads, TxIndex(2)), seen == 2, "the verdict on {seen}");
        assert!(hint || seen != 2, "the newest read was called stale");
    });
}

#[test]
fn loom_publish_against_validate() {
    publish_against_validate(|| new_store(1));
}

/// Seeded bug: the stamp is drawn before the lock is taken.
#[cfg(feature = "mutants")]
#[test]
#[should_panic(expected = "the verdict on")]
fn loom_catches_a_stamp_drawn_outside_the_lock() {
    let _bug = seed(Bug::StampOutsideLock);
    publish_against_validate(|| new_store(1));
}

/// Seeded bug: the lock is released between the stamp and the change.
#[cfg(feature = "mutants")]
#[test]
#[should_panic(expected = "the verdict on")]
fn loom_catches_a_lock_that_is_released_early() {
    let _bug = seed(Bug::ReleasedEarly);
    publish_against_validate(|| new_store(1));
}

#[test]
fn loom_chain_is_created_after_a_miss() {
    explore("chain_after_a_miss", PREEMPTIONS, 1000, || {
        let store = new_store(1);
        let other = thread::spawn({
            let store = Arc::clone(&store);
            // In the engine all base reads are equal; here, different values show which thread was
            // first.
            move || read(&store, Cell::Balance, 2, BASE + 1)
        });
        let writer = thread::spawn({
            let store = Arc::clone(&store);
            move || publish(&store, version(0, 0), Cell::Balance, Entry::Value(1))
        });
        let (reads, seen, _) = read(&store, Cell::Balance, 1, BASE);
        let (_, other_seen, _) = other.join().unwrap();
        writer.join().unwrap();
        assert_eq!(store.validate(&reads, TxIndex(1)), seen == 1, "the miss went unnoticed");
        let bases: Vec<u32> = [seen, other_seen].into_iter().filter(|seen| *seen != 1).collect();
        assert!(bases.windows(2).all(|pair| pair[0] == pair[1]), "two base values: {bases:?}");
    });
}

#[test]
fn loom_late_older_incarnation_changes_nothing() {
    explore("late_older_incarnation", PREEMPTIONS, 600, || {
        let store = new_store(1);
        let old = thread::spawn({
            let store = Arc::clone(&store);
            move || {
                publish(&store, version(0, 0), Cell::Balance, Entry::Value(1));
                store.withdraw(version(0, 0), &Cell::Balance, &mut Vec::new());
            }
        });
        let estimate = thread::spawn({
            let store = Arc::clone(&store);
            move || store.mark_estimate(version(0, 0), &Cell::Balance)
        });
        publish(&store, version(0, 1), Cell::Balance, Entry::Value(2));
        old.join().unwrap();
        estimate.join().unwrap();
        let (_, seen, origin) = read(&store, Cell::Balance, 1, BASE);
        assert_eq!((seen, origin), (2, Origin::Value(version(0, 1))));
    });
}

#[test]
fn loom_reader_sees_a_publication_or_is_named() {
    explore("sees_or_is_named", PREEMPTIONS, 22, || {
        let store = new_store(2);
        store.seed(&Cell::Slot, BASE);
        let writer = thread::spawn({
            let store = Arc::clone(&store);
            move || {
                let mut named = publish(&store, version(0, 0), Cell::Life, Entry::Tombstone);
                named.extend(publish(&store, version(0, 0), Cell::Slot, Entry::Value(1)));
                named
            }
        });
        let (_, seen, _) = read(&store, Cell::Slot, 1, BASE);
        let named = writer.join().unwrap();
        assert!(seen == 1 || named.contains(&TxIndex(1)), "saw {seen}, named: {named:?}");
    });
}

#[test]
fn loom_slot_and_its_scope_are_seen_as_one() {
    explore("slot_and_scope", PREEMPTIONS, 22, || {
        let store = new_store(2);
        store.seed(&Cell::Slot, BASE);
        publish(&store, version(0, 0), Cell::Slot, Entry::Value(7));
        let writer = thread::spawn({
            let store = Arc::clone(&store);
            move || {
                publish(&store, version(1, 0), Cell::Life, Entry::Tombstone);
                publish(&store, version(1, 0), Cell::Slot, Entry::Value(7));
            }
        });
        let (reads, seen, origin) = read(&store, Cell::Slot, 2, BASE);
        assert!(seen == 7 || seen == 0, "neither version shows {seen}");
        writer.join().unwrap();
        let newest = origin == Origin::Value(version(1, 0));
        assert_eq!(store.is_current(&reads, TxIndex(2)), newest, "{origin:?} by version");
        assert_eq!(store.validate(&reads, TxIndex(2)), seen == 7, "{seen} by value");
    });
}

#[test]
fn loom_fold_beside_a_delta() {
    explore("fold_beside_a_delta", PREEMPTIONS, 400, || {
        let store = new_store(1);
        store.seed(&Cell::Balance, BASE);
        let credit = |tx: u32, amount: u32| {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                publish(&store, version(tx, 0), Cell::Balance, Entry::Delta(amount))
            })
        };
        let credits = [credit(0, 1), credit(1, 10)];
        let (reads, seen, _) = read(&store, Cell::Balance, 2, BASE);
        for credit in credits {
            credit.join().unwrap();
        }
        assert_eq!(store.validate(&reads, TxIndex(2)), seen == BASE + 11, "the fold {seen}");
    });
}

#[test]
fn loom_checkpoint_beside_a_delta() {
    // Number of final deltas: one more than a chain folds without a checkpoint.
    const FINAL: u32 = 17;
    explore("checkpoint_beside_a_delta", PREEMPTIONS, 1000, || {
        let store = new_store(1);
        store.seed(&Cell::Balance, BASE);
        for tx in 0..FINAL {
            publish(&store, version(tx, 0), Cell::Balance, Entry::Delta(1));
        }
        let coordinator = thread::spawn({
            let store = Arc::clone(&store);
            move || store.set_frontier(TxIndex(FINAL))
        });
        let writer = thread::spawn({
            let store = Arc::clone(&store);
            move || {
                publish(&store, version(FINAL, 0), Cell::Balance, Entry::Delta(10));
                publish(&store, version(FINAL, 1), Cell::Balance, Entry::Delta(20));
            }
        });
        let reader = FINAL + 1;
        let (reads, seen, _) = read(&store, Cell::Balance, reader, BASE);
        coordinator.join().unwrap();
        writer.join().unwrap();
        let sum = BASE + FINAL + 20;
        assert_eq!(store.validate(&reads, TxIndex(reader)), seen == sum, "the fold {seen}");
        let (_, again, _) = read(&store, Cell::Balance, reader, BASE);
        assert_eq!(again, sum, "from the checkpoint");
    });
}

/// Returns the value that a private batch with snapshot `snapshot` reads.
fn newest(store: &Store<Cell>, cell: Cell, snapshot: u32) -> u32 {
    let base = || Ok::<u32, core::convert::Infallible>(BASE);
    let Ok((value, _)) = store.newest(&cell, TxIndex(snapshot), base);
    value
}

#[test]
fn loom_snapshot_stays_beside_publications_above_it() {
    explore("snapshot_beside_publications", PREEMPTIONS, 100, || {
        let store = new_store(2);
        publish(&store, version(0, 0), Cell::Balance, Entry::Value(1));
        store.seed(&Cell::Slot, BASE);
        store.set_frontier(TxIndex(1));
        let writer = thread::spawn({
            let store = Arc::clone(&store);
            move || {
                publish(&store, version(1, 0), Cell::Life, Entry::Tombstone);
                publish(&store, version(1, 0), Cell::Slot, Entry::Value(7));
                publish(&store, version(1, 0), Cell::Balance, Entry::Value(2));
            }
        });
        assert_eq!(newest(&store, Cell::Slot, 1), BASE);
        assert_eq!(newest(&store, Cell::Balance, 1), 1);
        writer.join().unwrap();
        assert_eq!(newest(&store, Cell::Slot, 1), BASE);
        assert_eq!([Cell::Slot, Cell::Balance].map(|cell| newest(&store, cell, 2)), [7, 2]);
    });
}

/// The location has no chain yet. A writer above the snapshot may create it while the reader reads
/// the base value.
#[test]
fn loom_snapshot_beside_a_chain_that_is_created_above_it() {
    explore("snapshot_beside_a_new_chain", PREEMPTIONS, 600, || {
        let store = new_store(1);
        let writer = thread::spawn({
            let store = Arc::clone(&store);
            move || publish(&store, version(1, 0), Cell::Balance, Entry::Delta(5))
        });
        let other = thread::spawn({
            let store = Arc::clone(&store);
            move || read(&store, Cell::Balance, 2, BASE).1
        });
        assert_eq!(newest(&store, Cell::Balance, 1), BASE);
        writer.join().unwrap();
        let other = other.join().unwrap();
        assert!(other == BASE || other == BASE + 5, "the delta is there or not: {other}");
        assert_eq!(newest(&store, Cell::Balance, 2), BASE + 5);
    });
}

#[test]
fn loom_peek_beside_a_publication() {
    explore("peek_beside_a_publication", PREEMPTIONS, 15, || {
        let store = new_store(1);
        let writer = thread::spawn({
            let store = Arc::clone(&store);
            move || {
                publish(&store, version(1, 0), Cell::Balance, Entry::Value(2));
                publish(&store, version(0, 0), Cell::Balance, Entry::Value(1));
            }
        });
        let (above, below) = (TxIndex(2), TxIndex(1));
        let peeked = [store.peek(&Cell::Balance, above), store.peek(&Cell::Balance, below)];
        assert!(
            matches!(peeked[0], None | Some(2)),
            "a value that no transaction wrote: {peeked:?}"
        );
        assert!(matches!(peeked[1], None | Some(1)), "a value from above: {peeked:?}");
        writer.join().unwrap();
        let peeked = [above, below].map(|reader| store.peek(&Cell::Balance, reader));
        assert_eq!(peeked, [Some(2), Some(1)]);
    });
}
