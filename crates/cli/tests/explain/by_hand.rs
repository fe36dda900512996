//! Blocks of a few transactions whose bounds follow from the gas table.

use alloy_primitives::{Address, Bytes, U256, bytes};
use braid_blocks::block::Block;
use braid_cli::explain::{
    Axis, Explanation, Location, Question, Recording, Target, WhatIf, explain, record,
};
use revm::{
    context::TxEnv,
    database::{CacheDB, EmptyDB},
    primitives::hardfork::SpecId,
    state::{AccountInfo, Bytecode},
};

/// Gas of a transaction before its code starts.
const INTRINSIC: u64 = 21_000;
/// Code that adds one to slot 0: PUSH0 SLOAD PUSH1 1 ADD PUSH0 SSTORE STOP.
pub(crate) const COUNTER: Bytes = bytes!("5f546001015f5500");
/// Gas of the counter's code before it reads the slot: PUSH0.
const BEFORE_READ: u64 = 2;
/// Gas of SLOAD of a cold slot, PUSH1, ADD, PUSH0.
const READ_AND_ADD: u64 = 2_100 + 3 + 3 + 2;
/// Gas of SSTORE to a warm slot: from zero, and from another value.
const SET: u64 = 20_000;
const RESET: u64 = 2_900;
/// Gas of the first call of the counter, and of each later one.
pub(crate) const FIRST: u64 = INTRINSIC + BEFORE_READ + READ_AND_ADD + SET;
pub(crate) const LATER: u64 = INTRINSIC + BEFORE_READ + READ_AND_ADD + RESET;

/// Returns the address of sender `number`.
pub(crate) fn sender(number: u8) -> Address {
    Address::with_last_byte(number).create(1)
}

pub(crate) fn contract() -> Address {
    Address::repeat_byte(0xc0)
}

/// Returns a state with 40 senders and these contracts.
pub(crate) fn state(contracts: &[(Address, Bytes)]) -> CacheDB<EmptyDB> {
    let mut state = CacheDB::new(EmptyDB::new());
    for number in 0..40 {
        let rich = AccountInfo::from_balance(U256::from(1_000_000_000_000u64));
        state.insert_account_info(sender(number), rich);
    }
    for (address, code) in contracts {
        let info = AccountInfo::default().with_code(Bytecode::new_raw(code.clone()));
        state.insert_account_info(*address, info);
    }
    state
}

/// Returns a transaction that pays a fee.
pub(crate) fn call(from: u8, nonce: u64, to: Address, value: u64) -> TxEnv {
    let builder = TxEnv::builder().caller(sender(from)).nonce(nonce).to(to).gas_price(10);
    builder.value(U256::from(value)).gas_limit(100_000).build().expect("a transaction")
}

pub(crate) fn recorded(transactions: Vec<TxEnv>, contracts: &[(Address, Bytes)]) -> Recording {
    let mut block = braid_evm::Block { transactions, ..braid_evm::Block::default() };
    block.cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN);
    block.env.beneficiary = Address::repeat_byte(0xbe);
    let mut block = Block::from(&block);
    block.rules.system_calls = false;
    record(&block, &state(contracts), 0).expect("a valid block")
}

fn ask(recording: &Recording, what_if: WhatIf) -> Explanation {
    explain(recording, &Question { what_if, workers: 16, also: vec![], axis: Axis::Gas, top: 5 })
}

fn path(explanation: &Explanation) -> Vec<usize> {
    explanation.gas.conflict_chain.iter().map(|step| step.transaction).collect()
}

/// Returns the costs of the explanation on this number of workers: whole, late read, no conflicts.
fn on(explanation: &Explanation, workers: usize) -> [u64; 3] {
    let on = explanation.gas.bounds.workers.iter().find(|on| on.workers == workers).expect("there");
    [on.chain, on.late_read, on.no_conflicts]
}

