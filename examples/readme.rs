//! The README's example, word for word: a test of xtask compares the two.
//!
//! `cargo run --example readme`

use braid_evm::{Block, ChainRules, Config, Executor};
use revm::context::TxEnv;
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::{Address, U256};
use revm::state::AccountInfo;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (alice, bob) = (Address::repeat_byte(0xa1), Address::repeat_byte(0xb0));
    let mut state = CacheDB::new(EmptyDB::new()); // any revm DatabaseRef
    state.insert_account_info(alice, AccountInfo::from_balance(U256::from(10)));
    let pay = |nonce| {
        let builder = TxEnv::builder().caller(alice).to(bob).nonce(nonce);
        builder.value(U256::from(3)).gas_limit(21_000).build_fill()
    };
    let transactions = vec![pay(0), pay(1)];
    // This state has no system contracts.
    let rules = ChainRules { system_calls: false, ..ChainRules::default() };
    let block = Block { transactions, rules, ..Block::default() };

    let mut executor = Executor::new(Config::default())?; // its threads outlive the block
    let output = executor.block(block).database(state).execute()?;
    assert_eq!((output.receipts.len(), output.gas_used), (2, 42_000));
    let bob = output.bundle.account(&bob).and_then(|account| account.info.as_ref());
    assert_eq!(bob.map(|info| info.balance), Some(U256::from(6)));
    Ok(())
}
