//! Compares a surcharge with alloy-evm's own executor over an EVM that charges the same fee.
//!
//! 1. Every real block, and random hostile blocks of every fork, for each receiver of the fee: the
//!    same receipts, requests, gas, errors, and bundle with its reverts.
//! 2. A fee that is one wei off, or missing, is noticed.
//! 3. Transactions still overlap.
//! 4. Calls for single transactions fail with a surcharge, and succeed without.

use super::{
    MEETING, Meeting, Receipts, WORKERS, assert_equal, calls, context, ours, read, run, shells,
    spec,
};
use crate::support::fees::{Conduct, Publishing, PublishingFactory};
use crate::support::fixtures::{block_files, fixtures};
use alloy_evm::block::{BlockExecutor, BlockExecutorFactory};
use alloy_evm::eth::EthBlockExecutorFactory;
use alloy_evm::{EvmEnv, EvmFactory};
use alloy_primitives::Address;
use braid_blocks::block::Block;
use braid_blocks::sequential::ForkSpec;
use braid_testkit::generate::Case;
use revm::database::{State, WrapDatabaseRef};
use std::sync::Arc;

pub(super) const VAULT: Address = Address::repeat_byte(0xfe);

fn reference(
    block: &Block,
    fee: Publishing,
) -> EthBlockExecutorFactory<Receipts, ForkSpec, PublishingFactory> {
    EthBlockExecutorFactory::new(Receipts, spec(block), PublishingFactory(fee, Conduct::Nothing))
}

#[test]
fn real_blocks_are_the_same() {
    let Some(folder) = fixtures() else { return };
    let (mut blocks, mut charged, mut fine) = (0, 0, 0);
    for (index, path) in block_files(&folder).iter().enumerate() {
        let (block, database, transactions) = read(path);
        // Nearly every sender of a block can pay one wei per byte; a sender that cannot ends the
        // block.
        let vault = [VAULT, block.env.beneficiary][index % 2];
        let fee = Publishing { vault, per_byte: 1 };
        let expected = run(&reference(&block, fee), &block, &transactions, database.clone());
        let ours = ours(&block, WORKERS[index % WORKERS.len()]).with_surcharge(Arc::new(fee));
        let found = run(&ours, &block, &transactions, database);
        assert_equal(&expected, &found, &format!("{path:?}"));
        charged += usize::from(expected.1.account(&vault).is_some());
        fine += usize::from(expected.0.is_ok());
        blocks += 1;
    }
    println!("{blocks} blocks, {charged} paid, {fine} to their end");
    assert!(blocks >= 78, "only {blocks} block files");
    assert!(charged >= 60, "only {charged} blocks paid");
}

/// Returns four receivers: an account outside the block, a sender, a contract, and the beneficiary.
pub(super) fn vaults(block: &Block, case: &Case) -> [Address; 4] {
    let sender = block.transactions.first().map_or(VAULT, |tx| tx.caller);
    let contract = case.accounts.iter().find(|(_, account)| !account.code.is_empty());
    [VAULT, sender, contract.map_or(VAULT, |(address, _)| *address), block.env.beneficiary]
}

#[test]
fn random_blocks_are_the_same_and_a_wrong_fee_is_noticed() {
    let (mut fine, mut failed, mut noticed) = (0, 0, 0);
    for seed in 0..300 {
        let case = Case::from_seed(seed);
        let block = Block::from(&case.block);
        let transactions = shells(&block.transactions);
        let vault = vaults(&block, &case)[seed as usize % 4];
        let fee = Publishing { vault, per_byte: 7 };
        let expected = run(&reference(&block, fee), &block, &transactions, case.database());
        let workers = WORKERS[(seed / 4) as usize % WORKERS.len()];
        let factory = || ours(&block, workers);
        let found =
            run(&factory().with_surcharge(Arc::new(fee)), &block, &transactions, case.database());
        assert_equal(&expected, &found, &format!("seed {seed}, {:?}", block.cfg.spec));
        *(if expected.0.is_ok() { &mut fine } else { &mut failed }) += 1;
        let dearer = Publishing { per_byte: 8, ..fee };
        for wrong in [factory(), factory().with_surcharge(Arc::new(dearer))] {
            let wrong = run(&wrong, &block, &transactions, case.database());
            noticed += usize::from(wrong.1 != expected.1);
        }
    }
    assert!(fine > 50 && failed > 20, "{fine} fine, {failed} failed");
    assert!(noticed > 100, "only {noticed} noticed");
}

#[test]
fn transactions_with_a_fee_overlap() {
    let (block, database) = calls(|_| MEETING);
    let transactions = shells(&block.transactions);
    let meeting = Arc::new(Meeting::default());
    let own = vec![Arc::<Meeting>::clone(&meeting) as Arc<dyn braid_evm::Precompile>];
    let fee = Publishing { vault: VAULT, per_byte: 7 };
    let factory = ours(&block, 3).with_precompiles(own).with_surcharge(Arc::new(fee));
    let left = run(&factory, &block, &transactions, database);
    assert_eq!(left.0.expect("valid").receipts.len(), 8);
    assert!(meeting.inside.lock().expect("no panic").1 >= 2, "no two met");
}

#[test]
fn one_transaction_at_a_time_is_refused() {
    let (block, database) = calls(|index| Address::repeat_byte(0x70 + index));
    let transactions = shells(&block.transactions);
    let fee = Publishing { vault: VAULT, per_byte: 7 };
    for (factory, refused) in
        [(ours(&block, 2).with_surcharge(Arc::new(fee)), true), (ours(&block, 2), false)]
    {
        let mut state = State::builder().with_database(WrapDatabaseRef(database.clone())).build();
        let env = EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() };
        let evm = factory.evm_factory().create_evm(&mut state, env);
        let mut executor = factory.create_executor(evm, context(&block));
        match executor.execute_transaction(transactions[0].clone()) {
            Ok(_) => assert!(!refused, "it was executed without the fee"),
            Err(error) => assert!(refused && error.to_string().contains("surcharge"), "{error}"),
        }
    }
}
