//! Random sequences of operations on a store.

use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mv::{Entry, Location};
use braid_toy::store::{Amount, Op, Place, Script};
use proptest::collection::vec;
use proptest::prelude::*;

type Writes = Vec<(Place, Entry<Place>)>;

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        3 => (0..2u8).prop_map(Place::Balance),
        3 => (0..2u8, 0..2u8).prop_map(|(account, slot)| Place::Slot(account, slot)),
        2 => (0..2u8).prop_map(Place::Life),
    ]
}

/// All that can be read.
pub(super) fn places() -> impl Iterator<Item = Place> {
    let of = |account| {
        let slots = (0..2).map(move |slot| Place::Slot(account, slot));
        slots.chain([Place::Balance(account)])
    };
    (0..2).flat_map(of)
}

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![
        Just(Amount::Absent),
        Just(Amount::Empty),
        prop::sample::select(vec![0, 1, 200]).prop_map(Amount::Number),
    ]
}

fn credit() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![0, 1, 100, 200])
}

/// Mostly few transactions that meet often; sometimes enough for long folds.
fn tx() -> impl Strategy<Value = TxIndex> {
    prop_oneof![4 => 0..8u32, 1 => 0..48u32].prop_map(TxIndex)
}

fn version() -> impl Strategy<Value = Version> {
    (tx(), 0..4u32)
        .prop_map(|(tx, incarnation)| Version { tx, incarnation: Incarnation(incarnation) })
}

fn entry() -> impl Strategy<Value = Entry<Place>> {
    prop_oneof![
        2 => amount().prop_map(Entry::Value),
        3 => credit().prop_map(Entry::Delta),
        1 => Just(Entry::Tombstone),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (version(), place(), entry()).prop_map(|(v, p, e)| Op::Publish(v, p, e)),
        2 => (place(), 0..8u32, 17..36u32, credit())
            .prop_map(|(place, from, len, amount)| Op::Credits { place, from, len, amount }),
        3 => (version(), place()).prop_map(|(v, p)| Op::Withdraw(v, p)),
        3 => (version(), place()).prop_map(|(v, p)| Op::Estimate(v, p)),
        8 => (tx(), vec(place(), 1..5)).prop_map(|(tx, places)| Op::Run(tx.next(), places)),
        1 => (place(), 0..8u32).prop_map(|(place, from)| Op::Crowd { place, from }),
        3 => Just(Op::Check),
        1 => (place(), amount()).prop_map(|(place, amount)| Op::Seed(place, amount)),
        2 => prop_oneof![0..6u32, 0..48u32].prop_map(|frontier| Op::Frontier(TxIndex(frontier))),
    ]
}

/// What the transactions of a block read and write, each place at most once.
pub(super) fn in_order() -> impl Strategy<Value = Vec<(Vec<Place>, Writes)>> {
    let writes = vec((place(), entry()), 0..4).prop_map(|mut writes: Writes| {
        writes.sort_by_key(|(place, _)| *place);
        writes.dedup_by_key(|(place, _)| *place);
        // A scope holds nothing but tombstones, and nothing else does.
        writes.retain(|(place, entry)| place.is_scope() == matches!(entry, Entry::Tombstone));
        writes.sort_by_key(|(place, _)| !place.is_scope());
        writes
    });
    vec(
        (vec(place().prop_filter("scopes are not read", |place| !place.is_scope()), 0..4), writes),
        1..24,
    )
}

pub(super) fn script() -> impl Strategy<Value = Script> {
    (prop::sample::select(vec![1, 4]), vec(op(), 1..80))
        .prop_map(|(shards, ops)| Script { shards, ops })
}
