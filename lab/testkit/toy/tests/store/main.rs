//! Properties of the store, against an ordered map, on one thread.
//!
//! 1. [`Property::Resolution`] (I6, I11): every read finds what walking through the block from
//!    its start finds: the same value from the same entry, or the same estimate. Scopes,
//!    tombstones, folds with checkpoints and dropped overflows included; absent, empty and zero
//!    are three values.
//! 2. [`Property::Base`] (I5): the base value is asked for only while it is unknown, and the
//!    first one stays.
//! 3. [`Property::Incarnations`] (I7): a publication, a withdrawal or an estimate of an older
//!    incarnation changes nothing where an entry of a newer one lies. Nothing is claimed for a
//!    place that the newer one has withdrawn: no two incarnations of one transaction run at once.
//! 4. [`Property::Current`]: the hint says yes exactly if every read still resolves to the same
//!    version (folds: to an equal value). So an unchanged stamp never lies.
//! 5. [`Property::Validation`] (I3): the verdict says yes exactly if every read still resolves
//!    to an exactly equal value. Both say no, at worst, if a base value is needed and unknown.
//! 6. [`Property::Hints`]: a publication or withdrawal names every reader at or above the
//!    frontier for which it changes what it saw when it looked last, and no reader at or below the
//!    writer. An estimate names no reader: what replaces it does. The first publication at any
//!    scope of the block names no reader of what lies in scopes: until then none registers there,
//!    and the worker that publishes there names all transactions above.
//! 7. A read set finds exactly what was put into it.
//! 8. `Latest` over a store answers as one store does a reader above all that was published, if
//!    transactions come in order; and so does that store when it gets what was put there.

mod script;

use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mutants::{Bug, seed};
use braid_evm::mv::{Latest, Origin, ReadSet, Resolution, Store};
use braid_toy::store::{Amount, Place, Property};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};

/// Runs scripts until one breaks `property`; returns how, after shrinking.
fn falsify(mut runner: TestRunner, property: Property) -> Option<String> {
    let result =
        runner.run(&script::script(), |script| script.run(property).map_err(TestCaseError::fail));
    match result {
        Ok(()) => None,
        Err(TestError::Fail(reason, script)) => Some(format!("{reason}\n{script:#?}")),
        Err(TestError::Abort(reason)) => panic!("no script was judged: {reason}"),
    }
}

fn holds(property: Property) {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if let Some(broken) = falsify(TestRunner::new(config), property) {
        panic!("{property:?} is broken: {broken}");
    }
}

#[test]
fn resolution_equals_a_walk_through_the_block() {
    holds(Property::Resolution);
}

#[test]
fn a_location_has_one_base_value() {
    holds(Property::Base);
}

#[test]
fn a_late_older_incarnation_changes_nothing() {
    holds(Property::Incarnations);
}

#[test]
fn a_current_read_resolves_to_the_same_version() {
    holds(Property::Current);
}

#[test]
fn a_valid_read_resolves_to_an_equal_value() {
    holds(Property::Validation);
}

#[test]
fn every_reader_of_a_change_is_named() {
    holds(Property::Hints);
}

proptest! {
    #[test]
    fn a_read_set_finds_what_was_put_into_it(
        slots in prop::collection::hash_set(any::<u8>(), 0..60),
    ) {
        let store = Store::<Place>::new(1);
        let mut reads = ReadSet::default();
        for &slot in &slots {
            let place = Place::Slot(0, slot);
            store.seed(&place, Amount::Number(slot));
            let Resolution::Resolved(seen) = store.resolve(&place, TxIndex(0)) else {
                panic!("the base value is known");
            };
            reads.push(place, seen);
        }
        for slot in 0..=u8::MAX {
            let expected = slots.contains(&slot).then_some(Amount::Number(slot));
            let place = Place::Slot(0, slot);
            let found = reads.seen(store.hash(&place), &place).map(|seen| seen.value);
            prop_assert_eq!(found, expected);
        }
        prop_assert_eq!(reads.records().len(), slots.len());
        reads.clear();
        let place = Place::Slot(0, 0);
        prop_assert_eq!(reads.seen(store.hash(&place), &place), None);
    }
}

