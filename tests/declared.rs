//! Transactions that declare their accesses, compared with plain revm and an inspector that
//! enforces the same rule.
//!
//! 1. Random hostile blocks of every fork, with complete declarations, incomplete ones, and none:
//!    outcomes, receipts, the bundle with its reverts, and the set of transactions that left their
//!    declaration equal those of the sequential run.
//! 2. Transactions that keep to their declarations and do not conflict never abort.
//!
//! `BRAID_SEED=n` replays one block; `BRAID_DECLARED=n` tries that many.

use crate::support::chosen::is_chosen;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, TxKind, U256, hex};
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_blocks::workload::Preset;
use braid_evm::mutants::{Bug, seed};
use braid_evm::{
    AccessList as AccountList, Block, BlockError, BlockOutput, Config, Declaration,
    DeclaredLocation, Executor, Forced, Mode, Policy, Reason, Rejection, Stats, Strategy,
    TransactionPool,
};
use braid_testkit::generate::Case;
use braid_testkit::hostile::declared::{Declared, honest};
use braid_testkit::lineup::Copies;
use braid_testkit::plain::{self, compare};
use braid_testkit::spoil::draws;
use core::convert::Infallible;
use revm::context::{CfgEnv, TxEnv};
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

const BLOCKS: u64 = 500;
/// Number of blocks that keep to their declarations.
const HONEST: u64 = 150;
const FORCED: Policy = Policy::Forced(Forced::Speculative);
const WORKERS: [u16; 6] = [1, 2, 3, 4, 6, 8];
const POLICIES: [Policy; 5] = [
    Policy::Auto,
    Policy::Sequential,
    Policy::Forced(Forced::Speculative),
    Policy::Forced(Forced::Alternate),
    Policy::Forced(Forced::ContiguousBatches),
];

/// Counts over random blocks.
#[derive(Debug, Default)]
struct Seen {
    kept: usize,
    left: usize,
    /// Among these, the transactions that changed a slot declared as read-only.
    changed: usize,
    skipped: usize,
}

/// Executes a block with Braid, and compares it with the sequential run.
fn judged<D: Copies>(
    (workers, policy): (u16, Policy),
    declared: &Declared,
    database: &D,
) -> Result<(), String> {
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
    (config.policy, config.engine.mode) = (policy, Mode::Build);
    let mut executor = Executor::new(config).expect("starts");
    let block = Arc::clone(&declared.block);
    declared.judge(&config, &executor.block(block).database(database.clone()).execute())
}

