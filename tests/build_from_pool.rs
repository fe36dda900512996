//! Building from a pool gives the same block as sequential building from the same transactions, on
//! any number of workers, and reports skipped transactions to the pool.

use crate::support::scene::{Scene, call, pay};
use alloy_primitives::{Address, U256};
use braid_blocks::sequential::{OnInvalid, Prepared};
use braid_evm::{Cloned, Config, Executor, Forced, Outcome, Policy, Rejection, TransactionPool};
use core::num::NonZeroU16;
use revm::context::TxEnv;
use revm::context::result::InvalidTransaction;
use revm::primitives::hardfork::SpecId;
use std::collections::{BTreeSet, VecDeque};

/// Hands out transactions in order, except later ones of a sender with an invalid transaction.
#[derive(Clone, Default)]
struct Pool {
    waiting: VecDeque<TxEnv>,
    given_up: BTreeSet<Address>,
    skipped: Vec<(Address, u64)>,
    gas_left: Vec<u64>,
}

impl TransactionPool for Pool {
    fn next(&mut self, gas_left: u64) -> Option<TxEnv> {
        self.gas_left.push(gas_left);
        loop {
            let tx = self.waiting.pop_front()?;
            if !self.given_up.contains(&tx.caller) {
                return Some(tx);
            }
        }
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        self.skipped.push((tx.caller, tx.nonce));
        if matches!(reason, Rejection::Invalid(_)) {
            self.given_up.insert(tx.caller);
        }
    }
}

/// Returns 900 transfers of 30 senders; sender 7 skips a nonce at its tenth transfer.
fn offers() -> (Scene, Vec<Address>, Pool) {
    let mut scene = Scene::on(SpecId::OSAKA);
    let senders: Vec<Address> = (0..30).map(|index| scene.sender(index)).collect();
    let mut pool = Pool::default();
    for round in 0..30_u64 {
        for (index, sender) in senders.iter().enumerate() {
            let gap = u64::from(index == 7 && round >= 9);
            let to = senders[(index + 1 + round as usize) % senders.len()];
            let tx = TxEnv { caller: *sender, nonce: round + gap, ..pay(to, 5) };
            pool.waiting.push_back(TxEnv { gas_limit: 21_000, ..tx });
        }
    }
    (scene, senders, pool)
}

#[track_caller]
fn check(scene: &Scene, pool: &Pool) -> (Vec<Outcome>, Pool) {
    let mut results = Vec::new();
    for workers in [1, 2, 3, 8] {
        for policy in [Policy::Forced(Forced::Speculative), Policy::Auto, Policy::Sequential] {
            let mut config = Config::with_workers(NonZeroU16::new(workers).unwrap());
            (config.policy, config.access_list) = (policy, true);
            let mut executor = Executor::new(config).unwrap();
            let mut pool = pool.clone();
            let source = Cloned(scene.database());
            let built = executor.block(scene.block.clone()).state(source).build(&mut pool).unwrap();
            let expected = Prepared::new(&(&*built.block).into()).with_access_lists();
            let expected = expected.run(scene.database(), OnInvalid::Skip).unwrap();
            let differences = braid_blocks::compare::braid::outputs(&expected, &built.output);
            assert!(differences.is_empty(), "{workers} workers: {:?}", differences.lines());
            assert_eq!(built.output.stats.transactions, built.block.transactions.len() as u64);
            results.push((built.block.transactions.clone(), built.output.outcomes, pool));
        }
    }
    let (block, outcomes, pool) = results.pop().unwrap();
    for (other, _, heard) in &results {
        assert_eq!(*other, block, "the block depends on the workers");
        assert_eq!(heard.skipped, pool.skipped);
        assert_eq!(heard.gas_left, pool.gas_left);
    }
    (outcomes, pool)
}

