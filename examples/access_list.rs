//! Executes a block and returns its access list (EIP-7928), as a node does that builds a block;
//! then executes it with that list, as a node does that receives both, and with a wrong list.
//!
//! `cargo run --example access_list`

use braid_evm::{AccessList, Block, BlockErrorKind, ChainRules, Config, Executor};
use revm::bytecode::Bytecode;
use revm::context::TxEnv;
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::{Address, U256, hex};
use revm::state::AccountInfo;
use std::error::Error;
use std::sync::Arc;

const PAYERS: u64 = 100;
const COUNTER: Address = Address::repeat_byte(0xc0);

fn payer(number: u64) -> Address {
    Address::from_word(U256::from(0xa000 + number).into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut state = CacheDB::new(EmptyDB::new());
    for number in 0..PAYERS {
        state.insert_account_info(payer(number), AccountInfo::from_balance(U256::from(100)));
    }
    // The code adds one to slot 0.
    let code = Bytecode::new_raw(hex!("600054600101600055").into());
    state.insert_account_info(COUNTER, AccountInfo::default().with_code(code));
    let call =
        |number| TxEnv::builder().caller(payer(number)).to(COUNTER).gas_limit(50_000).build_fill();
    let block = Block {
        transactions: (0..PAYERS).map(call).collect(),
        // This state has no system contracts.
        rules: ChainRules { system_calls: false, ..ChainRules::default() },
        ..Block::default()
    };

    let mut config = Config::default();
    config.access_list = true;
    let output = Executor::new(config)?.block(block.clone()).database(state.clone()).execute()?;
    let list: AccessList = output.access_list.ok_or("a list was asked for")?;

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