/// Executes the block of `seed` sequentially and with Braid.
fn check(seed: u64) -> Result<Seen, String> {
    let case = Case::from_seed(seed);
    let database = case.database();
    let declared = Declared::spoiled(&case.block, &database, &mut draws(seed));
    let way = (WORKERS[seed as usize % 6], POLICIES[(seed / 6) as usize % 5]);
    let spec = declared.block.cfg.spec;
    judged(way, &declared, &database).map_err(|why| format!("{spec:?}, {way:?}: {why}"))?;
    let left = declared.left();
    let changed = left.iter().filter(|(.., is_change)| *is_change).count();
    let kept = declared.expected().receipts.len() - left.len();
    // Forks before Berlin have no access lists, and so no declarations.
    let kept = if spec.is_enabled_in(SpecId::BERLIN) { kept } else { 0 };
    Ok(Seen { kept, left: left.len(), changed, skipped: declared.skipped() })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn random_declared_blocks_equal_sequential_execution() {
    let first = number("BRAID_SEED");
    let count = number("BRAID_DECLARED").unwrap_or(if first.is_some() { 1 } else { BLOCKS });
    let mut all = Seen::default();
    for seed in first.unwrap_or(0)..first.unwrap_or(0) + count {
        let seen = check(seed).unwrap_or_else(|why| panic!("BRAID_SEED={seed}: {why}"));
        all.kept += seen.kept;
        all.left += seen.left;
        all.changed += seen.changed;
        all.skipped += seen.skipped;
    }
    println!("{all:?}");
    let Seen { kept, left, changed, skipped } = all;
    let is_enough = kept > 1_000 && left > 500 && changed > 20 && skipped > 50;
    assert!(is_enough || count < BLOCKS, "{all:?}");
}

const TOKEN: Address = Address::repeat_byte(0xcc);
/// Slot that all calls read.
pub(crate) const SHARED: u64 = 1 << 40;

/// Returns a call that adds the value of the shared slot to `slot`; both slots are arguments.
fn call(sender: u64, slot: u64) -> TxEnv {
    let slots = [slot, SHARED].map(U256::from);
    let data = slots.map(B256::from).concat();
    let mut tx = TxEnv {
        caller: Address::left_padding_from(&(10_000 + sender).to_be_bytes()),
        kind: TxKind::Call(TOKEN),
        gas_limit: 90_000,
        gas_price: 1,
        data: data.into(),
        chain_id: Some(1),
        ..TxEnv::default()
    };
    let place = |slot| DeclaredLocation { address: TOKEN, slot: Some(slot) };
    Declaration::declare(&mut tx, [(place(slots[0]), true), (place(slots[1]), false)]);
    tx
}

/// Returns a block of calls from distinct senders. Each adds to the slot returned by `slot`.
pub(crate) fn calls(count: u64, slot: impl Fn(u64) -> u64) -> (Block, MemoryDatabase) {
    let code = hex!("60203554600035540160003555 00").to_vec();
    let token = MemoryAccount {
        code: code.into(),
        nonce: 1,
        storage: [(U256::from(SHARED), U256::from(3))].into(),
        ..MemoryAccount::default()
    };
    let rich = MemoryAccount { balance: U256::from(1) << 90, ..MemoryAccount::default() };
    let transactions: Vec<TxEnv> = (0..count).map(|sender| call(sender, slot(sender))).collect();
    let mut accounts: BTreeMap<Address, MemoryAccount> =
        transactions.iter().map(|tx| (tx.caller, rich.clone())).collect();
    accounts.insert(TOKEN, token);
    // Fees go to an existing account.
    accounts.insert(Address::ZERO, rich);
    let mut block = plain::bare(&Block { transactions, ..Block::default() });
    block.cfg = CfgEnv::new_with_spec(SpecId::CANCUN);
    block.env.gas_limit = 1 << 40;
    block.rules.declared_accesses = true;
    (block, MemoryDatabase::new(accounts))
}

/// Returns Braid's output of the calls, after comparison with the sequential run.
fn ran((block, database): &(Block, MemoryDatabase), workers: u16, policy: Policy) -> BlockOutput {
    let (expected, left) = plain::build_declared(block, database.clone());
    assert!(left.is_empty() && expected.receipts.iter().all(|receipt| receipt.success), "{left:?}");
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
    (config.policy, config.engine.mode) = (policy, Mode::Validate);
    let mut executor = Executor::new(config).expect("starts");
    let found = executor.block(block.clone()).database(database.clone()).execute();
    compare(&expected, &found).unwrap_or_else(|why| panic!("{workers} workers: {why}"));
    found.expect("a block")
}

/// Each call waits for the last lower one that may change the slot which it changes.
#[test]
fn a_call_that_waits_for_what_it_declares_runs_once() {
    for (workers, apart) in [(2, 1), (2, 40), (3, 90), (4, 200), (8, 7)] {
        let output = ran(&calls(600, |sender| sender % apart), workers, FORCED);
        let Stats { incarnations, aborts, .. } = output.stats;
        assert_eq!((incarnations, aborts), (600, 0), "{apart} slots: {:?}", output.stats);
    }
}

#[test]
fn calls_that_all_conflict_run_sequentially() {
    // A large block might be tried in contiguous batches first.
    for count in [600, 1_200] {
        let BlockOutput { segments, stats, .. } = ran(&calls(count, |_| 7), 4, Policy::Auto);
        assert_eq!((stats.incarnations, stats.aborts), (count, 0));
        let segment = (segments[0].strategy, segments[0].reason, segments.len());
        assert_eq!(segment, (Strategy::Sequential, Reason::OneChain, 1), "{segments:?}");
    }
}

/// Every so often, a call changes the slot that all others read.
#[test]
fn a_reader_waits_for_the_lower_call_that_changes_what_it_reads() {
    for workers in [2, 3, 4, 8] {
        for every in [3, 20, 50, 150] {
            let slot = |sender| if sender % every == every - 1 { SHARED } else { sender };
            let output = ran(&calls(600, slot), workers, FORCED);
            let Stats { incarnations, aborts, .. } = output.stats;
            assert_eq!((incarnations, aborts), (600, 0), "{workers} {every}: {:?}", output.stats);
        }
    }
}

/// Random blocks that keep to their declarations.
#[test]
fn honest_blocks_equal_sequential_execution() {
    for seed in 0..HONEST {
        honest_is_right(seed).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

fn honest_is_right(seed: u64) -> Result<(), String> {
    let case = honest(&mut draws(seed));
    let (database, policy) = (case.database(), POLICIES[seed as usize % 3]);
    let declared = Declared::honest(&case.block, &database);
    [1, 2, 3, 8].into_iter().try_for_each(|workers| judged((workers, policy), &declared, &database))
}

/// Realistic workloads of wallets and contracts, with declarations added.
#[test]
fn declared_workloads_equal_sequential_execution() {
    for preset in [Preset::Erc20, Preset::Mainnet, Preset::NftGame, Preset::Mixed] {
        let (block, database) = preset.block(250, 1).expect("a block").to_block().expect("runs");
        let declared = Declared::honest(&Block::from(&block), &database);
        for way in [(2, Policy::Auto), (4, FORCED), (8, Policy::Auto)] {
            judged(way, &declared, &database)
                .unwrap_or_else(|why| panic!("{}, {way:?}: {why}", preset.name()));
        }
    }
}

/// The access list of a block in which one call leaves its declaration. With the list the block
/// gives the same result, and a wrong list is rejected.
#[test]
fn lists_of_declared_blocks_are_made_and_compared() {
    let (mut block, database) = calls(300, |sender| sender % 40);
    block.transactions[77].access_list = AccessList::default();
    let run = |block: &Block, workers: u16, makes: bool| {
        let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
        config.access_list = makes;
        let mut executor = Executor::new(config).expect("starts");
        executor.block(block.clone()).database(database.clone()).execute()
    };
    let (expected, left) = plain::build_declared(&block, database.clone());
    assert_eq!(left.len(), 1);
    let list = |workers| {
        let mut found = run(&block, workers, true).expect("a block");
        assert_eq!(found.undeclared.len(), 1);
        let list = found.access_list.take().expect("it is asked for");
        let found = Ok::<_, BlockError<Infallible>>(found);
        compare(&expected, &found).unwrap_or_else(|why| panic!("{workers} workers: {why}"));
        list
    };
    let lists = [1, 2, 4].map(list);
    assert!(lists.iter().all(|list| *list == lists[0]));
    let [list, ..] = lists;
    let told =
        |list: &AccountList| Block { access_list: Some(list.clone().into()), ..block.clone() };
    for workers in [1, 2, 4] {
        let found = run(&told(&list), workers, false);
        compare(&expected, &found).unwrap_or_else(|why| panic!("{workers} workers: {why}"));
    }
    let mut accounts = list.to_vec();
    let changes = accounts.iter_mut().find_map(|account| account.nonce_changes.last_mut());
    changes.expect("a sender").new_nonce += 1;
    let list = AccountList::new(accounts);
    for workers in [1, 2, 4] {
        run(&told(&list), workers, false).expect_err("the list lies");
    }
}

/// A pool of calls that all conflict.
struct Pool(std::vec::IntoIter<TxEnv>);

impl TransactionPool for Pool {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        self.0.next()
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        panic!("{}: {reason}", tx.caller);
    }
}

/// Dependencies are known across the rounds in which a block is built.
#[test]
fn a_block_that_is_built_of_conflicting_calls_runs_once() {
    let (mut block, database) = calls(5 * 256, |_| 7);
    let pool = core::mem::take(&mut block.transactions);
    let mut config = Config::with_workers(NonZeroU16::new(2).expect("some"));
    config.policy = FORCED;
    let mut executor = Executor::new(config).expect("starts");
    let count = pool.len();
    let built = executor.block(block.clone()).database(database.clone());
    let built = built.build(&mut Pool(pool.clone().into_iter())).expect("built");
    block.transactions = pool;
    let (expected, left) = plain::build_declared(&block, database);
    assert!(left.is_empty() && built.output.outcomes.len() == count);
    assert_eq!(built.output.stats.aborts, 0, "{:?}", built.output.stats);
    compare(&expected, &Ok::<_, BlockError<Infallible>>(built.output)).expect("the same");
}

/// Covers the rows of docs/data/seeded_bugs.tsv that name this test.
#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn seeded_bugs_are_noticed() {
    let rows = crate::support::evm_rows().into_iter();
    let named = |(_, killers): &(Bug, Vec<String>)| killers.iter().any(|k| k == "declared");
    let bugs: Vec<Bug> = rows.filter(named).map(|(bug, _)| bug).collect();
    assert!(bugs.contains(&Bug::UndeclaredStays), "{bugs:?}");
    for bug in bugs.into_iter().filter(|bug| is_chosen(&format!("{bug:?}"))) {
        let seeded = seed(bug);
        let noticed = (0..400).find(|seed| check(*seed).is_err());
        // A bug that only drops a predicted dependency still gives the sequential result.
        let is_seen =
            std::panic::catch_unwind(a_reader_waits_for_the_lower_call_that_changes_what_it_reads);
        drop(seeded);
        println!("{bug:?}: seed {noticed:?}, by aborts: {}", is_seen.is_err());
        assert!(noticed.is_none_or(|seed| check(seed).is_ok()), "{bug:?}");
        assert!(noticed.is_some() || is_seen.is_err(), "{bug:?} survived");
    }
}
