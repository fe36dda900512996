//! Receives each transaction as soon as it is committed, in order, while later ones still run; then
//! ends a block early.
//!
//! `cargo run --example stream_commits`

mod common;

use braid_evm::{Block, BlockErrorKind, BlockPosition, Cloned, Config, Executor, TxIndex};
use common::{account, funded, rules};
use core::ops::ControlFlow;
use revm::context::TxEnv;
use revm::primitives::U256;
use std::error::Error;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let state = funded(300, 100);
    let pay = |payer| {
        let builder = TxEnv::builder().caller(account(payer)).to(account(999));
        builder.value(U256::from(2)).gas_limit(21_000).build_fill()
    };
    let transactions = (0..300).map(pay).collect();
    let block = Arc::new(Block { transactions, rules: rules(), ..Block::default() });
    let mut executor = Executor::new(Config::default())?;

    // The callback runs on this thread, with no lock held. It receives the outcome and the changes:
    // a task that computes the state root could already start on them.
    let mut seen = Vec::new();
    let mut received = U256::ZERO;
    let output = executor
        .block(Arc::clone(&block))
        .state(Cloned(state.clone()))
        .on_commit(|commit| {
            seen.push((commit.tx, commit.cumulative_gas_used));
            let shop = commit.changes().iter().find(|change| change.address == account(999));
            let info = shop.and_then(|shop| shop.after.as_ref());
            received = info.map_or(received, |info| info.balance);
            if commit.tx.0 % 100 == 99 {
                println!("{} transactions, {received} wei received", commit.tx.0 + 1);
            }
            ControlFlow::Continue(())
        })
        .execute()?;
    let in_order = (0..300).map(|tx| (TxIndex(tx), u64::from(tx + 1) * 21_000));
    assert!(seen.into_iter().eq(in_order));
    assert_eq!(received, U256::from(600));
    assert_eq!(output.receipts.len(), 300);

    // Cancels the block: what was committed stays valid. A commit already in progress may be
    // included, so the prefix can be longer than what the callback received.
    let stopped = executor
        .block(block)
        .state(Cloned(state))
        .on_commit(|commit| {
            if commit.tx.0 == 49 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .execute();
    match stopped {
        Err(error) => {
            println!("{error}; {} transactions were committed", error.committed.receipts.len());
            assert!(matches!(error.kind, BlockErrorKind::Cancelled));
            assert!(matches!(error.at, BlockPosition::Transaction(tx) if tx.0 >= 50));
            assert!(error.committed.receipts.len() >= 50);
        }
        // All transactions may have been committed before the callback cancelled the block.
        Ok(output) => assert_eq!(output.receipts.len(), 300),
    }
    Ok(())
}
