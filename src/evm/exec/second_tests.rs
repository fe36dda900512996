//! Tests that useless runs are aborted, even within code that reads nothing: a helper run once the
//! frontier has advanced, and a run on an access list once a lower transaction has differed from
//! the list.

use super::base::BlockBase;
use super::block_context::BlockContext;
use super::extensions::Extensions;
use super::input::Block;
use super::location::{EvmLocation, EvmValue};
use super::machine::EvmMachine;
use super::payees::Payees;
use super::view::EvmView;
use crate::evm::bal::mismatch::{Access, AccessListMismatch, AccountField};
use crate::evm::bal::prepared_list::{PreparedList, index_of};
use crate::ids::{Incarnation, TxIndex, Version, WorkerId};
use crate::mv::{Entry, Store};
use crate::worker::{Machine, Stop};
use alloy_eip7928::bal::Bal;
use alloy_primitives::{Address, B256, TxKind, U256, hex};
use core::convert::Infallible;
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::context::TxEnv;
use revm::state::AccountInfo;
use std::sync::Arc;

const LOOPS: Address = Address::repeat_byte(0xaa);
const GAS: u64 = 1_000_000;

/// Code that reads a slot, then loops until the gas is used up: with JUMP, then with JUMPI.
const CODES: [&[u8]; 2] = [&hex!("600054505b600456"), &hex!("600054505b6001600457")];

/// A state with one contract, which calls `at_read` when a slot is read.
struct State<F> {
    code: Bytecode,
    at_read: F,
}

impl<F: Fn()> State<F> {
    fn new(code: &[u8], at_read: F) -> Self {
        Self { code: Bytecode::new_raw(code.to_vec().into()), at_read }
    }
}

impl<F: Fn()> DatabaseRef for State<F> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let account = || AccountInfo::default().with_code(self.code.clone());
        Ok((address == LOOPS).then(account))
    }

    fn code_by_hash_ref(&self, _: B256) -> Result<Bytecode, Infallible> {
        Ok(self.code.clone())
    }

    fn storage_ref(&self, _: Address, _: U256) -> Result<U256, Infallible> {
        (self.at_read)();
        Ok(U256::ZERO)
    }

    fn block_hash_ref(&self, _: u64) -> Result<B256, Infallible> {
        Ok(B256::ZERO)
    }
}

fn block_context() -> BlockContext {
    let call = TxEnv {
        kind: TxKind::Call(LOOPS),
        caller: Address::repeat_byte(1),
        gas_limit: GAS,
        chain_id: Some(1),
        ..TxEnv::default()
    };
    let block = Block { transactions: vec![call.clone(), call], ..Block::default() };
    BlockContext {
        block: Arc::new(block),
        extensions: Extensions::default(),
        // Paying the beneficiary would read it, and a read ends the run as well.
        has_blind_rewards: true,
        payees: Payees::default(),
        has_blind_surcharges: false,
        shares_journals: true,
        caches_keccak: true,
        builds_list: false,
        access_list: None,
        reads_list: false,
        bundle_shards: Default::default(),
        changed_balances: Arc::default(),
        blank: TxEnv::default(),
    }
}

