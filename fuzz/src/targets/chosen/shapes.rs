//! Builds larger blocks from small ones: strategies for long blocks need many transactions, and the
//! bytes of an input suffice only for few.

use super::super::twists::repeated;
use super::choices::Choices;
use crate::code::Code;
use crate::generate::Case;
use crate::memory::MemoryAccount;
use alloy_primitives::{Address, Bytes, TxKind};
use braid_evm::Block;
use revm::context::TxEnv;
use std::collections::BTreeMap;

/// Gas limit of a block with room for hundreds of transactions.
const ROOM: u64 = 4_000_000_000;

/// May enlarge the block of `case`. Most blocks stay small, because these are the fastest.
pub(super) fn enlarge(case: &mut Case, choices: &mut Choices<'_>) -> &'static str {
    match choices.byte() {
        0..=219 => "small",
        220..=231 => {
            case.block = repeated(case.block.clone());
            "repeated"
        }
        232..=235 => chain(case, choices.pick([136, 264])),
        236..=253 => spread(case, choices.pick([40, 72]), choices.pick([1, 2, 3, 9, 200])),
        254 => spread(case, 264, choices.pick([1, 2, 9, 30])),
        _ => spread(case, 1_008, choices.pick([1, 5, 40])),
    }
}

/// Replaces the transactions with `count` copies. Each has its own sender, and `together`
/// consecutive ones call the same copy of a contract. Contracts still call each other's originals.
fn spread(case: &mut Case, count: usize, together: usize) -> &'static str {
    let templates = core::mem::take(&mut case.block.transactions);
    let accounts = case.accounts.clone();
    let of_each = templates.len().max(1);
    for (index, template) in templates.iter().cycle().take(count).enumerate() {
        // A block has room for few blobs.
        if index >= of_each && !template.blob_hashes.is_empty() {
            continue;
        }
        let mut tx = TxEnv { caller: copy_of(template.caller, index), ..template.clone() };
        if let Some(account) = accounts.get(&template.caller) {
            tx.nonce = account.nonce;
            case.accounts.insert(tx.caller, account.clone());
        }
        if let TxKind::Call(to) = template.kind
            && let Some(account) = accounts.get(&to)
        {
            let copy = copy_of(to, index / together.max(1));
            put(&mut case.accounts, copy, account);
            tx.kind = TxKind::Call(copy);
        }
        case.block.transactions.push(tx);
    }
    give_room(&mut case.block);
    "spread"
}

/// Makes every transaction call one counter, so that speculation is wasted, and some of them take
/// very long.
fn chain(case: &mut Case, count: usize) -> &'static str {
    spread(case, count, count);
    let (counter, long) = (Address::repeat_byte(0xc7), Address::repeat_byte(0xc8));
    let counts = Code::new().increment(0, 1).bytes();
    // Loops while more than 100,000 gas are left: JUMPDEST, PUSH3, GAS, GT, PUSH1 0, JUMPI.
    let waits = Bytes::from_static(&[0x5b, 0x62, 0x01, 0x86, 0xa0, 0x5a, 0x11, 0x60, 0, 0x57]);
    for (at, code) in [(counter, counts), (long, waits)] {
        case.accounts.insert(at, MemoryAccount { nonce: 1, code, ..MemoryAccount::default() });
    }
    for (index, tx) in case.block.transactions.iter_mut().enumerate() {
        if !matches!(tx.kind, TxKind::Call(_)) {
            continue;
        }
        let is_long = index % 50 == 40;
        tx.kind = TxKind::Call(if is_long { long } else { counter });
        tx.data = Bytes::from_static(&[7; 36]);
        tx.gas_limit = if is_long { 600_000 } else { 100_000 };
    }
    "chain"
}

fn put(accounts: &mut BTreeMap<Address, MemoryAccount>, at: Address, account: &MemoryAccount) {
    accounts.entry(at).or_insert_with(|| account.clone());
}

/// Raises the gas limit, except in tight blocks.
fn give_room(block: &mut Block) {
    if block.env.gas_limit >= 30_000_000 {
        block.env.gas_limit = ROOM;
    }
}

/// Returns the address of copy `number` of `address`.
fn copy_of(address: Address, number: usize) -> Address {
    let mut copy = address;
    let number = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
    // Addresses in a block repeat one byte, or have one at the end.
    (copy.0[0], copy.0[1], copy.0[2]) = (0x5c, number[0], number[1]);
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_block_has_senders_and_contracts_of_their_own() {
        let mut case = Case::from_seed(3);
        spread(&mut case, 40, 4);
        let callers = case.block.transactions.iter().map(|tx| tx.caller);
        let callers: std::collections::BTreeSet<_> = callers.collect();
        assert_eq!(callers.len(), case.block.transactions.len());
        assert!(callers.iter().all(|caller| case.accounts.contains_key(caller)));
        assert!(callers.len() > 20, "{}", callers.len());
    }
}
