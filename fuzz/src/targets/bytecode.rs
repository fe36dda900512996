//! Contracts of arbitrary bytes: the generator makes a block, and the input replaces the code of
//! its contracts.

use super::blocks::{self, seed_of};
use super::{chosen, twists};
use crate::code::Code;
use crate::generate::Case;
use crate::mutate::Transactions;
use alloy_primitives::{Address, Bytes};
use revm::bytecode::opcode::{self, OPCODE_INFO};
use std::sync::Arc;

/// Number of bytes that determine the block.
const HEAD: usize = 192;

pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let case = case(bytes);
    let database = case.database();
    twists::check(&case.block, &database, bytes)?;
    blocks::check(&Arc::new(case.block), &database, seed_of(bytes))
}

pub(super) fn fuzz(bytes: &[u8]) -> Result<(), String> {
    let case = case(bytes);
    let database = case.database();
    chosen::block(case.block, database, bytes)
}

/// Returns the transactions in an input; code follows them.
pub(super) fn transactions(bytes: &[u8]) -> Transactions {
    Transactions::of(&bytes[..bytes.len().min(HEAD)])
}

fn case(bytes: &[u8]) -> Case {
    let (head, code) = bytes.split_at(bytes.len().min(HEAD));
    let mut case = Case::from_bytes(head);
    let places: Vec<Address> = case.accounts.keys().copied().collect();
    let contracts = case.accounts.values_mut().filter(|account| !account.code.is_empty());
    let mut contracts: Vec<_> = contracts.collect();
    let each = code.len().div_ceil(contracts.len().max(1)).max(1);
    for (account, code) in contracts.iter_mut().zip(code.chunks(each)) {
        account.code = match code.split_first() {
            // Without arguments, most opcodes end the call.
            Some((first, rest)) if first % 4 != 0 => with_arguments(rest, &places),
            _ => Bytes::copy_from_slice(code),
        };
    }
    case
}

/// Returns the opcodes of `code` with arguments: addresses of the block for address operands, and
/// otherwise small numbers, so that contracts conflict on few slots.
fn with_arguments(code: &[u8], places: &[Address]) -> Bytes {
    let mut out = Code::new();
    for (index, op) in code.iter().enumerate() {
        let chosen = code.get(index + 1).copied().unwrap_or(0);
        let address = places.get(usize::from(chosen) % places.len().max(1));
        let address = address.copied().unwrap_or_default();
        out = match *op {
            opcode::BALANCE | opcode::EXTCODESIZE | opcode::EXTCODEHASH | opcode::SELFDESTRUCT => {
                out.address(address).op(*op)
            }
            opcode::CALL | opcode::CALLCODE => out.call(address, u64::from(chosen % 3), 30_000),
            opcode::DELEGATECALL | opcode::STATICCALL => out.call_by(*op, address, 30_000),
            opcode::SSTORE => out.sstore_top(u64::from(chosen % 3)),
            opcode::SLOAD => out.sload(u64::from(chosen % 3)),
            // A jump to an arbitrary place would end the call, and the code after it must run.
            opcode::JUMP | opcode::JUMPI => out.if_nonzero(|code| code.increment(0, 1)),
            op => match OPCODE_INFO[usize::from(op)] {
                Some(info) => {
                    let push = |code: Code, at: u8| code.push((chosen.wrapping_add(at)) % 8);
                    (0..info.inputs()).fold(out, push).op(op)
                }
                None => out.push(op % 8),
            },
        };
    }
    out.bytes()
}