/// A helper run of a private batch is aborted too; a normal run of the same machine is not.
#[test]
fn loops_of_a_batch_beside_another_one_end_once_the_frontier_has_moved_on() {
    let block_context = block_context();
    for code in CODES {
        let store = Store::new(1);
        let state = State::new(code, || store.set_frontier(TxIndex(1)));
        let base = BlockBase::new(state, Arc::default());
        let view = EvmView::of_prefix(&block_context, &store, base, None);
        let mut machine = EvmMachine::over(&block_context, view);
        for is_second in [true, false] {
            machine.view_mut().begin_batch(TxIndex(0), TxIndex(0), None, is_second);
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
    let block_context = block_context();
    for code in CODES {
        let store = Store::new(1);
        let state = State::new(code, || store.set_frontier(TxIndex(1)));
        let base = BlockBase::new(state, Arc::default());
        let mut machine = EvmMachine::new(&block_context, &store, base, WorkerId(0), None);
        machine.begin_second(TxIndex(0));
        let ran = machine.run(TxIndex(0));
        assert!(ran.is_err(), "it ended by itself: {ran:?}");
        assert!(matches!(machine.end().1, Some(Stop::TooEarly)));
        // A normal run of the same machine is not affected.
        machine.begin(TxIndex(0));
        let effects = machine.run(TxIndex(0)).expect("it runs out of gas");
        assert_eq!(effects.cost, GAS);
        assert!(machine.end().1.is_none());
    }
}

/// A run named as possibly stale is aborted only if a location that it has read has changed.
#[test]
fn loops_of_a_run_end_once_something_has_changed_that_it_has_read() {
    let block_context = block_context();
    let [read, unread] = [LOOPS, Address::repeat_byte(0xbb)].map(EvmLocation::Account);
    for code in CODES {
        for (change, ends) in [(None, false), (Some(unread), false), (Some(read), true)] {
            let store = Store::new(64).with_workers(2);
            let state = State::new(code, || {
                if let Some(location) = &change {
                    let version = Version { tx: TxIndex(0), incarnation: Incarnation(0) };
                    let entry = Entry::Value(EvmValue::Account(None));
                    store.publish(version, location, entry, &mut Vec::new());
                }
                // A running transaction may be named for any reason.
                assert!(store.name_running(TxIndex(1)));
            });
            let base = BlockBase::new(state, Arc::default());
            let mut machine = EvmMachine::new(&block_context, &store, base, WorkerId(1), None);
            store.set_running(WorkerId(1), Some(TxIndex(1)));
            machine.begin(TxIndex(1));
            let ran = machine.run(TxIndex(1));
            assert_eq!(ran.is_err(), ends, "{ran:?}");
            assert_eq!(matches!(machine.end().1, Some(Stop::Overtaken)), ends);
        }
    }
}

/// Code with loops is aborted at jumps; code without loops at hashes, copies and calls.
#[test]
fn runs_beyond_one_that_differs_from_the_list_end() {
    let list = Arc::new(Bal::default());
    let hashes = [&hex!("60005450")[..], &hex!("61ffff60002050").repeat(2_000)].concat();
    let copies = [&hex!("60005450")[..], &hex!("61ffff6001600039").repeat(2_000)].concat();
    let calls =
        [&hex!("60005450")[..], &hex!("6000600060006000600461fffffa50").repeat(900)].concat();
    for code in CODES.map(<[u8]>::to_vec).into_iter().chain([hashes, copies, calls]) {
        for caches_keccak in [true, false] {
            let list = Arc::new(PreparedList::new(&list, 2, None).expect("a list"));
            let mut block_context = BlockContext {
                access_list: Some(Arc::clone(&list)),
                caches_keccak,
                ..block_context()
            };
            block_context.reads_list = true;
            // The read reveals that the lower transaction differs from the list.
            let differs = State::new(&code, || {
                let index = index_of(TxIndex(0));
                let wrong = AccessListMismatch {
                    index: index.get(),
                    address: LOOPS,
                    field: AccountField::Account,
                    listed: None,
                    executed: Some(Access::Unchanged),
                };
                list.note_mismatch(index, &wrong);
            });
            let base = BlockBase::new(differs, Arc::default()).with_list(Some(&list));
            let store = Store::new(1);
            let view = EvmView::of_prefix(&block_context, &store, base, None);
            let mut machine = EvmMachine::over(&block_context, view);
            let first = TxIndex(1);
            machine.view_mut().begin_batch(first, TxIndex(0), None, false);
            machine.begin(first);
            let ran = machine.run(first);
            assert!(ran.is_err(), "it ended by itself: {ran:?}");
            assert!(matches!(machine.end().1, Some(Stop::TooEarly)));
        }
    }
}
