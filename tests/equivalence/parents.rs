//! A block on the bundle of blocks that are not written yet, with enough transactions to share out its end.

use super::parts::receiver;
use crate::support::scene::{SEEDED, Scene, call, create, pay};
use alloy_primitives::{Address, U256};
use braid_evm::{Forced, Mode, Policy};
use braid_testkit::code::{Code, deploying};
use braid_testkit::lineup::listing;
use braid_testkit::plain::{self, Own};
use revm::bytecode::opcode::{CALLDATALOAD, SSTORE};
use revm::context::TxEnv;
use revm::database::BundleState;
use revm::primitives::hardfork::SpecId;

/// Transactions of a block.
const EACH: u64 = 132;

/// Workers and policies: every way in which a bundle is made.
const WAYS: [(u16, Policy); 8] = [
    (1, Policy::InOrder),
    (2, Policy::InOrder),
    (2, Policy::Auto),
    (3, Policy::Forced(Forced::Speculative)),
    (8, Policy::Forced(Forced::Speculative)),
    (2, Policy::Forced(Forced::Neighbours)),
    (2, Policy::Forced(Forced::Groups)),
    (3, Policy::Forced(Forced::Groups)),
];

/// A block of `round`: it changes some of the slots and accounts that the rounds before have changed, and others.
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

#[test]
pub(crate) fn what_a_block_does_not_change_stays_as_its_parent_left_it() {
    for spec in [SpecId::HOMESTEAD, SpecId::LONDON, SpecId::OSAKA] {
        let mut scene = Scene::on(spec);
        scene.block.env.gas_limit = 1_000_000_000;
        let code = Code::new().push(32).op(CALLDATALOAD).push(0).op(CALLDATALOAD).op(SSTORE);
        let contracts = [scene.contract(0, code), scene.contract(1, Code::new().increment(0, 1))];
        let senders: Vec<Address> = (0..EACH).map(|index| scene.sender(index)).collect();
        let mut below = BundleState::default();
        for round in 0..3 {
            fill(&mut scene, &senders, contracts, round);
            let (block, database) = (plain::bare(&scene.block), scene.database());
            let own = Own { parent: Some(below.clone()), ..Own::default() };
            let expected = plain::build(&block, &database, &own);
            assert_eq!(expected.receipts.len() as u64, EACH, "{spec:?}");
            for (workers, policy) in WAYS {
                let executor = listing(workers, policy, Mode::Validate);
                let found = executor
                    .with_mutant(SEEDED.get())
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
