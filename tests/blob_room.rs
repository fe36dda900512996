//! The number of blobs in a block is limited: a transaction that exceeds it is skipped, or makes
//! the block invalid.

use alloy_primitives::{Address, B256, TxKind, U256};
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_evm::{
    Block, BlockErrorKind, BlockPosition, ChainRules, Config, Executor, Forced, Mode, Outcome,
    Policy, Rejection, TxIndex,
};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::hardfork::SpecId;
use std::num::NonZeroU16;

const BLOB: u64 = 131_072;

/// Returns a block with one sender for each number of blobs, so that a rejection affects no other
/// transaction.
fn block(blobs: &[usize]) -> (Block, MemoryDatabase) {
    let mut version = B256::ZERO;
    version.0[0] = 1;
    let sender = |index: usize| Address::with_last_byte(0x80 + index as u8);
    let transaction = |(index, count): (usize, &usize)| TxEnv {
        tx_type: if *count == 0 { 2 } else { 3 },
        caller: sender(index),
        gas_limit: 21_000,
        gas_price: 10,
        gas_priority_fee: Some(1),
        kind: TxKind::Call(Address::repeat_byte(0xee)),
        value: U256::ONE,
        chain_id: Some(1),
        blob_hashes: vec![version; *count],
        max_fee_per_blob_gas: u128::from(*count > 0),
        ..TxEnv::default()
    };
    let rich = MemoryAccount { balance: U256::from(u64::MAX), ..MemoryAccount::default() };
    let accounts = (0..blobs.len()).map(|index| (sender(index), rich.clone())).collect();
    let block = Block {
        cfg: CfgEnv::new_with_spec(SpecId::CANCUN).with_max_blobs_per_tx(6),
        env: BlockEnv {
            number: U256::from(9),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: 0,
                blob_gasprice: 1,
            }),
            prevrandao: Some(B256::ZERO),
            ..BlockEnv::default()
        },
        transactions: blobs.iter().enumerate().map(transaction).collect(),
        parent_beacon_block_root: Some(B256::ZERO),
        rules: ChainRules { max_blob_gas: Some(6 * BLOB), ..ChainRules::default() },
        ..Block::default()
    };
    (block, MemoryDatabase::new(accounts))
}

fn executor(workers: u16, mode: Mode) -> Executor {
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
    (config.engine.mode, config.policy) = (mode, Policy::Forced(Forced::Speculative));
    Executor::new(config).expect("threads start")
}

#[test]
fn what_does_not_fit_is_left_out() {
    for workers in [1, 3] {
        let (block, database) = block(&[3, 2, 2, 0, 1, 1, 0]);
        let output = executor(workers, Mode::Build)
            .block(block)
            .database(database)
            .execute()
            .expect("is built");
        let skipped = output.outcomes.iter().enumerate().filter_map(|(index, outcome)| {
            let Outcome::Skipped(reason) = outcome else { return None };
            Some((index, reason.clone()))
        });
        let full = |requested, available| Rejection::BlobGas { requested, available };
        assert_eq!(
            skipped.collect::<Vec<_>>(),
            [(2, full(2 * BLOB, BLOB)), (5, full(BLOB, 0))],
            "{workers} workers"
        );
        assert_eq!(output.blob_gas_used, 6 * BLOB);
    }
}

#[test]
fn it_makes_a_block_invalid() {
    for workers in [1, 3] {
        let (block, database) = block(&[6, 0, 1, 0]);
        let error = executor(workers, Mode::Validate)
            .block(block)
            .database(database)
            .execute()
            .expect_err("full");
        assert_eq!(error.at, BlockPosition::Transaction(TxIndex(2)));
        assert!(
            matches!(error.kind, BlockErrorKind::Invalid(Rejection::BlobGas { available: 0, .. })),
            "{}",
            error.kind
        );
    }
}

#[test]
fn without_the_rule_blobs_are_not_counted() {
    let (mut block, database) = block(&[6, 6]);
    block.rules.max_blob_gas = None;
    let output =
        executor(2, Mode::Validate).block(block).database(database).execute().expect("is executed");
    assert_eq!(output.blob_gas_used, 12 * BLOB);
}

/// Only EIP-4844 transactions carry blobs; blob hashes of other types are ignored.
#[test]
fn blobs_of_another_type_are_not_counted() {
    let (mut block, database) = block(&[6, 6]);
    block.rules.max_blob_gas = Some(6 * BLOB);
    let first = block.transactions.first_mut().expect("there are two");
    first.tx_type = 2;
    for mode in [Mode::Validate, Mode::Build] {
        let request = executor(2, mode).block(block.clone()).database(database.clone()).execute();
        let output = request.expect("both have room");
        assert_eq!((output.receipts.len(), output.blob_gas_used), (2, 6 * BLOB), "{mode:?}");
    }
}
