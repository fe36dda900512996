//! A run beside another one ends once the frontier has moved on, also within a loop that reads
//! nothing.

use super::base::BlockBase;
use super::extensions::Extensions;
use super::input::Block;
use super::location::EvmLocation;
use super::machine::EvmMachine;
use super::recipe::Recipe;
use super::view::EvmView;
use crate::ids::TxIndex;
use crate::mv::Store;
use crate::worker::{Machine, Stop};
use alloy_primitives::{Address, B256, TxKind, U256, hex};
use core::convert::Infallible;
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::context::TxEnv;
use revm::state::AccountInfo;
use std::sync::Arc;

const LOOPS: Address = Address::repeat_byte(0xaa);
const GAS: u64 = 1_000_000;

/// Reads a slot, then loops until the gas is spent: with JUMP, then with JUMPI.
const CODES: [&[u8]; 2] = [&hex!("600054505b600456"), &hex!("600054505b6001600457")];

/// A state in which the frontier moves on while the slot is read.
struct MovesOn<'a> {
    store: &'a Store<EvmLocation>,
    code: &'static [u8],
}

impl DatabaseRef for MovesOn<'_> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let code = || Bytecode::new_raw(self.code.into());
        Ok((address == LOOPS).then(|| AccountInfo::default().with_code(code())))
    }

    fn code_by_hash_ref(&self, _: B256) -> Result<Bytecode, Infallible> {
        Ok(Bytecode::new_raw(self.code.into()))
    }

    fn storage_ref(&self, _: Address, _: U256) -> Result<U256, Infallible> {
        self.store.set_frontier(TxIndex(1));
        Ok(U256::ZERO)
    }

    fn block_hash_ref(&self, _: u64) -> Result<B256, Infallible> {
        Ok(B256::ZERO)
    }
}

fn recipe() -> Recipe {
    let (kind, caller) = (TxKind::Call(LOOPS), Address::repeat_byte(1));
    let call = TxEnv { kind, caller, gas_limit: GAS, chain_id: Some(1), ..TxEnv::default() };
    let block = Block { transactions: vec![call], ..Block::default() };
    Recipe {
        block: Arc::new(block),
        extensions: Extensions::default(),
        // Paying the beneficiary would read it, and a read ends the run, too.
        defers: true,
        payee: None,
        sets_surcharge_aside: false,
        shares: true,
        caches_keccak: true,
        lists: false,
        claims: None,
        reads_claims: false,
        spread: Default::default(),
        moved: Arc::default(),
        blank: TxEnv::default(),
        mutant: Default::default(),
    }
}

/// A second run of a private batch ends, too, and the usual one of the same machine does not.
#[test]
fn loops_of_a_batch_beside_another_one_end_once_the_frontier_has_moved_on() {
    let recipe = recipe();
    for code in CODES {
        let store = Store::new(1);
        let base = BlockBase::new(MovesOn { store: &store, code }, Arc::default());
        let view = EvmView::of_batches(&recipe, &store, base, None);
        let mut machine = EvmMachine::over(&recipe, view);
        for is_second in [true, false] {
            machine.view_mut().begin_batch((TxIndex(0), TxIndex(0), is_second), None);
            machine.begin(TxIndex(0));
            let ran = machine.run(TxIndex(0));
            assert_eq!(ran.is_err(), is_second, "{ran:?}");
            assert_eq!(matches!(machine.end().1, Some(Stop::TooEarly)), is_second);
            machine.clear_journal();
        }
    }
}

#[test]
fn loops_of_a_run_beside_another_one_end_once_the_frontier_has_moved_on() {
    let recipe = recipe();
    for code in CODES {
        let store = Store::new(1);
        let state = MovesOn { store: &store, code };
        let base = BlockBase::new(state, Arc::default());
        let mut machine = EvmMachine::new(&recipe, &store, base, None);
        machine.begin_second(TxIndex(0));
        let ran = machine.run(TxIndex(0));
        assert!(ran.is_err(), "it ended by itself: {ran:?}");
        assert!(matches!(machine.end().1, Some(Stop::TooEarly)));
        // The usual run of the same machine is not concerned.
        machine.begin(TxIndex(0));
        let usual = machine.run(TxIndex(0)).expect("it runs out of gas");
        assert_eq!(usual.cost, GAS);
        assert!(machine.end().1.is_none());
    }
}
