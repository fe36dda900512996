//! Compares a surcharge with plain revm and the same rule in its handler.
//!
//! 1. Random hostile blocks of every fork: outcomes, receipts and the bundle with its reverts equal
//!    those of the sequential run, for each receiver of the fee: an uninvolved account, a sender, a
//!    contract, the beneficiary.
//! 2. A fee that is one wei off, or missing, is noticed.
//! 3. The state changes of the commits, with their fees, add up to the bundle.
//! 4. Transactions of different senders do not depend on each other through the fee.

use crate::support::chosen::is_chosen;
use alloy_primitives::{Address, U256};
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_blocks::sequential::{SequentialOutcome, SequentialOutput};
use braid_evm::mutants::{Bug, seed};
use braid_evm::{Block, BlockError, BlockOutput, Config, Executor, Forced, Mode, Policy};
use braid_testkit::generate::Case;
use braid_testkit::own::Publishing;
use braid_testkit::plain::{self, Own, compare};
use core::convert::Infallible;
use core::ops::ControlFlow;
use revm::context::{CfgEnv, TxEnv};
use revm::database::states::bundle_state::BundleRetention;
use revm::database::{BundleState, OriginalValuesKnown, State, WrapDatabaseRef};
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use revm::{Database, DatabaseCommit};
use std::num::NonZeroU16;
use std::sync::Arc;

const WORKERS: [u16; 4] = [1, 2, 3, 8];

fn braid(
    (workers, policy): (u16, Policy),
    block: &Block,
    database: MemoryDatabase,
    surcharge: Option<Publishing>,
) -> Result<BlockOutput, BlockError<Infallible>> {
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
    (config.policy, config.engine.mode, config.access_list) = (policy, Mode::Build, true);
    let mut executor = Executor::new(config).expect("starts");
    if let Some(surcharge) = surcharge {
        executor = executor.with_surcharge(Arc::new(surcharge));
    }
    executor.block(block.clone()).database(database).execute()
}

/// Returns a hostile block with nothing but its transactions.
fn hostile(seed: u64) -> (Block, Case) {
    let case = Case::from_seed(seed);
    (plain::bare(&case.block), case)
}

fn sequential(block: &Block, case: &Case, surcharge: Publishing) -> SequentialOutput {
    let own = Own { surcharge: Some(surcharge), ..Own::default() };
    plain::build(block, case.database(), &own)
}

fn vaults(block: &Block, case: &Case) -> [Address; 4] {
    let stranger = Address::repeat_byte(0xfe);
    let sender = block.transactions.first().map_or(stranger, |tx| tx.caller);
    let contract = case.accounts.iter().find(|(_, account)| !account.code.is_empty());
    [stranger, sender, contract.map_or(stranger, |(address, _)| *address), block.env.beneficiary]
}

/// Executes the block of `seed` sequentially and with Braid, and returns the sequential results if
/// both agree.
fn check(seed: u64) -> Result<SequentialOutput, String> {
    let (block, case) = hostile(seed);
    let vault = vaults(&block, &case)[seed as usize % 4];
    let surcharge = Publishing { vault, per_byte: 7 };
    let expected = sequential(&block, &case, surcharge);
    let workers = WORKERS[(seed / 4) as usize % WORKERS.len()];
    // By default, most of these blocks would run sequentially on one worker.
    let policy =
        if seed.is_multiple_of(3) { Policy::Auto } else { Policy::Forced(Forced::Speculative) };
    let found = braid((workers, policy), &block, case.database(), Some(surcharge));
    match compare(&expected, &found) {
        Ok(()) => Ok(expected),
        Err(different) => Err(format!("{:?}, {workers} workers: {different}", block.cfg.spec)),
    }
}

#[test]
fn random_blocks_with_a_surcharge_equal_sequential_execution() {
    let (mut executed, mut skipped) = (0, 0);
    for seed in 0..600 {
        let expected = check(seed).unwrap_or_else(|different| panic!("seed {seed}, {different}"));
        executed += expected.receipts.len();
        let outcomes = expected.outcomes.iter();
        skipped += outcomes.filter(|one| matches!(one, SequentialOutcome::Skipped(_))).count();
    }
    assert!(executed > 3_500 && skipped > 150, "{executed}, {skipped}");
}

/// Returns the values that a bundle writes, in order.
fn written(bundle: &BundleState) -> (Vec<(Address, Option<AccountInfo>)>, Vec<Slots>) {
    let changes = bundle.to_plain_state(OriginalValuesKnown::Yes);
    let mut accounts = changes.accounts;
    accounts.sort_unstable_by_key(|(address, _)| *address);
    let slots = changes.storage.into_iter().map(|changed| {
        let mut slots = changed.storage;
        slots.sort_unstable();
        (changed.address, changed.wipe_storage, slots)
    });
    let mut slots: Vec<_> = slots.collect();
    slots.sort_unstable();
    (accounts, slots)
}

