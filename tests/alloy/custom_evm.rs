//! Runs EVMs of another factory in the workers, and compares with alloy-evm's own executor over the
//! same EVMs. These have a fee of their own, and their handler does not know Braid.
//!
//! 1. Every real block, and random hostile blocks of every fork, with `Fees::Recorded` and with
//!    `Fees::Deferred`: the same receipts, requests, gas, errors, and bundle with its reverts.
//! 2. An EVM that does more with the beneficiary than add to its balance: the same result, and
//!    where that cannot be seen from outside, the comparison fails.
//! 3. Transactions overlap with `Fees::Deferred`; the precompile in which they meet belongs to the
//!    EVM.
//! 4. Transactions executed one at a time pay the same fee.
//! 5. A precompile of alloy-evm's kind that writes state.

use super::surcharge::{VAULT, vaults};
use super::{
    MEETING, Meeting, Receipts, WORKERS, assert_equal, calls, config, read, run, run_one_by_one,
    shells, spec,
};
use crate::support::fees::{Conduct, Publishing, PublishingEvm, PublishingFactory};
use crate::support::fixtures::{block_files, fixtures};
use alloy_evm::eth::{EthBlockExecutorFactory, EthEvmContext};
use alloy_evm::precompiles::{DynPrecompile, PrecompilesMap};
use alloy_evm::{Database, Evm, EvmEnv, EvmFactory, EvmInternalsError};
use alloy_primitives::{Address, Bytes, U256};
use braid_blocks::block::Block;
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_blocks::sequential::ForkSpec;
use braid_evm::alloy::{BraidExecutorFactory, Fees, PrecompileEvmFactory};
use braid_evm::{Config, Forced, Policy};
use braid_testkit::generate::Case;
use revm::context::result::{EVMError, HaltReason};
use revm::context::{BlockEnv, DBErrorMarker, TxEnv};
use revm::inspector::NoOpInspector;
use revm::precompile::{PrecompileError, PrecompileId, PrecompileOutput};
use revm::primitives::hardfork::SpecId;
use revm::{DatabaseRef, Inspector};
use std::sync::Arc;

/// Runs the block with both executors. Returns whether it is valid and whether the results are
/// equal.
fn compare<D: DatabaseRef + Clone + core::fmt::Debug>(
    (block, transactions, database): (&Block, &super::Transactions, D),
    evms: PublishingFactory,
    (fees, config): (Fees, Config),
    what: &str,
) -> (bool, bool) {
    let theirs = EthBlockExecutorFactory::new(Receipts, spec(block), evms);
    let expected = run(&theirs, block, transactions, database.clone());
    let ours = BraidExecutorFactory::with_evm_factory(Receipts, spec(block), config, evms, fees);
    let found = run(&ours, block, transactions, database);
    let unseen = evms.1 == Conduct::Shares && fees != Fees::Recorded;
    if !unseen {
        assert_equal(&expected, &found, what);
    }
    (expected.0.is_ok(), expected.1.state == found.1.state)
}

/// Policies under which blocks run, including sequentially and in alternation.
const POLICIES: [Policy; 4] = [
    Policy::Forced(Forced::Speculative),
    Policy::Auto,
    Policy::Sequential,
    Policy::Forced(Forced::Alternate),
];

fn ways(vault: Address) -> [Fees; 3] {
    [Fees::Deferred { vault: Some(vault) }, Fees::Deferred { vault: None }, Fees::Recorded]
}

#[test]
fn real_blocks_are_the_same() {
    let Some(folder) = fixtures() else { return };
    let (mut blocks, mut fine) = (0, 0);
    for (index, path) in block_files(&folder).iter().enumerate() {
        let (block, database, transactions) = read(path);
        let evms = PublishingFactory(Publishing { vault: VAULT, per_byte: 1 }, Conduct::Nothing);
        let how = (ways(VAULT)[index % 3], config(WORKERS[index % WORKERS.len()]));
        let what = format!("{path:?}, {how:?}");
        fine += usize::from(compare((&block, &transactions, database), evms, how, &what).0);
        blocks += 1;
    }
    println!("{blocks} blocks, {fine} to their end");
    assert!(blocks >= 78 && fine >= 40, "only {blocks} block files, {fine} paid for");
}

