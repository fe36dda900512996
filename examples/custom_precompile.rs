//! A custom precompile that reads the state: it returns the balance of an account.
//!
//! Calls run on several threads, and some run more than once or on a state that is later aborted.
//! The answers in the result are those of sequential execution.
//!
//! `cargo run --example custom_precompile`

mod common;

use braid_evm::{
    Block, Config, Executed, ExecutedStatus, Executor, Outcome, Precompile, PrecompileCall,
    PrecompileState,
};
use common::{account, funded, rules};
use revm::context::TxEnv;
use revm::precompile::{PrecompileError, PrecompileOutput};
use revm::primitives::{Address, U256};
use std::error::Error;
use std::sync::Arc;

/// Gas of one call.
const PRICE: u64 = 2_600;

#[derive(Debug)]
struct BalanceOf;

impl Precompile for BalanceOf {
    fn address(&self) -> Address {
        account(0xbbbb)
    }

    fn call(
        &self,
        call: PrecompileCall<'_>,
        state: &mut dyn PrecompileState,
    ) -> Result<PrecompileOutput, PrecompileError> {
        if call.input.len() != 20 || call.gas_limit < PRICE {
            return Ok(call.halt("not an address and its gas"));
        }
        // The error of a read must be passed on: if the value is not available yet, the call is
        // repeated.
        let balance = state.balance(Address::from_slice(call.input))?;
        let output = balance.to_be_bytes::<32>().into();
        Ok(call.success(PRICE, output))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let shop = account(500);
    let state = funded(200, 100);
    // Payments and queries alternate: query n must see the n payments before it.
    let transaction = |tx: u64| {
        let builder = TxEnv::builder().caller(account(tx)).gas_limit(50_000);
        if tx.is_multiple_of(2) {
            builder.to(shop).value(U256::from(3)).build_fill()
        } else {
            builder.to(BalanceOf.address()).data(shop.to_vec().into()).build_fill()
        }
    };
    let block = Block {
        transactions: (0..200).map(transaction).collect(),
        rules: rules(),
        ..Block::default()
    };

    let executor = Executor::new(Config::default())?;
    let mut executor = executor.with_precompiles(vec![Arc::new(BalanceOf)]);
    let output = executor.block(block).database(state).execute()?;

    let mut answers = Vec::new();
    for outcome in output.outcomes.iter().skip(1).step_by(2) {
        let Outcome::Executed(Executed { status: ExecutedStatus::Success { output, .. }, .. }) =
            outcome
        else {
            return Err(format!("a call did not succeed: {outcome:?}").into());
        };
        answers.push(U256::from_be_slice(output.data()));
    }
    assert!(answers.iter().copied().eq((1..=100).map(|paid| U256::from(3 * paid))));
    println!("{} answers, the last one {} wei", answers.len(), answers[99]);
    println!("{} runs of {} transactions", output.stats.incarnations, output.stats.transactions);
    Ok(())
}
