//! Executes a block on all cores and prints the results.
//!
//! `cargo run --example execute_block`

mod common;

use braid_evm::{Block, Config, Executor, Outcome};
use common::{account, funded, rules};
use revm::context::TxEnv;
use revm::primitives::U256;
use std::error::Error;

const PAYERS: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    // The state before the block: any `revm::DatabaseRef`.
    let state = funded(PAYERS, 100);
    // Each account pays the next one, so every transaction but the first depends on the preceding
    // one.
    let pay = |payer| {
        let to = account((payer + 1) % PAYERS);
        let value = U256::from(payer % 7);
        TxEnv::builder().caller(account(payer)).to(to).value(value).gas_limit(21_000).build_fill()
    };
    let block =
        Block { transactions: (0..PAYERS).map(pay).collect(), rules: rules(), ..Block::default() };

    // The threads outlive the block: keep the executor for the next one.
    let mut executor = Executor::new(Config::default())?;
    let output = executor.block(block).database(state).execute()?;

    assert!(output.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Executed(_))));
    assert_eq!(output.gas_used, PAYERS * 21_000);
    let balance = |address| output.bundle.account(&address)?.info.as_ref().map(|i| i.balance);
    assert_eq!(balance(account(3)), Some(U256::from(100 - 3 + 2)));
    println!(
        "{} receipts, {} gas, {} changed accounts, account 3 owns {} wei",
        output.receipts.len(),
        output.gas_used,
        output.bundle.state().len(),
        balance(account(3)).unwrap_or_default(),
    );
    let stats = output.stats;
    println!(
        "{} workers, {} runs of {} transactions, {:.0} % computed ahead of their turn",
        stats.workers,
        stats.incarnations,
        stats.transactions,
        100.0 * stats.speculative_share(),
    );
    Ok(())
}
