//! A block on an unwritten parent, compared with revm's `State` with a bundle as its prestate.

use crate::support::scene::{PRICE, Scene};
use alloy_primitives::{Address, U256};
use braid_blocks::memory::MemoryDatabase;
use braid_evm::{Block, Cloned, Mode};
use braid_testkit::generate::Case;
use braid_testkit::lineup::{SETTINGS, executor, listing};
use braid_testkit::plain::{self, Own};
use revm::DatabaseRef;
use revm::context::TxEnv;
use revm::database::BundleState;
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeMap;

/// Returns a block with the same transactions, with the senders' current nonces.
fn child(block: &Block, parent: &BundleState, database: &MemoryDatabase) -> Block {
    let mut nonces: BTreeMap<Address, u64> = BTreeMap::new();
    let mut child = block.clone();
    child.env.number += U256::ONE;
    for tx in &mut child.transactions {
        let nonce = nonces.entry(tx.caller).or_insert_with(|| {
            let over = parent.account(&tx.caller).and_then(|account| account.info.clone());
            let Ok(under) = database.basic_ref(tx.caller);
            over.or(under).map_or(0, |info| info.nonce)
        });
        *tx = TxEnv { nonce: *nonce, authorization_list: Vec::new(), ..tx.clone() };
        if tx.tx_type == 4 {
            tx.tx_type = 2;
        }
        *nonce += 1;
    }
    child
}

#[test]
fn two_blocks_in_sequence() {
    let mut executors = SETTINGS.map(|(workers, policy)| listing(workers, policy, Mode::Build));
    let mut executed = 0;
    for seed in 0..200 {
        let case = Case::from_seed(seed);
        let (first, database) = (plain::bare(&case.block), case.database());
        let below = plain::build(&first, &database, &Own::default());
        let second = child(&first, &below.bundle, &database);
        let own = Own { parent: Some(below.bundle.clone()), ..Own::default() };
        let expected = plain::build(&second, &database, &own);
        for executor in &mut executors {
            let found = executor.block(first.clone()).database(database.clone()).execute();
            plain::compare(&below, &found)
                .unwrap_or_else(|wrong| panic!("seed {seed}: the first block: {wrong}"));
            let source = Cloned(database.clone());
            let found =
                executor.block(second.clone()).state(source).parent(below.bundle.clone()).execute();
            plain::compare(&expected, &found)
                .unwrap_or_else(|wrong| panic!("seed {seed}: the second block: {wrong}"));
        }
        executed += expected.receipts.len();
    }
    assert!(executed > 1_000, "{executed} transactions in second blocks");
}

/// A system call writes to the parent's state, and transactions find it.
#[test]
fn system_calls_over_a_parent() {
    let history = alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
    let mut scene = Scene::on(SpecId::PRAGUE);
    let [alice, bob] = scene.senders();
    let code = braid_blocks::code::Code::new().increment(0, 1);
    scene.put(history, crate::support::scene::contract(code));
    scene.send(alice, crate::support::scene::call(history));
    scene.send(bob, crate::support::scene::call(history));
    for (workers, policy) in SETTINGS {
        let mut executor = executor(workers, policy, Mode::Validate);
        let source = || Cloned(scene.database());
        let mut bundle = BundleState::default();
        for round in 1..=3 {
            let mut block = scene.block.clone();
            for tx in &mut block.transactions {
                tx.nonce = round - 1;
                tx.gas_price = PRICE;
            }
            let output = executor
                .block(block)
                .state(source())
                .parent(bundle)
                .execute()
                .expect("a valid block");
            bundle = output.bundle;
            let account = bundle.account(&history).expect("it was called");
            let counted = account.storage[&U256::ZERO].present_value;
            assert_eq!(counted, U256::from(3 * round), "{workers} workers");
            assert_eq!(bundle.reverts.len() as u64, round);
        }
    }
}
