//! Builds a block until a deadline, from a pool that never runs out of transactions.
//!
//! `cargo run --example deadline`

mod common;

use braid_evm::{Block, CancellationToken, Config, Executor, Rejection, TransactionPool};
use common::{account, funded, rules};
use revm::context::TxEnv;
use revm::primitives::Address;
use std::error::Error;
use std::time::{Duration, Instant};

const PAYERS: u64 = 1_000;

/// An endless pool, in which the payers pay in turn.
struct Endless {
    handed_out: u64,
}

impl TransactionPool for Endless {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        let (sender, nonce) = (account(self.handed_out % PAYERS), self.handed_out / PAYERS);
        self.handed_out += 1;
        let to = Address::repeat_byte(0xb0);
        Some(TxEnv::builder().caller(sender).to(to).nonce(nonce).gas_limit(21_000).build_fill())
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        println!("{}, nonce {}: {reason}", tx.caller, tx.nonce);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let state = funded(PAYERS, 100);
    let mut template = Block { rules: rules(), ..Block::default() };
    template.env.gas_limit = u64::MAX;

    let mut executor = Executor::new(Config::default())?;
    let mut pool = Endless { handed_out: 0 };
    let deadline = Instant::now() + Duration::from_millis(50);
    let token = CancellationToken::when(move || Instant::now() >= deadline);
    let built = executor.block(template).database(state).cancel(token).build(&mut pool)?;

    // The last transactions from the pool may not have run; they are not in the block.
    let transactions = built.block.transactions.len();
    assert_eq!(transactions, built.output.outcomes.len());
    assert!(transactions as u64 <= pool.handed_out);
    assert_eq!(built.output.gas_used, 21_000 * transactions as u64);
    println!("{transactions} transactions in 50 ms");
    Ok(())
}
