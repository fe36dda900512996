//! Corners of the store that random scripts hardly ever meet.

use braid_evm::ids::{Incarnation, TxIndex, Version, WorkerId};
use braid_evm::mutants::{Bug, seed};
use braid_evm::mv::{Entry, Latest, Origin, ReadSet, Resolution, Store};
use braid_evm::runtime::simulated::Random;
use braid_toy::store::{Amount, Place};
use core::convert::Infallible;

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

/// What is not final is in no sum that is kept (I11).
#[test]
fn a_delta_at_the_frontier_may_still_change() {
    let place = Place::Balance(0);
    for (deltas, frontier) in (18..40).flat_map(|deltas| (16..deltas).map(move |at| (deltas, at))) {
        let store = Store::new(1);
        store.seed(&place, Amount::Number(0));
        for tx in 0..deltas {
            store.publish(version(tx), &place, Entry::Delta(1), &mut Vec::new());
        }
        store.set_frontier(TxIndex(frontier));
        let before = seen(&store, &place, deltas).1;
        let again = Version { incarnation: Incarnation(1), ..version(frontier) };
        store.publish(again, &place, Entry::Delta(6), &mut Vec::new());
        let after = seen(&store, &place, deltas).1;
        assert_ne!(after, before, "{deltas} deltas, the one at {frontier} changes");
    }
}

/// Transactions that mostly read and write, and the writer that the next read waits for.
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
    assert_eq!((ahead(0), ahead(1)), (None, None), "it was never written");
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
fn a_store_that_is_emptied_keeps_its_shards_and_nothing_else() {
    let (store, place) = (Store::new(3), Place::Balance(0));
    assert_eq!(store.shards(), 4, "a power of two");
    store.seed(&place, Amount::Number(1));
    let store = store.emptied();
    assert_eq!((store.shards(), store.base(&place)), (4, None));
    // With the seeded bug it keeps all.
    store.seed(&place, Amount::Number(1));
    let _bug = seed(Bug::NotEmptied);
    let store = store.emptied();
    assert_eq!((store.shards(), store.base(&place)), (4, Some(Amount::Number(1))));
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

const PLACES: [Place; 5] =
    [Place::Slot(0, 0), Place::Slot(0, 1), Place::Slot(1, 0), Place::Balance(0), Place::Balance(1)];

/// What `place` holds before the block.
fn before(place: &Place) -> Amount {
    let at = PLACES.iter().position(|known| known == place).expect("one of the places");
    Amount::Number(u8::try_from(10 + at).expect("few places"))
}

fn seeded() -> Store<Place> {
    let store = Store::new(1);
    PLACES.iter().for_each(|place| store.seed(place, before(place)));
    store
}

fn latest_at(latest: &mut Latest<Place>, place: &Place) -> (Origin, Amount) {
    let below = || Ok::<_, Infallible>((before(place), Origin::Base));
    let Ok((amount, origin)) = latest.read(place, below);
    (origin, amount)
}

/// Who has written it last, or ended it.
fn by(origin: Origin) -> Option<TxIndex> {
    match origin {
        Origin::Base => None,
        Origin::Value(by) | Origin::Tombstone(by) | Origin::Folded(by) => Some(by.tx),
    }
}

/// What a transaction writes at random: tombstones of accounts first.
fn random_writes(random: &mut Random) -> Vec<(Place, Entry<Place>)> {
    let mut writes = Vec::new();
    for account in [0, 1] {
        if random.chance(1, 8) {
            writes.push((Place::Life(account), Entry::Tombstone));
        }
    }
    for place in PLACES {
        let amount = random.small(200);
        match random.below(9) {
            0 => writes.push((place, Entry::Value(Amount::Number(amount)))),
            1 | 2 => writes.push((place, Entry::Delta(amount))),
            3 => writes.push((place, Entry::Tombstone)),
            _ => {}
        }
    }
    writes
}

/// Where transactions run one after the other, the newest state answers as the versions do, and what it
/// hands back leaves a store as if they had been published there.
#[test]
fn the_newest_state_answers_as_versions_do() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let (store, mut latest) = (seeded(), Latest::default());
        for tx in 0..16 {
            for (place, entry) in random_writes(&mut random) {
                store.publish(version(tx), &place, entry.clone(), &mut Vec::new());
                latest.put(TxIndex(tx), place, entry);
            }
            for place in PLACES.iter().filter(|_| random.chance(1, 2)) {
                let ((from, expected), found) =
                    (seen(&store, place, tx + 1), latest_at(&mut latest, place));
                assert_eq!(found.1, expected, "seed {seed}: {place:?} after {tx}");
                assert_eq!(by(found.0), by(from), "seed {seed}: {place:?} after {tx}");
            }
        }
        // Deltas to what was never read are not handed back.
        for place in &PLACES {
            latest_at(&mut latest, place);
        }
        let handed_back = seeded();
        for (tx, place, entry) in latest.into_entries() {
            handed_back.publish(version(tx.0), &place, entry, &mut Vec::new());
        }
        for place in &PLACES {
            let (expected, found) = (seen(&store, place, 99).1, seen(&handed_back, place, 99).1);
            assert_eq!(found, expected, "seed {seed}: {place:?}");
        }
    }
}