proptest! {
    #[test]
    fn one_version_is_enough_in_order(
        steps in script::in_order(),
        turn in 1..6_usize,
        starts_alone in any::<bool>(),
    ) {
        // Turns of the one kind and of the other, over what is below them.
        let all = Store::<Place>::new(2);
        let under = Store::<Place>::new(2);
        let mut latest: Option<(Latest<Place>, TxIndex)> = None;
        let base = Amount::Number(7);
        let resolve = |store: &Store<Place>, place: &Place, tx| {
            let seen = match store.resolve(place, tx) {
                Resolution::NeedsBase(chain) => store.supply_base(chain, place, tx, base),
                seen => seen,
            };
            let Resolution::Resolved(seen) = seen else {
                panic!("{place:?}: there are no estimates");
            };
            (seen.value, seen.origin)
        };
        for (at, (reads, writes)) in steps.into_iter().enumerate() {
            let tx = TxIndex(u32::try_from(at).expect("a short script"));
            if at % turn == 0 {
                let is_alone = (at / turn % 2 == 0) == starts_alone;
                let before = latest.take();
                if let Some((mut latest, first)) = before {
                    for place in script::places() {
                        let below = || under.newest(&place, first, || Ok::<_, ()>(base));
                        latest.read(&place, below).expect("no error");
                    }
                    for (tx, place, entry) in latest.into_entries() {
                        let version = Version { tx, incarnation: Incarnation(0) };
                        under.publish(version, &place, entry, &mut Vec::new());
                    }
                }
                latest = is_alone.then(|| (Latest::default(), tx));
            }
            for place in reads {
                let expected = resolve(&all, &place, tx);
                let (value, origin) = match &mut latest {
                    None => resolve(&under, &place, tx),
                    Some((latest, first)) => {
                        let below = || under.newest(&place, *first, || Ok::<_, ()>(base));
                        latest.read(&place, below).expect("no error")
                    }
                };
                prop_assert_eq!(value, expected.0);
                // That of a fold differs: it is one value here.
                let is_base = |origin| matches!(origin, Origin::Base);
                prop_assert_eq!(is_base(origin), is_base(expected.1), "{:?}", place);
            }
            for (place, entry) in writes {
                let version = Version { tx, incarnation: Incarnation(0) };
                all.publish(version, &place, entry.clone(), &mut Vec::new());
                match &mut latest {
                    None => under.publish(version, &place, entry, &mut Vec::new()),
                    Some((latest, _)) => latest.put(tx, place, entry),
                }
            }
        }
    }
}

/// Each seeded bug breaks the property that docs/data/seeded_bugs.tsv says will notice it.
#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn every_mutant_breaks_its_property() {
    use proptest::test_runner::{RngAlgorithm, TestRng};

    let properties = [
        Property::Resolution,
        Property::Base,
        Property::Incarnations,
        Property::Current,
        Property::Validation,
        Property::Hints,
    ];
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/data/seeded_bugs.tsv");
    let table = std::fs::read_to_string(table).expect("the table is there");
    let mut judged = 0;
    for property in properties {
        let said = format!("property `{property:?}`");
        for row in table.lines().filter(|line| line.contains(&said)) {
            let named = |bug: &&Bug| row.contains(&format!("`{bug:?}`"));
            let bug = *Bug::STORE.iter().find(named).expect(row);
            let runner = || {
                let config = ProptestConfig { failure_persistence: None, ..Default::default() };
                TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
            };
            let seeded = seed(bug);
            assert!(falsify(runner(), property).is_some(), "{bug:?} keeps {property:?}");
            drop(seeded);
            let broken = falsify(runner(), property);
            assert_eq!(broken, None, "the shipped store breaks {property:?}");
            judged += 1;
        }
    }
    assert!(judged >= 14, "only {judged} rows name a property");
}
