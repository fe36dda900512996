//! Passes the output of a block to code that takes revm's and alloy's types: results, receipts with
//! their blooms, and the bundle. Neither logs nor output are copied.
//!
//! `cargo run --example revm_results`

mod common;

use alloy_consensus::ReceiptEnvelope;
use alloy_consensus::proofs::calculate_receipt_root;
use braid_evm::{Block, Config, Executor};
use common::rules;
use revm::bytecode::Bytecode;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::{Address, U256, hex};
use revm::state::AccountInfo;
use std::error::Error;

/// A contract that logs once and returns a word.
const LOGGER: Address = Address::repeat_byte(0xc0);
/// A contract that reverts.
const REFUSER: Address = Address::repeat_byte(0xc1);

fn main() -> Result<(), Box<dyn Error>> {
    let mut state = CacheDB::new(EmptyDB::new());
    for (address, code) in [(LOGGER, &hex!("5f5fa060205ff3")[..]), (REFUSER, &hex!("5f5ffd")[..])] {
        let code = Bytecode::new_raw(code.to_vec().into());
        state.insert_account_info(address, AccountInfo::default().with_code(code));
    }
    let payer = Address::repeat_byte(0xa1);
    state.insert_account_info(payer, AccountInfo::from_balance(U256::from(100)));
    let call = |to, nonce| {
        TxEnv::builder().caller(payer).to(to).nonce(nonce).gas_limit(60_000).build_fill()
    };
    let block = Block {
        transactions: vec![call(LOGGER, 0), call(REFUSER, 1)],
        rules: rules(),
        ..Block::default()
    };
    let output = Executor::new(Config::default())?.block(block).database(state).execute()?;

    // `take_results` moves the logs out of the receipts. Both are needed here, so the receipts are
    // copied.
    let receipts = output.receipts.clone();
    let envelopes: Vec<ReceiptEnvelope> = receipts.into_iter().map(Into::into).collect();
    println!("receipts root {}", calculate_receipt_root(&envelopes));
    assert_eq!(envelopes.iter().map(|receipt| receipt.logs().len()).sum::<usize>(), 1);

    let mut output = output;
    let results: Vec<ExecutionResult> = output.take_results().collect::<Result<_, _>>()?;
    for result in &results {
        println!(
            "{} gas, {} logs: {:?}",
            result.tx_gas_used(),
            result.logs().len(),
            result.output()
        );
    }
    assert!(results[0].is_success() && matches!(results[1], ExecutionResult::Revert { .. }));
    assert_eq!(results[0].logs()[0].address, LOGGER);
    println!("{} accounts in revm's bundle", output.bundle.state().len());
    Ok(())
}
