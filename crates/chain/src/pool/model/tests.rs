//! Draws calls of the pool from seeds, and tries single cases.

use super::*;
use crate::mutants::{Bug, with_bug};
use proptest::{
    collection,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

fn short() -> impl Strategy<Value = Short> {
    let (input, gas) = (prop_oneof![Just(0), Just(2_000)], 0_u64..4);
    (0..SENDERS, 0_u64..6, 1_u128..30, 1_u128..30, gas, 0_u64..3, input).prop_map(
        |(sender, nonce, max_fee, tip, gas, value, input)| Short {
            sender,
            nonce,
            max_fee,
            tip,
            gas,
            value,
            input,
        },
    )
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    // Three of four accounts can pay for all their transactions.
    let balance = prop_oneof![3 => Just(1_000_u64), 1 => 0_u64..300];
    let account = (0_u64..4, balance);
    let add = (short(), account.clone(), prop::bool::weighted(0.05));
    let changed = collection::btree_map(0..SENDERS, account, 0..3);
    let act = prop_oneof![
        8 => add.prop_map(|(tx, account, is_old)| Act::Add(tx, account, is_old)),
        1 => Just(Act::Begin),
        5 => (0_u64..3, prop::bool::weighted(0.2), prop::option::weighted(0.2, any::<bool>()))
            .prop_map(|(less, more, left_out)| Act::Next(less, more, left_out)),
        1 => (0..SENDERS, 0_u64..6).prop_map(|(sender, nonce)| Act::Remove(sender, nonce)),
        1 => (1_u128..20, changed).prop_map(|(base_fee, changed)| Act::Applied(base_fee, changed)),
    ];
    collection::vec(act, 1..40)
}

fn runner(cases: u32) -> TestRunner {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

proptest! {
    #[test]
    fn a_pool_answers_as_a_plain_list_does(acts in acts()) {
        try_all(&acts).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn seeded_bugs_are_noticed() {
    for bug in Bug::POOL {
        let ran = with_bug(Some(bug), || {
            let try_all = |acts: Vec<Act>| try_all(&acts).map_err(TestCaseError::fail);
            runner(4_000).run(&acts(), try_all)
        });
        assert!(ran.is_err(), "{bug:?} is not noticed");
    }
}

/// A transaction of the first sender with this nonce.
fn short_at(nonce: u64) -> Arc<PoolTransaction> {
    Short { sender: 0, nonce, max_fee: 9, tip: 9, gas: 0, value: 0, input: 0 }.transaction()
}

/// Adds a transaction of a sender with sufficient balance.
fn add(pool: &mut Queues, sender: u8, nonce: u64, (max_fee, tip): (u128, u128)) {
    let tx = Short { sender, nonce, max_fee, tip, gas: 0, value: 0, input: 0 }.transaction();
    pool.add(tx, account((0, 1_000)), 1).expect("room");
}

/// A transaction of the block is evicted and added again: it must not be handed out twice.
#[test]
fn what_a_block_has_is_not_handed_out_again() {
    let mut pool = Queues::new(limits(), 1, 0);
    let next = |pool: &mut Queues| pool.next(500_000).map(|tx| (tx.sender(), tx.nonce()));
    add(&mut pool, 0, 0, (1, 1));
    pool.begin();
    assert_eq!(next(&mut pool), Some((address(0), 0)));
    for (sender, nonce) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)] {
        add(&mut pool, sender, nonce, (20, 20));
    }
    assert_eq!(pool.next_nonce(&address(0)), None, "it gave way");
    (0..2).for_each(|nonce| add(&mut pool, 0, nonce, (29, 29)));
    assert_eq!(next(&mut pool), Some((address(0), 1)));
    // The next block has neither transaction. A search that finds nothing that fits removes nothing
    // from the order.
    pool.begin();
    let ready = pool.status().ready;
    assert!(ready > 0 && pool.next(1).is_none() && pool.status().ready == ready);
    assert_eq!(next(&mut pool), Some((address(0), 0)));
}

/// A sender is full if none of its next nonces is missing: after an unwound block, a queue may hold
/// as many transactions as a sender may have, and lack the first one.
#[test]
fn a_queue_that_lacks_its_first_nonce_is_not_full() {
    let mut pool = Queues::new(limits(), 1, 0);
    pool.add(short_at(2), account((2, 1_000)), 1).expect("room");
    (3..6).for_each(|nonce| add(&mut pool, 0, nonce, (9, 9)));
    let full = pool.would_add(&short_at(6), account((2, 1_000)), 1);
    assert!(matches!(full, Err(PoolError::SenderFull { .. })), "{full:?}");
    pool.applied(2, 0, [(address(0), account((0, 1_000)))]);
    let high = pool.would_add(&short_at(6), account((0, 1_000)), 2);
    assert!(matches!(high, Err(PoolError::NonceHigh { found: 6, next: 0, .. })), "{high:?}");
}

/// Transactions that pay more than others, but less than the base fee, fill a pool and are evicted.
#[test]
fn what_no_block_can_have_gives_way() {
    let mut pool = Queues::new(limits(), 1, 10);
    for nonce in 0..3 {
        // The sender's other transactions wait for its first one.
        add(&mut pool, 0, nonce, (9, 9));
        add(&mut pool, 1, nonce, (if nonce == 0 { 9 } else { 29 }, 9));
    }
    (0..4).for_each(|nonce| add(&mut pool, 2, nonce, (11, 1)));
    assert_eq!(pool.next_nonce(&address(2)), Some(4));
    assert_eq!(pool.status().transactions, limits().max_transactions);
}
