//! Executes a block on top of a parent that is not written yet, and then reverts it.
//!
//! `cargo run --example parent_bundle`

mod common;

use braid_evm::{Block, CancellationToken, Config, Executor};
use common::{account, funded, rules};
use core::ops::ControlFlow;
use revm::context::TxEnv;
use revm::database::BundleState;
use revm::primitives::{Address, U256};
use std::error::Error;

const SHOP: Address = Address::repeat_byte(0x5a);

/// Returns a block in which each payer pays the shop once.
fn block(number: u64) -> Block {
    let pay = |payer_number| {
        let builder = TxEnv::builder().caller(account(payer_number)).to(SHOP).nonce(number);
        builder.value(U256::from(2)).gas_limit(21_000).build_fill()
    };
    let transactions = (0..100).map(pay).collect();
    let mut block = Block { transactions, rules: rules(), ..Block::default() };
    block.env.number = U256::from(number);
    block
}

/// Returns the shop's balance after the blocks of `bundle`.
fn owned(bundle: &BundleState) -> Option<U256> {
    Some(bundle.account(&SHOP)?.info.as_ref()?.balance)
}

fn main() -> Result<(), Box<dyn Error>> {
    let state = funded(100, 100);
    let mut executor = Executor::new(Config::default())?;
    let parent = executor.block(block(0)).database(state.clone()).execute()?.bundle;

    // `state` is still the state before the parent.
    let (token, mut committed) = (CancellationToken::new(), 0);
    let output = executor
        .block(block(1))
        .database(state)
        .parent(parent)
        .cancel(token)
        .on_commit(|_| {
            committed += 1;
            ControlFlow::Continue(())
        })
        .execute()?;
    let mut bundle = output.bundle;
    println!("{committed} payments; the shop owns {:?} wei", owned(&bundle));
    assert_eq!((committed, owned(&bundle)), (100, Some(U256::from(400))));

    // The bundle has reverts for each block, so the last block can be reverted.
    assert_eq!(bundle.reverts.len(), 2);
    bundle.revert(1);
    assert_eq!(owned(&bundle), Some(U256::from(200)));
    Ok(())
}
