//! Builds a block from transactions, some of them invalid: these are skipped, and the others run as
//! if they had not been there. Executed as a block, the same list of transactions is rejected.
//!
//! `cargo run --example build_block`

mod common;

use braid_evm::{
    Block, BlockErrorKind, BlockPosition, Config, Executor, Outcome, Rejection, TxIndex,
};
use common::{account, funded, rules};
use revm::context::result::InvalidTransaction;
use revm::context::{BlockEnv, TxEnv};
use revm::primitives::U256;
use std::error::Error;

fn pay(payer: u64, nonce: u64, value: u64) -> TxEnv {
    let builder = TxEnv::builder().caller(account(payer)).to(account(99)).nonce(nonce);
    builder.value(U256::from(value)).gas_limit(21_000).build_fill()
}

fn main() -> Result<(), Box<dyn Error>> {
    let state = funded(4, 100);
    let block = Block {
        // Room for five transfers.
        env: BlockEnv { gas_limit: 5 * 21_000, ..BlockEnv::default() },
        transactions: vec![
            pay(0, 0, 10),
            pay(1, 1, 10),  // nonce 0 has not been used yet
            pay(2, 0, 500), // more than the balance
            pay(1, 0, 10),
            pay(1, 1, 10), // now the nonce is right
            pay(3, 0, 10),
            pay(0, 1, 10),
            pay(3, 1, 10), // the block is full
        ],
        rules: rules(),
        ..Block::default()
    };

    let mut executor = Executor::new(Config::default())?;
    // No transactions beyond those of the list.
    let built = executor.block(block.clone()).database(state.clone()).build(&mut ())?;
    let output = built.output;
    let mut skipped = Vec::new();
    for (tx, outcome) in output.outcomes.iter().enumerate() {
        match outcome {
            Outcome::Executed(executed) => println!("{tx}: {} gas", executed.gas.tx_gas_used()),
            Outcome::Skipped(reason) => {
                println!("{tx}: left out, {reason}");
                skipped.push((tx, reason.clone()));
            }
        }
    }
    let nonce = InvalidTransaction::NonceTooHigh { tx: 1, state: 0 };
    let full = Rejection::BlockGas { limit: 21_000, available: 0 };
    assert_eq!(skipped.len(), 3);
    assert_eq!(skipped.first(), Some(&(1, Rejection::Invalid(nonce))));
    assert!(matches!(
        skipped.get(1),
        Some((2, Rejection::Invalid(InvalidTransaction::LackOfFundForMaxFee { .. })))
    ));
    assert_eq!(skipped.last(), Some(&(7, full)));
    assert_eq!((output.receipts.len(), output.gas_used), (5, 5 * 21_000));

    // In a block that is executed, the first invalid transaction makes the block invalid.
    match executor.block(block).database(state).execute() {
        Ok(_) => return Err("an invalid block was accepted".into()),
        Err(error) => {
            println!("as a block: {error}");
            assert_eq!(error.at, BlockPosition::Transaction(TxIndex(1)));
            assert!(matches!(error.kind, BlockErrorKind::Invalid(Rejection::Invalid(_))));
            assert_eq!(error.committed.receipts.len(), 1);
        }
    }
    Ok(())
}
