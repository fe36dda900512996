//! Compares state roots with a library's full computation, after each kind of change that shrinks
//! or restarts a trie, and after the block is unwound.

use crate::{
    streams::{begun_with, block, config},
    support::{Reference, contents},
};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use braid_blocks::memory::MemoryAccount;
use braid_blocks::sequential;
use braid_chain::{Chain, Head, Keep, open, unwind, verify};
use braid_evm::Block;
use revm::{
    context::{BlockEnv, CfgEnv, TxEnv},
    primitives::{TxKind, hardfork::SpecId},
};

const SENDER: Address = Address::repeat_byte(0xa0);
const TARGET: Address = Address::repeat_byte(0xb0);
const FACTORY: Address = Address::repeat_byte(0xf0);

/// Code that self-destructs: `CALLER SELFDESTRUCT`.
const DESTROYS_ITSELF: [u8; 2] = hex!("33ff");
/// Code that clears the slot whose number is in the call data.
const SETS_TO_ZERO: [u8; 7] = hex!("60006000355500");
/// Code that creates an account with `CREATE2`, salt 0, and the call data as init code.
const CREATES: [u8; 14] = hex!("36600060003760003660006000f5");
/// Init code that sets slot 2 to 7 and returns `DESTROYS_ITSELF`.
const INIT: [u8; 16] = hex!("60076002556133ff6000526002601ef3");

fn account(code: &[u8], slots: &[(u64, u64)]) -> MemoryAccount {
    let storage = slots.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value)));
    let code = Bytes::copy_from_slice(code);
    MemoryAccount { balance: U256::from(9), nonce: 1, code, storage: storage.collect() }
}

fn call(to: Address, data: &[u8]) -> TxEnv {
    let data = Bytes::copy_from_slice(data);
    let kind = TxKind::Call(to);
    let tx = TxEnv { caller: SENDER, kind, data, gas_limit: 200_000, ..TxEnv::default() };
    TxEnv { gas_price: 0, chain_id: None, ..tx }
}

/// Returns a block with these transactions of `SENDER` and these withdrawals.
fn of(transactions: &[TxEnv], withdrawals: &[(Address, u64)]) -> Block {
    let withdrawal = |(address, amount): &(Address, u64)| Withdrawal {
        address: *address,
        amount: *amount,
        ..Withdrawal::default()
    };
    let withdrawals = withdrawals.iter().map(withdrawal).collect();
    Block {
        transactions: transactions.to_vec(),
        withdrawals: Some(withdrawals),
        ..Block::default()
    }
}