#[test]
fn random_blocks_are_the_same() {
    let (mut fine, mut failed) = (0, 0);
    for seed in 0..300 {
        let case = Case::from_seed(seed);
        let block = Block::from(&case.block);
        let transactions = shells(&block.transactions);
        let vault = vaults(&block, &case)[seed as usize % 4];
        let evms = PublishingFactory(Publishing { vault, per_byte: 7 }, Conduct::Nothing);
        let policy = POLICIES[(seed / 3) as usize % POLICIES.len()];
        let mut config = config(WORKERS[(seed / 4) as usize % WORKERS.len()]);
        config.policy = policy;
        let how = (ways(vault)[seed as usize % 3], config);
        let what = format!("seed {seed}, {:?}, {how:?}", block.cfg.spec);
        let (valid, _) = compare((&block, &transactions, case.database()), evms, how, &what);
        *(if valid { &mut fine } else { &mut failed }) += 1;
    }
    assert!(fine > 50 && failed > 20, "{fine} fine, {failed} failed");
}

#[test]
fn what_is_no_addition_is_recorded() {
    let mut different = 0;
    for seed in 0..120 {
        let case = Case::from_seed(seed);
        let block = Block::from(&case.block);
        let transactions = shells(&block.transactions);
        let fee = Publishing { vault: VAULT, per_byte: 7 };
        for conduct in [Conduct::Burns, Conduct::Counts, Conduct::Stores, Conduct::Shares] {
            for fees in [ways(VAULT)[seed as usize % 2], Fees::Recorded] {
                let how = (fees, config(WORKERS[(seed / 2) as usize % WORKERS.len()]));
                let what = format!("seed {seed}, {conduct:?}, {:?}, {how:?}", block.cfg.spec);
                let block = (&block, &transactions, case.database());
                let (_, same) = compare(block, PublishingFactory(fee, conduct), how, &what);
                different += usize::from(!same);
            }
        }
    }
    assert!(different > 10, "only {different} blocks with unseen changes were noticed");
}

/// A factory whose EVMs have a precompile in which calls wait for each other.
#[derive(Clone, Debug)]
struct WithMeeting(PublishingFactory, Arc<Meeting>);

impl WithMeeting {
    fn furnish(&self, precompiles: &mut PrecompilesMap) {
        let meeting = Arc::clone(&self.1);
        precompiles.apply_precompile(&MEETING, |_| {
            Some(DynPrecompile::new_stateful(PrecompileId::custom("meeting"), move |input| {
                meeting.meet();
                Ok(PrecompileOutput::new(100, Bytes::new(), input.reservoir))
            }))
        });
    }
}

impl EvmFactory for WithMeeting {
    type Evm<DB: Database, I: Inspector<EthEvmContext<DB>>> = PublishingEvm<DB, I>;
    type Context<DB: Database> = EthEvmContext<DB>;
    type Tx = TxEnv;
    type Error<DBError: DBErrorMarker> = EVMError<DBError>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;