#[test]
fn the_rest_of_a_sender_is_dropped_when_the_pool_hears_of_it() {
    let (scene, senders, pool) = offers();
    let (outcomes, pool) = check(&scene, &pool);
    // Transaction 9 of sender 7 is the 277th, in the second round of 256. The sender's other
    // transactions in that round were pulled before the pool learned of the first skip.
    let skipped: Vec<u64> = (10..18).collect();
    assert_eq!(pool.skipped.iter().map(|(_, nonce)| *nonce).collect::<Vec<_>>(), skipped);
    assert!(pool.skipped.iter().all(|(sender, _)| *sender == senders[7]));
    let is_skipped = |outcome: &&Outcome| matches!(outcome, Outcome::Skipped(_));
    assert_eq!(outcomes.iter().filter(is_skipped).count(), skipped.len());
    let first = outcomes.iter().find(is_skipped);
    let gap = InvalidTransaction::NonceTooHigh { tx: 10, state: 9 };
    assert_eq!(first, Some(&Outcome::Skipped(Rejection::Invalid(gap))));
}

#[test]
fn a_full_block_asks_for_no_more() {
    let (mut scene, _, pool) = offers();
    scene.block.env.gas_limit = 21_000 * 600 + 20_999;
    let (outcomes, pool) = check(&scene, &pool);
    let executed = outcomes.iter().filter(|o| matches!(o, Outcome::Executed(_))).count();
    assert_eq!(executed, 600);
    assert!(!pool.waiting.is_empty(), "the pool had more");
    assert!(pool.gas_left.iter().all(|left| *left >= 21_000));
}

/// Unused gas of a limit is available to the next round.
#[test]
fn gas_that_was_not_used_is_offered_again() {
    let (mut scene, senders, _) = offers();
    scene.block.env.gas_limit = 2_000_000;
    let mut pool = Pool::default();
    for (nonce, index) in (0..10).flat_map(|nonce| (0..30).map(move |index| (nonce, index))) {
        let tx = TxEnv { caller: senders[index], nonce, value: U256::ONE, ..call(senders[0]) };
        pool.waiting.push_back(TxEnv { gas_limit: 500_000, ..tx });
    }
    let (outcomes, pool) = check(&scene, &pool);
    let rooms: Vec<u64> = pool.gas_left.iter().copied().take(5).collect();
    assert_eq!(rooms, [2_000_000, 1_500_000, 1_000_000, 500_000, 2_000_000 - 4 * 21_000]);
    // Building ends when a single gas limit does not fit.
    assert!(outcomes.len() > 60, "{}", outcomes.len());
}

#[test]
fn a_template_may_bring_transactions_and_a_pool_may_be_empty() {
    let (mut scene, senders, _) = offers();
    scene.send(senders[0], pay(senders[1], 3));
    scene.send(senders[1], pay(senders[0], 3));
    let (outcomes, pool) = check(&scene, &Pool::default());
    assert_eq!(outcomes.len(), 2);
    assert_eq!(pool.gas_left.len(), 2, "asked once before the round and once after it");
}

/// An error of the block environment affects every transaction, so none is skipped for it.
#[test]
fn a_block_environment_that_lacks_something_is_an_error_in_build_mode_too() {
    let (mut scene, _, mut pool) = offers();
    scene.block.env.prevrandao = None;
    let mut executor = Executor::new(Config::with_workers(NonZeroU16::new(2).unwrap())).unwrap();
    let source = Cloned(scene.database());
    let error = executor.block(scene.block.clone()).state(source).build(&mut pool).unwrap_err();
    assert_eq!(error.at, braid_evm::BlockPosition::Transaction(braid_evm::TxIndex(0)));
    let invalid: braid_evm::BlockErrorKind<core::convert::Infallible> =
        braid_evm::BlockErrorKind::Invalid(Rejection::Header(
            revm::context::result::InvalidHeader::PrevrandaoNotSet,
        ));
    assert_eq!(error.kind.to_string(), invalid.to_string());
    assert_eq!(pool.skipped, []);
}
