//! Executes a block and returns its access list (EIP-7928), as a node does that builds a block;
//! then executes it with that list, as a node does that receives both, and with a wrong list.
//!
//! `cargo run --example access_list`

mod common;

use braid_evm::{AccessList, Block, BlockErrorKind, Config, Executor};
use common::{COUNTER, call_counter, rules, with_counter};
use revm::primitives::U256;
use std::error::Error;
use std::sync::Arc;

const PAYERS: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let state = with_counter(PAYERS);
    let block = Block {
        transactions: (0..PAYERS).map(call_counter).collect(),
        rules: rules(),
        ..Block::default()
    };

    let mut config = Config::default();
    config.access_list = true;
    let output = Executor::new(config)?.block(block.clone()).database(state.clone()).execute()?;
    let list: AccessList = output.access_list.ok_or("no access list in the output")?;

    // A builder puts this hash into the header, and other nodes compare it with the header's.
    println!("hash {}", list.compute_hash());
    let counter = list.iter().find(|account| account.address == COUNTER).ok_or("it was called")?;
    let [slot] = &counter.storage_changes[..] else { return Err("one slot changes".into()) };
    // Transaction i has index i + 1.
    assert_eq!(slot.changes.len() as u64, PAYERS);
    assert_eq!(slot.changes[0].block_access_index.get(), 1);
    assert_eq!(slot.changes[0].new_value, U256::ONE);
    println!("{} accounts, slot 0 changes {} times", list.len(), slot.changes.len());

    // Each call depends on the preceding one, but with the list they run concurrently.
    let mut executor = Executor::new(Config::default())?;
    let with = |list: &AccessList| {
        let access_list = Some(Arc::new(list.clone()));
        Block { access_list, ..block.clone() }
    };
    let checked = executor.block(with(&list)).database(state.clone()).execute()?;
    assert_eq!(checked.receipts, output.receipts);

    let mut wrong: Vec<_> = list.iter().cloned().collect();
    wrong.retain(|account| account.address != COUNTER);
    match executor.block(with(&AccessList::new(wrong))).database(state).execute() {
        Err(error) if matches!(error.kind, BlockErrorKind::AccessList(_)) => println!("{error}"),
        _ => return Err("the list is wrong".into()),
    }
    Ok(())
}