#[test]
fn a_counter_is_the_chain() {
    let contracts = [(contract(), COUNTER)];
    let calls = (0..5).map(|from| call(from, 0, contract(), 0)).collect();
    let recording = recorded(calls, &contracts);
    let gas: Vec<u64> = recording.transactions.iter().map(|it| it.gas).collect();
    assert_eq!(gas, [FIRST, LATER, LATER, LATER, LATER]);
    let it = ask(&recording, WhatIf::NOTHING);
    let work = FIRST + 4 * LATER;
    let bounds = &it.gas.bounds;
    assert_eq!((bounds.work, bounds.longest, bounds.chain), (work, FIRST, work));
    // Each starts two units of gas before the preceding one ends.
    assert_eq!(bounds.late_read, work - 4 * BEFORE_READ);
    assert_eq!(path(&it), [0, 1, 2, 3, 4]);
    let slot = Location::Slot(contract(), U256::ZERO);
    assert!(it.gas.conflict_chain[1..].iter().all(|step| step.waited_for == [slot]));
    // On two workers without conflicts: the first one and one other; three others.
    assert_eq!(on(&it, 2), [work, bounds.late_read, 3 * LATER]);
    assert_eq!(on(&it, 16), [work, bounds.late_read, FIRST]);
    assert_eq!(it.reads_fees, Vec::<usize>::new());
}

#[test]
fn without_the_counter_and_with_one_for_each_sender_nothing_waits() {
    let contracts = [(contract(), COUNTER)];
    // The last two have the same sender.
    let from = [0, 1, 2, 3, 3];
    let calls = from
        .iter()
        .enumerate()
        .map(|(index, &from)| call(from, u64::from(index == 4), contract(), 0));
    let recording = recorded(calls.collect(), &contracts);
    let slot = Location::Slot(contract(), U256::ZERO);
    let without = |target| WhatIf { without: vec![target], ..WhatIf::NOTHING };
    let sharded = WhatIf { sharded: vec![slot], ..WhatIf::NOTHING };
    let of_sender = [Location::Balance(sender(3)), Location::Nonce(sender(3))];
    let cases = [
        (without(Target::Location(slot)), &of_sender[..]),
        (without(Target::Account(contract())), &of_sender[..]),
        // The two calls of one sender share a counter.
        (sharded, &[of_sender[0], of_sender[1], slot][..]),
    ];
    for (what_if, waited_for) in cases {
        let changed = ask(&recording, what_if).changed.expect("a change");
        // The sender of two dominates: 2 * LATER is more than FIRST.
        assert_eq!(changed.gas.bounds.chain, 2 * LATER);
        assert_eq!(changed.untouched, []);
        let last = changed.gas.conflict_chain.last().expect("a path");
        assert_eq!((last.transaction, &last.waited_for[..]), (4, waited_for));
    }
    let sender_and_slot = WhatIf {
        without: vec![Target::Account(sender(3)), Target::Location(slot)],
        ..WhatIf::NOTHING
    };
    assert_eq!(ask(&recording, sender_and_slot).changed.expect("a change").gas.bounds.chain, FIRST);
    let mut both = WhatIf { sharded: vec![slot], ..WhatIf::NOTHING };
    both.without.push(Target::Account(sender(3)));
    let changed = ask(&recording, both).changed.expect("a change");
    assert_eq!(changed.gas.bounds.chain, 2 * LATER);
    assert_eq!(changed.gas.conflict_chain.last().expect("a path").waited_for, [slot]);
    let stranger = Target::Account(Address::repeat_byte(0x77));
    let changed = ask(&recording, without(stranger)).changed.expect("a change");
    assert_eq!((changed.untouched, changed.gas.bounds.chain), (vec![stranger], FIRST + 4 * LATER));
}

#[test]
fn independent_transfers_wait_for_nothing_though_all_pay_fees() {
    let pay = |from: u8| call(from, 0, Address::repeat_byte(0x80 + from), 7);
    let recording = recorded((0..6).map(pay).collect(), &[]);
    let it = ask(&recording, WhatIf::NOTHING);
    assert_eq!((it.gas.bounds.work, it.gas.bounds.chain), (6 * INTRINSIC, INTRINSIC));
    assert_eq!(on(&it, 4), [2 * INTRINSIC; 3]);
    assert_eq!(on(&it, 16), [INTRINSIC; 3]);
    assert_eq!(path(&it), [0]);
}

