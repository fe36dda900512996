//! Corners of the store that random scripts hardly ever meet.

use braid_evm::ids::{Incarnation, TxIndex, Version, WorkerId};
use braid_evm::mv::{Entry, Origin, Resolution, Store};
use braid_evm::toy::store::{Amount, Place};

fn version(tx: u32) -> Version {
    Version { tx: TxIndex(tx), incarnation: Incarnation(0) }
}

fn seen(store: &Store<Place>, place: &Place, reader: u32) -> (Origin, Amount) {
    match store.resolve(place, TxIndex(reader)) {
        Resolution::Resolved(seen) => (seen.origin, seen.value),
        other => panic!("nothing to see: {other:?}"),
    }
}

/// A sum that is kept belongs to the life that it was made in (I11).
#[test]
fn a_kept_sum_ends_with_the_life_of_its_account() {
    let (store, slot, life) = (Store::new(1), Place::Slot(0, 0), Place::Life(0));
    let mut stale = Vec::new();
    store.seed(&slot, Amount::Number(1));
    store.publish(version(0), &life, Entry::Tombstone, &mut stale);
    for tx in 1..40 {
        store.publish(version(tx), &slot, Entry::Delta(1), &mut stale);
    }
    store.set_frontier(TxIndex(40));
    assert_eq!(seen(&store, &slot, 40).1, Amount::Number(39));
    store.publish(version(41), &life, Entry::Tombstone, &mut stale);
    store.publish(version(42), &slot, Entry::Delta(2), &mut stale);
    assert_eq!(seen(&store, &slot, 43), (Origin::Folded(version(42)), Amount::Number(2)));
    assert_eq!(seen(&store, &slot, 41).1, Amount::Number(39));
}

/// Transactions of which most read and write, and who is waited for at the next read.
#[test]
fn who_will_probably_write_is_waited_for() {
    let (store, place) = (Store::new(1).with_workers(2), Place::Balance(0));
    store.seed(&place, Amount::Number(0));
    let ahead = |tx| match store.resolve_ahead(store.hash(&place), &place, TxIndex(tx)) {
        Resolution::Resolved(_) => None,
        Resolution::Blocked(on) => Some(on.0),
        Resolution::NeedsBase(_) => panic!("it was seeded"),
    };
    let publish = |tx, amount| {
        let entry = Entry::Value(Amount::Number(amount));
        store.publish(version(tx), &place, entry, &mut Vec::new());
    };
    let run = |tx: Option<u32>| store.set_running(WorkerId(0), tx.map(TxIndex));
    run(Some(0));
    assert_eq!((ahead(0), ahead(1)), (None, None), "nobody has ever written it");
    publish(0, 1);
    publish(1, 2);
    run(Some(2));
    assert_eq!(ahead(3), None, "who has not read it may never touch it");
    assert_eq!((ahead(2), ahead(3)), (None, Some(2)));
    assert_eq!(ahead(1), None, "it is higher");
    assert_eq!(seen(&store, &place, 3).0, Origin::Value(version(1)), "who asks for what is there");
    run(None);
    assert_eq!(ahead(3), None, "it has ended and has not written");
    run(Some(2));
    assert_eq!(ahead(3), Some(2));
    for reader in 5..9 {
        seen(&store, &place, reader);
    }
    assert_eq!(ahead(3), None, "most have not written by now");
}

#[test]
fn what_a_version_publishes_last_counts() {
    let (store, place) = (Store::new(1), Place::Balance(0));
    for amount in [1, 2] {
        let entry = Entry::Value(Amount::Number(amount));
        store.publish(version(0), &place, entry, &mut Vec::new());
    }
    assert_eq!(seen(&store, &place, 1).1, Amount::Number(2));
}

#[test]
fn what_is_below_the_frontier_is_final() {
    let store = Store::<Place>::new(1);
    store.set_frontier(TxIndex(3));
    let is_final = [0, 3, 4].map(|reader| store.is_final_below(TxIndex(reader)));
    assert_eq!(is_final, [true, true, false]);
}

#[test]
fn a_second_base_value_is_not_taken() {
    let (store, place) = (Store::new(1), Place::Balance(0));
    assert_eq!(store.base(&place), None);
    for amount in [1, 2] {
        store.seed(&place, Amount::Number(amount));
    }
    assert_eq!(store.base(&place), Some(Amount::Number(1)));
}
