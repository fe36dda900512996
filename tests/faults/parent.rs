//! A block on top of one that is not written yet, against revm's `State` with a bundle as its
//! prestate.

use crate::support::scene::{PRICE, Scene};
use alloy_primitives::{Address, B256, U256};
use braid_evm::{Block, Cloned, Mode, Outcome};
use braid_fuzz::generate::Case;
use braid_fuzz::lineup::{SETTINGS, executor};
use braid_fuzz::memory::MemoryDatabase;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::database::states::bundle_state::BundleRetention;
use revm::database::{BundleState, State};
use revm::primitives::hardfork::SpecId;
use revm::{Context, DatabaseRef, ExecuteCommitEvm, MainBuilder, MainContext};
use std::collections::BTreeMap;

/// Executes the transactions one after the other on `prestate`; invalid ones are left out.
fn sequential(
    block: &Block,
    database: &MemoryDatabase,
    prestate: BundleState,
) -> (Vec<Option<ExecutionResult>>, BundleState) {
    let mut state = State::builder()
        .with_database_ref(database)
        .with_bundle_prestate(prestate)
        .with_bundle_update()
        .build();
    let results = {
        let mut evm = Context::mainnet()
            .with_db(&mut state)
            .with_block(block.env.clone())
            .with_cfg(block.cfg.clone())
            .build_mainnet();
        block.transactions.iter().map(|tx| evm.transact_commit(tx.clone()).ok()).collect()
    };
    state.merge_transitions(BundleRetention::Reverts);
    (results, state.take_bundle())
}

/// A block with nothing but transactions, so that the loop above is all of its execution.
fn bare(case: &Case) -> Block {
    let mut block = case.block.clone();
    block.rules.system_calls = false;
    block.rules.block_reward = Some(0);
    block.withdrawals = None;
    block.ommers.clear();
    // Admission by block gas is not part of that loop.
    block.env.gas_limit = 1_000_000_000;
    block
}

/// The same transactions again, with the nonces that the senders have by now.
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

/// A bundle in an order of its own.
fn sorted(bundle: &BundleState) -> String {
    let accounts: BTreeMap<_, _> = bundle
        .state
        .iter()
        .map(|(address, account)| {
            let slots: BTreeMap<_, _> = account.storage.iter().collect();
            let info = |info: &Option<revm::state::AccountInfo>| {
                info.as_ref().map(|info| (info.balance, info.nonce, info.code_hash))
            };
            let text = format!(
                "{:?} {:?} {:?} {slots:?}",
                account.status,
                info(&account.info),
                info(&account.original_info)
            );
            (address, text)
        })
        .collect();
    let codes: BTreeMap<&B256, _> =
        bundle.contracts.iter().map(|(hash, code)| (hash, code.original_bytes())).collect();
    let reverts: Vec<BTreeMap<_, _>> = bundle
        .reverts
        .iter()
        .map(|block| {
            let revert = |(address, revert): &(Address, revm::database::AccountRevert)| {
                let slots: BTreeMap<_, _> = revert.storage.iter().collect();
                let account = match &revert.account {
                    revm::database::states::reverts::AccountInfoRevert::RevertTo(info) => {
                        format!("{} {} {}", info.balance, info.nonce, info.code_hash)
                    }
                    other => format!("{other:?}"),
                };
                let rest = (revert.previous_status, revert.wipe_storage);
                (*address, format!("{account} {rest:?} {slots:?}"))
            };
            block.iter().map(revert).collect()
        })
        .collect();
    let sizes = (bundle.state_size, bundle.reverts_size);
    format!("{accounts:#?} {codes:#?} {reverts:#?} {sizes:?}")
}

#[test]
fn two_blocks_in_sequence() {
    let mut executors = SETTINGS.map(|(workers, policy)| executor(workers, policy, Mode::Build));
    let mut executed = 0;
    for seed in 0..200 {
        let case = Case::from_seed(seed);
        let (first, database) = (bare(&case), case.database());
        let (_, parent) = sequential(&first, &database, BundleState::default());
        let second = child(&first, &parent, &database);
        let (results, expected) = sequential(&second, &database, parent.clone());
        for executor in &mut executors {
            let alone = executor.execute(first.clone(), database.clone()).expect("it is built");
            assert_eq!(sorted(&alone.bundle), sorted(&parent), "seed {seed}: the first block");
            let source = Cloned(database.clone());
            let found = executor.execute_on(second.clone(), source, parent.clone());
            let found = found.expect("it is built");
            for (index, (result, outcome)) in results.iter().zip(&found.outcomes).enumerate() {
                match (result, outcome) {
                    (Some(result), Outcome::Executed(executed)) => {
                        assert_eq!(*result.gas(), executed.gas, "seed {seed}, {index}");
                    }
                    (None, Outcome::Skipped(_)) => {}
                    _ => panic!("seed {seed}, {index}: {result:?}, {outcome:?}"),
                }
            }
            assert_eq!(sorted(&found.bundle), sorted(&expected), "seed {seed}: the second block");
        }
        executed += results.iter().flatten().count();
    }
    assert!(executed > 1_000, "{executed} transactions in second blocks");
}

/// A system call writes to the state that the parent left, and transactions find it.
#[test]
fn system_calls_over_a_parent() {
    let history = alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
    let mut scene = Scene::on(SpecId::PRAGUE);
    let [alice, bob] = scene.senders();
    let code = braid_fuzz::code::Code::new().increment(0, 1);
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
            let output = executor.execute_on(block, source(), bundle).expect("a valid block");
            bundle = output.bundle;
            let account = bundle.account(&history).expect("it was called");
            let counted = account.storage[&U256::ZERO].present_value;
            assert_eq!(counted, U256::from(3 * round), "{workers} workers");
            assert_eq!(bundle.reverts.len() as u64, round);
        }
    }
}
