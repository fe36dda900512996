//! Blocks on the bundle of unwritten blocks, with enough transactions to share the end of the
//! block.

use super::parts::receiver;
use crate::support::scene::{Scene, call, create, pay};
use alloy_primitives::{Address, U256};
use braid_blocks::code::{Code, deploying};
use braid_evm::{CancellationToken, Forced, Mode, Policy, Rejection, TransactionPool};
use braid_testkit::lineup::listing;
use braid_testkit::plain::{self, Own};
use revm::bytecode::opcode::{CALLDATALOAD, SSTORE};
use revm::context::TxEnv;
use revm::database::BundleState;
use revm::primitives::hardfork::SpecId;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of transactions in a block.
const EACH: u64 = 132;

/// Workers and policies that cover every way of building a bundle.
const WAYS: [(u16, Policy); 7] = [
    (1, Policy::Sequential),
    (2, Policy::Sequential),
    (2, Policy::Auto),
    (3, Policy::Forced(Forced::Speculative)),
    (8, Policy::Forced(Forced::Speculative)),
    (2, Policy::Forced(Forced::ContiguousBatches)),
    (3, Policy::Forced(Forced::ContiguousBatches)),
];

/// Fills the block of `round`: it changes some slots and accounts that earlier rounds have changed,
/// and others.
fn fill(scene: &mut Scene, senders: &[Address], [writer, counter]: [Address; 2], round: u64) {
    scene.block.transactions.clear();
    for (index, &sender) in (0..).zip(senders) {
        let tx = match index % 4 {
            0 => {
                let words = [index + 40 * round, 1 + round].map(U256::from);
                let data = words.map(|word| word.to_be_bytes::<32>()).concat();
                TxEnv { data: data.into(), ..call(writer) }
            }
            1 => pay(receiver(index + 40 * round), 1),
            2 if index < 30 => create(deploying(Code::new().sstore(index, round + 1))),
            _ => call(counter),
        };
        scene.send(sender, tx);
    }
}

/// Returns a scene, its contracts, and the senders of each block.
fn scene(spec: SpecId) -> (Scene, [Address; 2], Vec<Address>) {
    let mut scene = Scene::on(spec);
    scene.block.env.gas_limit = 1_000_000_000;
    let code = Code::new().push(32).op(CALLDATALOAD).push(0).op(CALLDATALOAD).op(SSTORE);
    let contracts = [scene.contract(0, code), scene.contract(1, Code::new().increment(0, 1))];
    let senders = (0..EACH).map(|index| scene.sender(index)).collect();
    (scene, contracts, senders)
}

#[test]
pub(crate) fn what_a_block_does_not_change_stays_as_its_parent_left_it() {
    for spec in [SpecId::HOMESTEAD, SpecId::LONDON, SpecId::OSAKA] {
        let (mut scene, contracts, senders) = scene(spec);
        let mut below = BundleState::default();
        for round in 0..3 {
            fill(&mut scene, &senders, contracts, round);
            let (block, database) = (plain::bare(&scene.block), scene.database());
            let own = Own { parent: Some(below.clone()), ..Own::default() };
            let expected = plain::build(&block, &database, &own);
            assert_eq!(expected.receipts.len() as u64, EACH, "{spec:?}");
            for (workers, policy) in WAYS {
                let mut executor = listing(workers, policy, Mode::Validate);
                let found = executor
                    .block(block.clone())
                    .database(database.clone())
                    .parent(below.clone())
                    .execute();
                plain::compare(&expected, &found).unwrap_or_else(|wrong| {
                    panic!("{spec:?}, round {round}, {workers} workers, {policy:?}: {wrong}")
                });
            }
            below = expected.bundle;
        }
        let slots = &below.account(&contracts[0]).expect("it has changed").storage;
        assert_eq!(slots[&U256::from(0)].present_value, U256::from(1), "of the first round");
        assert_eq!(slots[&U256::from(40)].present_value, U256::from(2), "of two rounds");
        assert_eq!(below.reverts.len(), 3);
    }
}

/// Hands out transactions in order.
struct Queue(VecDeque<TxEnv>);

impl TransactionPool for Queue {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        self.0.pop_front()
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        panic!("{tx:?} is left out: {reason:?}");
    }
}

/// Every combination of a parent, a stream of commits, a token, and building gives the result of
/// plain revm, and each of them has its effect.
#[test]
fn a_request_may_combine_everything() {
    let (mut scene, contracts, senders) = scene(SpecId::OSAKA);
    fill(&mut scene, &senders, contracts, 0);
    let first = plain::bare(&scene.block);
    fill(&mut scene, &senders, contracts, 1);
    let second = plain::bare(&scene.block);
    let database = scene.database();
    let alone = plain::build(&first, &database, &Own::default());
    let own = Own { parent: Some(alone.bundle.clone()), ..Own::default() };
    let upon = plain::build(&second, &database, &own);
    for (workers, policy) in WAYS {
        for combination in 0..16 {
            let [has_parent, streams, has_token, builds] =
                [1, 2, 4, 8].map(|bit| combination & bit != 0);
            let (mut block, expected) = match has_parent {
                true => (second.clone(), &upon),
                false => (first.clone(), &alone),
            };
            let (committed, asked) = (Cell::new(0), Arc::new(AtomicU64::new(0)));
            let mut queue = Queue(VecDeque::new());
            if builds {
                queue.0 = core::mem::take(&mut block.transactions).into();
            }
            let mut executor = listing(workers, policy, Mode::Validate);
            let mut request = executor.block(block).database(database.clone());
            if has_parent {
                request = request.parent(alone.bundle.clone());
            }
            if streams {
                request = request.on_commit(|_| {
                    committed.set(committed.get() + 1);
                    ControlFlow::Continue(())
                });
            }
            if has_token {
                let asked = Arc::clone(&asked);
                request = request.cancel(CancellationToken::when(move || {
                    asked.fetch_add(1, Ordering::Relaxed);
                    false
                }));
            }
            let found = match builds {
                true => request.build(&mut queue).map(|built| built.output),
                false => request.execute(),
            };
            let what = format!("{combination:04b}, {workers} workers, {policy:?}");
            plain::compare(expected, &found).unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
            assert_eq!(committed.get(), if streams { EACH } else { 0 }, "{what}");
            assert_eq!(asked.load(Ordering::Relaxed) > 0, has_token, "{what}");
            assert!(queue.0.is_empty(), "{what}");
        }
    }
}
