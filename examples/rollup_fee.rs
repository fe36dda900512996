//! A rollup's fee for publishing a transaction, which its sender pays to a vault on top of the gas.
//! All fees of the block go to one account without making transactions wait for each other.
//!
//! `cargo run --example rollup_fee`

mod common;

use braid_evm::{Block, Config, Executor, Surcharge};
use common::{account, funded, rules};
use revm::context::TxEnv;
use revm::primitives::{Address, U256};
use std::error::Error;
use std::sync::Arc;

/// Wei per zero byte; other bytes cost four times as much.
const PER_ZERO: u64 = 10;

/// A fee by the bytes of the call. The price of a byte is fixed before the block.
#[derive(Debug)]
struct PublishingFee {
    per_zero: u64,
}

impl Surcharge for PublishingFee {
    fn receiver(&self) -> Address {
        Address::repeat_byte(0xfe)
    }

    fn amount(&self, tx: &TxEnv) -> U256 {
        let bytes: u64 = tx.data.iter().map(|byte| if *byte == 0 { 1 } else { 4 }).sum();
        U256::from(self.per_zero) * U256::from(bytes)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let state = funded(200, 5_000);
    let transaction = |sender: u64| {
        let builder = TxEnv::builder().caller(account(sender)).to(account(1_000 + sender));
        builder.data(vec![1; 100].into()).gas_limit(50_000).value(U256::from(3)).build_fill()
    };
    let block = Block {
        transactions: (0..200).map(transaction).collect(),
        rules: rules(),
        ..Block::default()
    };

    let fee = Arc::new(PublishingFee { per_zero: PER_ZERO });
    let vault = fee.receiver();
    let mut executor = Executor::new(Config::default())?.with_surcharge(fee);
    let output = executor.block(block).database(state).execute()?;

    let info = |address| output.bundle.account(address).and_then(|account| account.info.clone());
    let collected = info(&vault).ok_or("the vault got nothing")?.balance;
    assert_eq!(collected, U256::from(200 * 4 * 100 * PER_ZERO));
    let left = info(&account(7)).ok_or("a sender paid nothing")?.balance;
    assert_eq!(left, U256::from(5_000 - 3 - 4 * 100 * PER_ZERO));
    println!("{collected} wei from {} transactions", output.stats.transactions);
    println!("{} of their results were aborted", output.stats.aborts);
    Ok(())
}