#[test]
fn one_sender_is_a_chain_by_nonce_and_balance() {
    let pay = |nonce: u8| call(9, nonce.into(), Address::repeat_byte(0x80 + nonce), 7);
    let recording = recorded((0..4).map(pay).collect(), &[]);
    let it = ask(&recording, WhatIf::NOTHING);
    assert_eq!((it.gas.bounds.chain, it.gas.bounds.late_read), (4 * INTRINSIC, 4 * INTRINSIC));
    let of_sender = [Location::Balance(sender(9)), Location::Nonce(sender(9))];
    assert!(it.gas.conflict_chain[1..].iter().all(|step| step.waited_for == of_sender));
}

#[test]
fn a_payee_is_a_chain_and_the_beneficiary_only_where_it_is_paid_directly() {
    let payee = Address::repeat_byte(0x99);
    let recording = recorded((0..3).map(|from| call(from, 0, payee, 7)).collect(), &[]);
    let it = ask(&recording, WhatIf::NOTHING);
    assert_eq!(it.gas.bounds.chain, 3 * INTRINSIC);
    assert_eq!(it.gas.conflict_chain[2].waited_for, [Location::Balance(payee)]);
    // Two of four transactions pay the beneficiary: they wait for each other, but for no fee.
    let beneficiary = Address::repeat_byte(0xbe);
    let to = [payee, beneficiary, Address::repeat_byte(0x98), beneficiary];
    let calls = (0..4).zip(to).map(|(from, to)| call(from, 0, to, 7)).collect();
    let it = ask(&recorded(calls, &[]), WhatIf::NOTHING);
    assert_eq!(it.reads_fees, [1, 3]);
    assert_eq!((it.gas.bounds.chain, path(&it)), (2 * INTRINSIC, vec![1, 3]));
    assert_eq!(it.gas.conflict_chain[1].waited_for, [Location::Balance(beneficiary)]);
}

#[test]
fn the_position_of_a_read_in_a_call_is_that_of_the_whole_transaction() {
    // PUSH0 x5, PUSH20 counter, GAS, CALL, STOP: 5 * 2 + 3 + 2 + 2,600 for a cold account.
    let mut code = vec![0x5f; 5];
    code.push(0x73);
    code.extend(contract());
    code.extend([0x5a, 0xf1, 0x00]);
    let caller = Address::repeat_byte(0xca);
    let contracts = [(contract(), COUNTER), (caller, code.into())];
    let calls = (0..2).map(|from| call(from, 0, caller, 0)).collect();
    let recording = recorded(calls, &contracts);
    let overhead = 5 * 2 + 3 + 2 + 2_600;
    let gas: Vec<u64> = recording.transactions.iter().map(|it| it.gas).collect();
    assert_eq!(gas, [FIRST + overhead, LATER + overhead]);
    let slot = Location::Slot(contract(), U256::ZERO);
    let access = recording.transactions[1].accesses.iter().find(|it| it.location == slot);
    let access = access.expect("the slot");
    assert_eq!(access.gas, overhead + BEFORE_READ);
    assert_eq!(access.written, Some((U256::from(1), U256::from(2))));
    let it = ask(&recording, WhatIf::NOTHING);
    assert_eq!(it.gas.bounds.late_read, FIRST + LATER + overhead - BEFORE_READ);
    assert_eq!(recording.transactions[0].calls, []);
}

#[test]
fn an_invalid_transaction_is_named() {
    let mut block = Block::from(&braid_evm::Block {
        transactions: vec![call(0, 0, contract(), 0), call(1, 5, contract(), 0)],
        ..braid_evm::Block::default()
    });
    block.rules.system_calls = false;
    let error = record(&block, &state(&[]), 0).expect_err("a gap").to_string();
    assert!(error.starts_with("transaction 1: ") && error.contains("nonce"), "{error}");
}