fn hash_of(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

/// Executes `blocks` on a state with `accounts` and unwinds them. Compares root and contents with
/// the reference after each block, and returns the reference's states, including the first.
fn states(accounts: &[(Address, MemoryAccount)], spec: SpecId, blocks: &[Block]) -> Vec<Reference> {
    let sender = MemoryAccount { balance: U256::from(u64::MAX), ..MemoryAccount::default() };
    let accounts = accounts.iter().cloned().chain([(SENDER, sender)]).collect();
    let first = Head { number: 0, hash: hash_of(0) };
    let mut states = vec![Reference::new(&accounts, first)];
    let store = begun_with(&states[0], first);
    let is_the_same = |state: &Reference| {
        let reader = open(&store).expect("a chain");
        assert_eq!(contents(&reader), state.contents());
        assert_eq!(reader.state_root().expect("reads"), Some(state.root()));
        verify(&reader).expect("all is as it must be");
    };
    let mut nonce = 0;
    for (next, number) in blocks.iter().zip(1..) {
        let mut next = next.clone();
        next.cfg = CfgEnv::new_with_spec(spec);
        next.env = BlockEnv { number: U256::from(number), ..BlockEnv::default() };
        next.parent_hash = hash_of(number - 1);
        next.withdrawals = next.withdrawals.filter(|_| spec.is_enabled_in(SpecId::SHANGHAI));
        for tx in &mut next.transactions {
            tx.nonce = nonce;
            nonce += 1;
        }
        let mut state = states[states.len() - 1].clone();
        let head = Head { number, hash: hash_of(number) };
        let oracle = braid_blocks::block::Block::from(&next);
        let output = sequential::execute(&oracle, &state).expect("a valid block");
        assert!(output.receipts.iter().all(|receipt| receipt.success));
        state.apply(head, &output.bundle);
        let mut chain = Chain::open(store.clone(), config(2)).expect("a chain");
        chain.execute(block(&(next, head.hash))).expect("a valid block");
        chain.flush().expect("it is written");
        is_the_same(&state);
        states.push(state);
    }
    for state in states.iter().rev().skip(1) {
        unwind(&store, 1, Keep::default().root_threads).expect("it is kept");
        is_the_same(state);
    }
    states
}

fn slots(state: &Reference, address: Address) -> Vec<(u64, u64)> {
    let slots = state.slots.range((address, U256::ZERO)..=(address, U256::MAX));
    slots.map(|((_, slot), value)| (slot.to(), value.to())).collect()
}

fn exists(state: &Reference, address: Address) -> bool {
    state.accounts.contains_key(&address)
}

#[test]
fn withdrawals() {
    let [old, new, empty] = [0xc0, 0xc1, 0xc2].map(Address::repeat_byte);
    let accounts = [(old, account(&[], &[])), (empty, MemoryAccount::default())];
    let paid = of(&[], &[(old, 3), (new, 4), (empty, 0), (Address::ZERO, 0)]);
    let states = states(&accounts, SpecId::SHANGHAI, &[paid]);
    let balance = |address| states[1].accounts[&address].1;
    let gwei = 1_000_000_000_u64;
    assert_eq!(balance(old), U256::from(9 + 3 * gwei));
    assert_eq!(balance(new), U256::from(4 * gwei));
    assert!(!exists(&states[1], Address::ZERO));
}

#[test]
fn a_destroyed_account() {
    let accounts = [(TARGET, account(&DESTROYS_ITSELF, &[(1, 5), (2, 6)]))];
    let states = states(&accounts, SpecId::LONDON, &[of(&[call(TARGET, &[])], &[])]);
    assert!(!exists(&states[1], TARGET) && slots(&states[1], TARGET).is_empty());
}

#[test]
fn storage_that_is_cleared_in_a_block_after_which_the_account_exists() {
    let created = FACTORY.create2(B256::ZERO, keccak256(INIT));
    let accounts = [
        (FACTORY, account(&CREATES, &[])),
        (created, account(&DESTROYS_ITSELF, &[(1, 5), (2, 6), (3, 7)])),
    ];
    let calls = [call(created, &[]), call(FACTORY, &INIT)];
    let states = states(&accounts, SpecId::LONDON, &[of(&calls, &[])]);
    assert_eq!(slots(&states[1], created), [(2, 7)]);
    assert_eq!(states[1].nonce(created), 1);
}

#[test]
fn slots_that_are_set_to_zero() {
    let accounts = [(TARGET, account(&SETS_TO_ZERO, &[(1, 5), (2, 6), (3, 7)]))];
    let zero = |slot: u64| call(TARGET, &U256::from(slot).to_be_bytes::<32>());
    let blocks = [of(&[zero(1)], &[]), of(&[zero(3), zero(2)], &[])];
    let states = states(&accounts, SpecId::SHANGHAI, &blocks);
    assert_eq!(slots(&states[1], TARGET), [(2, 6), (3, 7)]);
    assert!(exists(&states[2], TARGET) && slots(&states[2], TARGET).is_empty());
}

/// An account without nonce, balance and code is deleted when it is touched (EIP-161).
#[test]
fn an_emptied_account() {
    let accounts = [(TARGET, MemoryAccount::default())];
    let states = states(&accounts, SpecId::SHANGHAI, &[of(&[call(TARGET, &[])], &[])]);
    assert!(exists(&states[0], TARGET) && !exists(&states[1], TARGET));
}

#[test]
fn an_account_that_is_created_again_in_a_later_block() {
    let created = FACTORY.create2(B256::ZERO, keccak256(INIT));
    let accounts = [
        (FACTORY, account(&CREATES, &[])),
        (created, account(&DESTROYS_ITSELF, &[(1, 5), (2, 6)])),
    ];
    let blocks = [of(&[call(created, &[])], &[]), of(&[call(FACTORY, &INIT)], &[])];
    let states = states(&accounts, SpecId::LONDON, &blocks);
    assert!(!exists(&states[1], created));
    assert_eq!(slots(&states[2], created), [(2, 7)]);
}
