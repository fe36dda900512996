//! Runs a transaction of an executed block again, alone, on the state before it, with an inspector.
//!
//! `cargo run --example replay_inspector`

use braid_evm::{Block, ChainRules, Cloned, Config, Executor, TxIndex};
use revm::Inspector;
use revm::bytecode::{Bytecode, opcode};
use revm::context::TxEnv;
use revm::database::{CacheDB, EmptyDB};
use revm::interpreter::interpreter_types::Jumps;
use revm::interpreter::{CallInputs, CallOutcome, Interpreter};
use revm::primitives::{Address, U256, hex};
use revm::state::AccountInfo;
use std::error::Error;

const PAYERS: u64 = 100;
const COUNTER: Address = Address::repeat_byte(0xc0);

/// Any inspector of revm works; those of the crate `revm-inspectors` produce geth's output.
#[derive(Default)]
struct Watch {
    calls: Vec<Address>,
    stores: u64,
}

impl<C> Inspector<C> for Watch {
    fn step(&mut self, interpreter: &mut Interpreter, _: &mut C) {
        self.stores += u64::from(interpreter.bytecode.opcode() == opcode::SSTORE);
    }

    fn call(&mut self, _: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.calls.push(inputs.target_address);
        None
    }
}

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
    config.keeps_changes = true;
    let output = Executor::new(config)?.block(block).database(state.clone()).execute()?;

    let again = output.replay(TxIndex(42), Cloned(state), Watch::default())?;
    assert_eq!((again.inspector.calls, again.inspector.stores), (vec![COUNTER], 1));
    // The transaction saw the writes of the 42 transactions before it.
    let slot = &again.state[&COUNTER].storage[&U256::ZERO];
    assert_eq!(slot.original_value, U256::from(42));
    println!("transaction 42 {:?}: slot 0 was {}", again.result.gas(), slot.original_value);
    Ok(())
}