    fn create_evm<DB: Database>(&self, db: DB, env: EvmEnv) -> PublishingEvm<DB, NoOpInspector> {
        let mut evm = self.0.create_evm(db, env);
        self.furnish(evm.precompiles_mut());
        evm
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<EthEvmContext<DB>>>(
        &self,
        db: DB,
        env: EvmEnv,
        inspector: I,
    ) -> PublishingEvm<DB, I> {
        let mut evm = self.0.create_evm_with_inspector(db, env, inspector);
        self.furnish(evm.precompiles_mut());
        evm
    }
}

#[test]
fn transactions_overlap_in_a_precompile_of_the_evm() {
    let (block, database) = calls(|_| MEETING);
    let transactions = shells(&block.transactions);
    let most = |workers, fees| {
        let meeting = Arc::new(Meeting::default());
        let publishing =
            PublishingFactory(Publishing { vault: VAULT, per_byte: 7 }, Conduct::Nothing);
        let evms = WithMeeting(publishing, Arc::clone(&meeting));
        let factory = BraidExecutorFactory::with_evm_factory(
            Receipts,
            spec(&block),
            config(workers),
            evms,
            fees,
        );
        let left = run(&factory, &block, &transactions, database.clone());
        assert_eq!(left.0.expect("valid").receipts.len(), 8);
        let vault = left.1.account(&VAULT).and_then(|account| account.info.clone());
        assert!(vault.is_none_or(|info| info.balance.is_zero()), "there is no data to pay for");
        meeting.inside.lock().expect("no panic").1
    };
    assert!(most(3, Fees::Deferred { vault: Some(VAULT) }) >= 2, "no two met");
    assert_eq!(most(1, Fees::Deferred { vault: Some(VAULT) }), 1, "there is no other to meet");
    assert!(most(3, Fees::Recorded) >= 1);
}

#[test]
fn one_transaction_at_a_time_is_the_same() {
    let (block, database) = calls(|index| Address::repeat_byte(0x70 + index));
    let transactions = shells(&block.transactions);
    let evms = PublishingFactory(Publishing { vault: VAULT, per_byte: 7 }, Conduct::Nothing);
    let factory = BraidExecutorFactory::<Receipts, ForkSpec, _>::with_evm_factory(
        Receipts,
        spec(&block),
        config(2),
        evms,
        Fees::Deferred { vault: Some(VAULT) },
    );
    let whole = run(&factory, &block, &transactions, database.clone());
    let one_by_one = run_one_by_one(&factory, &block, &transactions, database);
    assert_equal(&whole, &one_by_one, "one by one");
    assert_eq!((factory.executions().transactions, factory.executions().sequential), (8, 8));
}

/// A precompile of alloy-evm's kind that counts its calls in a slot of its own.
fn counter() -> PrecompileEvmFactory {
    PrecompileEvmFactory::new(|precompiles| {
        precompiles.apply_precompile(&MEETING, |_| {
            Some(DynPrecompile::new_stateful(PrecompileId::custom("counter"), |mut input| {
                let failed = |error: EvmInternalsError| PrecompileError::Fatal(error.to_string());
                let (gas, internals) = (input.reservoir, input.internals_mut());
                let count = internals.sload(MEETING, U256::ZERO).map_err(failed)?.data + U256::ONE;
                internals.sstore(MEETING, U256::ZERO, count).map_err(failed)?;
                internals.touch_account(MEETING).map_err(failed)?;
                let output = count.to_be_bytes::<32>().into();
                Ok(PrecompileOutput::new(500, output, gas))
            }))
        });
    })
}

#[test]
fn precompiles_of_alloy_evm_write_state() {
    // Every second transaction calls the precompile, so some conflict and others do not.
    let other = |index| Address::repeat_byte(0x70 + index);
    let (block, _) = calls(|index| if index % 2 == 0 { MEETING } else { other(index) });
    let funded = MemoryAccount { balance: U256::from(1_u64 << 60), ..MemoryAccount::default() };
    let exists = MemoryAccount { balance: U256::ONE, nonce: 1, ..MemoryAccount::default() };
    let senders = block.transactions.iter().map(|tx| (tx.caller, funded.clone()));
    let database = MemoryDatabase::new(senders.chain([(MEETING, exists)]).collect());
    let transactions = shells(&block.transactions);
    let evms = counter();
    let theirs = EthBlockExecutorFactory::new(Receipts, spec(&block), evms.clone());
    let expected = run(&theirs, &block, &transactions, database.clone());
    let counted = expected.1.account(&MEETING).and_then(|it| it.storage_slot(U256::ZERO));
    assert_eq!(counted, Some(U256::from(4)), "{:?}", expected.0);
    for workers in WORKERS {
        for policy in POLICIES {
            let mut config = config(workers);
            config.policy = policy;
            let fees = Fees::Deferred { vault: None };
            let ours = BraidExecutorFactory::with_evm_factory(
                Receipts,
                spec(&block),
                config,
                evms.clone(),
                fees,
            );
            let found = run(&ours, &block, &transactions, database.clone());
            assert_equal(&expected, &found, &format!("{workers} workers, {policy:?}"));
            let one_by_one = run_one_by_one(&ours, &block, &transactions, database.clone());
            assert_equal(&expected, &one_by_one, "one by one");
        }
    }
}