#[test]
fn a_base_value_that_is_kept_is_not_asked_for_and_replaces_nothing() {
    let (mut latest, place) = (Latest::default(), Place::Slot(0, 0));
    let never = || -> Result<_, Infallible> { panic!("it is known") };
    assert_eq!(latest.read(&place, || Err("unreadable")), Err("unreadable"));
    latest.keep_base(place, Amount::Number(7));
    assert_eq!(latest.read(&place, never), Ok((Amount::Number(7), Origin::Base)));
    assert_eq!(latest.clone().into_entries().count(), 0, "the block has not written it");
    latest.put(TxIndex(3), place, Entry::Value(Amount::Number(8)));
    latest.keep_base(place, Amount::Number(7));
    assert_eq!(latest.read(&place, never).map(|(amount, _)| amount), Ok(Amount::Number(8)));
}

/// Looks that are not remembered: of what is final, and at what changes nothing.
#[test]
fn who_only_peeks_sees_what_is_there() {
    let (store, place, other) = (Store::new(1), Place::Slot(0, 0), Place::Slot(0, 1));
    let base = |amount| move || Ok::<_, Infallible>(Amount::Number(amount));
    assert_eq!(store.newest(&place, TxIndex(4), base(1)), Ok((Amount::Number(1), Origin::Base)));
    store.publish(version(2), &place, Entry::Value(Amount::Number(5)), &mut Vec::new());
    let five = (Amount::Number(5), Origin::Value(version(2)));
    assert_eq!(store.newest(&place, TxIndex(4), base(1)), Ok(five));
    assert_eq!(store.newest(&place, TxIndex(2), base(1)), Ok((Amount::Number(1), Origin::Base)));
    store.publish(version(3), &Place::Life(0), Entry::Tombstone, &mut Vec::new());
    for ended in [&place, &other] {
        let found = store.newest(ended, TxIndex(4), base(1)).map(|(_, from)| from);
        assert_eq!(found, Ok(Origin::Tombstone(version(3))), "{ended:?}");
    }
    let balance = Place::Balance(0);
    assert_eq!(store.peek(&balance, TxIndex(4)), None);
    store.publish(version(1), &balance, Entry::Value(Amount::Number(9)), &mut Vec::new());
    assert_eq!(store.peek(&balance, TxIndex(4)), Some(Amount::Number(9)));
    assert_eq!(store.peek(&balance, TxIndex(1)), None);
    store.seed(&balance, Amount::Number(2));
    assert_eq!(store.peek(&balance, TxIndex(1)), Some(Amount::Number(2)));
    store.mark_estimate(version(1), &balance);
    assert_eq!(store.peek(&balance, TxIndex(4)), None);
}

#[test]
fn a_read_set_knows_what_it_has_seen_and_nothing_else() {
    let (store, mut reads) = (Store::new(1), ReadSet::default());
    let place = |at: u8| Place::Slot(at / 8, at % 8);
    for at in 0..40 {
        store.seed(&place(at), Amount::Number(at));
        let Resolution::Resolved(seen) = store.resolve(&place(at), TxIndex(1)) else {
            panic!("it was seeded")
        };
        reads.push(place(at), seen);
        for known in 0..=at {
            let seen = reads.seen(store.hash(&place(known)), &place(known));
            let seen = seen.map(|seen| seen.value);
            assert_eq!(seen, Some(Amount::Number(known)), "{known} of {at}");
        }
        let next = place(at + 1);
        assert!(reads.seen(store.hash(&next), &next).is_none());
        assert!(reads.seen(store.hash(&place(at)), &next).is_none(), "only the hash is right");
        assert!(reads.seen(store.hash(&next), &place(at)).is_none(), "only the place is right");
    }
    reads.clear();
    assert!(reads.records().is_empty());
    assert!((0..40).all(|at| reads.seen(store.hash(&place(at)), &place(at)).is_none()));
    for at in (0..40).rev() {
        let Resolution::Resolved(seen) = store.resolve(&place(at), TxIndex(1)) else {
            panic!("it was seeded")
        };
        reads.push(place(at), seen);
        let seen = reads.seen(store.hash(&place(at)), &place(at)).map(|seen| seen.value);
        assert_eq!(seen, Some(Amount::Number(at)), "the same memory, other reads");
    }
}
