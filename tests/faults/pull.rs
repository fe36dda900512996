//! Building a block from a pool, with faults.

use crate::support::scene::{Scene, pay};
use alloy_primitives::Address;
use braid_blocks::faulty::Fault;
use braid_blocks::hooked::Read;
use braid_evm::{
    BlockErrorKind, BlockPosition, Cloned, Mode, Outcome, Policy, Rejection, TransactionPool,
};
use braid_testkit::generate::Case;
use braid_testkit::lineup::{SETTINGS, executor};
use braid_testkit::oracle::Expected;
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// A pool that hands out its transactions in order, and drops those after a rejected one of the
/// same sender.
#[derive(Debug)]
struct Queue {
    waiting: VecDeque<TxEnv>,
    dropped: BTreeSet<Address>,
    rooms: Vec<u64>,
    skipped: Vec<(Address, u64)>,
}

impl Queue {
    fn new(transactions: Vec<TxEnv>) -> Self {
        let (dropped, rooms, skipped) = Default::default();
        Self { waiting: transactions.into(), dropped, rooms, skipped }
    }
}

impl TransactionPool for Queue {
    fn next(&mut self, gas_left: u64) -> Option<TxEnv> {
        self.rooms.push(gas_left);
        loop {
            let tx = self.waiting.pop_front()?;
            if !self.dropped.contains(&tx.caller) {
                return Some(tx);
            }
        }
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        self.skipped.push((tx.caller, tx.nonce));
        if matches!(reason, Rejection::Invalid(_)) {
            self.dropped.insert(tx.caller);
        }
    }
}

/// Returns 900 transfers of nine senders; those of the third sender have a nonce gap half-way.
fn scene() -> (Scene, Queue) {
    let mut scene = Scene::on(SpecId::OSAKA);
    let senders: [Address; 9] = scene.senders();
    for index in 0..900 {
        let sender = senders[index % 9];
        if sender == senders[2] && index == 452 {
            let nonce = scene.nonce(sender);
            scene.set_nonce(sender, nonce + 1);
        }
        let to = senders[(index + 4) % 9];
        scene.send(sender, TxEnv { gas_limit: 25_000, ..pay(to, 1) });
    }
    let queue = Queue::new(core::mem::take(&mut scene.block.transactions));
    (scene, queue)
}

#[test]
fn a_pool_is_pulled_until_it_is_empty() {
    let mut first = None;
    for (workers, policy) in SETTINGS {
        let (scene, mut queue) = scene();
        let mut executor = executor(workers, policy, Mode::Validate);
        let source = Cloned(scene.database());
        let built =
            executor.block(scene.block.clone()).state(source).build(&mut queue).expect("built");
        // The result equals building from the list of the same transactions.
        let expected = Expected::new(&built.block, Mode::Build, &scene.database());
        let output = built.output;
        let compared = expected.compare(&Ok(output.clone()));
        compared.unwrap_or_else(|text| panic!("{workers} workers: {text}"));
        let skipped = output
            .outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Skipped(Rejection::Invalid(_))));
        assert_eq!(skipped.count(), queue.skipped.len());
        // Transactions are pulled in rounds: the gap is found in one, and no later transaction of
        // that sender is pulled.
        assert!(!queue.skipped.is_empty() && queue.skipped.len() < 50, "{:?}", queue.skipped);
        assert!(built.block.transactions.len() < 900);
        assert!(queue.waiting.is_empty());
        let block = Arc::unwrap_or_clone(built.block).transactions;
        let first = first.get_or_insert_with(|| (block.clone(), queue.rooms.clone()));
        assert_eq!((&first.0, &first.1), (&block, &queue.rooms), "{workers} workers");
    }
}

#[test]
fn a_full_block_asks_for_no_more() {
    for (workers, policy) in SETTINGS {
        let (mut scene, mut queue) = scene();
        scene.block.env.gas_limit = 3_000_000;
        let mut executor = executor(workers, policy, Mode::Build);
        let source = Cloned(scene.database());
        let built =
            executor.block(scene.block.clone()).state(source).build(&mut queue).expect("built");
        let expected = Expected::new(&built.block, Mode::Build, &scene.database());
        let output = built.output;
        let compared = expected.compare(&Ok(output.clone()));
        compared.unwrap_or_else(|text| panic!("{workers} workers: {text}"));
        assert!(output.gas_used <= 3_000_000);
        assert!(output.gas_used > 3_000_000 - 25_000, "{}", output.gas_used);
        assert!(!queue.waiting.is_empty());
    }
}

/// Whatever is pulled, the block equals building from that list.
#[test]
fn random_transactions_from_a_pool() {
    for (workers, policy) in SETTINGS {
        let mut executor = executor(workers, policy, Mode::Build);
        let mut built_blocks = 0;
        for seed in 0..100 {
            let case = Case::from_seed(seed);
            let mut template = case.block.clone();
            let mut queue = Queue::new(core::mem::take(&mut template.transactions));
            let source = Cloned(case.database());
            let Ok(built) = executor.block(template).state(source).build(&mut queue) else {
                continue;
            };
            let expected = Expected::new(&built.block, Mode::Build, &case.database());
            let compared = expected.compare(&Ok(built.output));
            compared.unwrap_or_else(|text| panic!("seed {seed}, {workers} workers: {text}"));
            built_blocks += 1;
        }
        assert!(built_blocks > 50, "{built_blocks}");
    }
}

/// An error in a later round names the transaction by its index in the block, and all earlier
/// rounds are kept.
#[test]
fn a_database_that_fails_in_the_third_round() {
    let last = Address::repeat_byte(0x77);
    for (workers, policy) in SETTINGS {
        let (mut scene, mut queue) = scene();
        scene.put(last, crate::support::scene::rich());
        let at = queue.waiting.len() - 20;
        queue.waiting[at] = TxEnv { caller: last, nonce: 0, ..queue.waiting[at].clone() };
        let mut executor = executor(workers, policy, Mode::Build);
        let database = Fault::At(Read::Account(last)).of(scene.database());
        let error = executor.block(scene.block.clone()).state(Cloned(database)).build(&mut queue);
        let error = error.expect_err("the sender cannot be read");
        let BlockPosition::Transaction(tx) = error.at else { panic!("{error}") };
        assert!(matches!(error.kind, BlockErrorKind::Base(_)), "{error}");
        assert!(tx.position() > 512, "{tx}");
        assert_eq!(error.committed.outcomes.len(), tx.position());
    }
}

#[test]
fn a_pool_that_has_nothing() {
    let (scene, mut queue) = scene();
    queue.waiting.clear();
    let mut executor = executor(2, Policy::Auto, Mode::Build);
    let source = Cloned(scene.database());
    let built = executor.block(scene.block.clone()).state(source).build(&mut queue).expect("built");
    assert_eq!(built.output.outcomes.len(), 0);
    assert_eq!(built.block.transactions.len(), 0);
}