type Slots = (Address, bool, Vec<(U256, U256)>);

/// A task that sees nothing but the commits has the state after the block, also the fees.
#[test]
fn the_state_of_each_commit_has_its_fees() {
    let mut fees = 0;
    for seed in 0..200 {
        let (block, case) = hostile(seed);
        let vault = vaults(&block, &case)[seed as usize % 4];
        let surcharge = Publishing { vault, per_byte: 7 };
        let workers = WORKERS[(seed / 4) as usize % WORKERS.len()];
        let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
        (config.policy, config.engine.mode) = (Policy::Forced(Forced::Speculative), Mode::Build);
        let executor = Executor::new(config).expect("starts");
        let mut executor = executor.with_surcharge(Arc::new(surcharge));
        let state = State::builder().with_database(WrapDatabaseRef(case.database()));
        let mut state = state.with_bundle_update().build();
        let request = executor.block(block.clone()).database(case.database());
        let output = request.on_commit(|committed| {
            fees += usize::from(committed.surcharge().is_some() && committed.reward().is_some());
            let changes = committed.state(|address| state.basic(address));
            state.commit(changes.expect("the database is in memory"));
            ControlFlow::Continue(())
        });
        let output = output.execute().expect("invalid transactions are skipped");
        state.merge_transitions(BundleRetention::PlainState);
        let what = format!("seed {seed}, {:?}, {workers} workers", block.cfg.spec);
        assert_eq!(written(&state.take_bundle()), written(&output.bundle), "{what}");
    }
    assert!(fees > 200, "only {fees} transactions paid both fees apart");
}

/// Covers the rows of docs/data/seeded_bugs.tsv that name this test.
#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn seeded_bugs_are_noticed() {
    let rows = crate::support::evm_rows().into_iter();
    let named = |(_, killers): &(Bug, Vec<String>)| killers.iter().any(|k| k == "surcharges");
    let bugs: Vec<Bug> = rows.filter(named).map(|(bug, _)| bug).collect();
    assert!(bugs.contains(&Bug::SurchargeAlwaysDeferred), "{bugs:?}");
    for bug in bugs.into_iter().filter(|bug| is_chosen(&format!("{bug:?}"))) {
        let seeded = seed(bug);
        let noticed = (0..200).find(|seed| check(*seed).is_err());
        drop(seeded);
        println!("{bug:?}: seed {noticed:?}");
        assert!(noticed.is_some_and(|seed| check(seed).is_ok()), "{bug:?} survived");
    }
}

#[test]
fn a_wrong_or_forgotten_surcharge_is_noticed() {
    let mut noticed = 0;
    for seed in 0..40 {
        let (block, case) = hostile(seed);
        let vault = Address::repeat_byte(0xfe);
        let expected = sequential(&block, &case, Publishing { vault, per_byte: 7 });
        if !expected.bundle.state.contains_key(&vault) {
            continue;
        }
        for wrong in [None, Some(Publishing { vault, per_byte: 8 })] {
            let found =
                braid((3, Policy::Forced(Forced::Speculative)), &block, case.database(), wrong);
            assert!(compare(&expected, &found).is_err(), "seed {seed}");
            noticed += 1;
        }
    }
    assert!(noticed > 20, "only {noticed}");
}

#[test]
fn the_vault_ties_no_transactions_together() {
    let sender = |index: u64| Address::from_word(U256::from(0x5e_0000 + index).into());
    let rich = MemoryAccount { balance: U256::from(u64::MAX), ..MemoryAccount::default() };
    let call = |index| TxEnv {
        caller: sender(index),
        gas_limit: 60_000,
        gas_price: 10,
        data: vec![1; 100].into(),
        kind: alloy_primitives::TxKind::Call(sender(1_000 + index)),
        chain_id: Some(1),
        ..TxEnv::default()
    };
    let block = Block {
        cfg: CfgEnv::new_with_spec(SpecId::SHANGHAI),
        transactions: (0..200).map(call).collect(),
        ..hostile(0).0
    };
    let accounts = (0..200).map(|index| (sender(index), rich.clone())).collect();
    let database = MemoryDatabase::new(accounts);
    let runs = |vault| {
        let surcharge = Publishing { vault, per_byte: 7 };
        let output = braid(
            (3, Policy::Forced(Forced::Speculative)),
            &block,
            database.clone(),
            Some(surcharge),
        )
        .expect("a block");
        assert_eq!(output.receipts.len(), 200);
        let got = output.bundle.account(&vault).and_then(|account| account.info.as_ref());
        assert!(got.is_some_and(|info| info.balance >= U256::from(200 * 7 * 400)), "{got:?}");
        output.stats
    };
    let stats = runs(Address::repeat_byte(0xfe));
    assert_eq!(stats.aborts, 0, "{stats:?}");
}
