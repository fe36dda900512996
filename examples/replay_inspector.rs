//! Runs a transaction of an executed block again, alone, on the state before it, with an inspector.
//!
//! `cargo run --example replay_inspector`

mod common;

use braid_evm::{Block, Cloned, Config, Executor, TxIndex};
use common::{COUNTER, call_counter, rules, with_counter};
use revm::Inspector;
use revm::bytecode::opcode;
use revm::interpreter::interpreter_types::Jumps;
use revm::interpreter::{CallInputs, CallOutcome, Interpreter};
use revm::primitives::{Address, U256};
use std::error::Error;

const PAYERS: u64 = 100;

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

fn main() -> Result<(), Box<dyn Error>> {
    let state = with_counter(PAYERS);
    let block = Block {
        transactions: (0..PAYERS).map(call_counter).collect(),
        rules: rules(),
        ..Block::default()
    };

    let mut config = Config::default();
    config.keep_changes = true;
    let output = Executor::new(config)?.block(block).database(state.clone()).execute()?;

    let again = output.replay(TxIndex(42), Cloned(state), Watch::default())?;
    assert_eq!((again.inspector.calls, again.inspector.stores), (vec![COUNTER], 1));
    // The transaction saw the writes of the 42 transactions before it.
    let slot = &again.state[&COUNTER].storage[&U256::ZERO];
    assert_eq!(slot.original_value, U256::from(42));
    println!("transaction 42 {:?}: slot 0 was {}", again.result.gas(), slot.original_value);
    Ok(())
}
