//! Errors in the words of geth, as wallets and libraries search messages for them.

use crate::call::Environment;
use alloy_primitives::{Address, U256};
use braid_chain::pool::PoolError;
use revm::{
    bytecode::opcode::OpCode,
    context::TxEnv,
    context_interface::result::{HaltReason, InvalidTransaction},
};

#[cfg(test)]
mod tests;

/// Maximum number of items on the EVM's stack.
const STACK_LIMIT: i32 = 1_024;

/// Fees that a transaction offers, and the base fee of its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fees {
    sender: Address,
    max_fee: u128,
    tip: Option<u128>,
    base_fee: u64,
}

impl Fees {
    pub(crate) const fn new<S>(at: &Environment<S>, tx: &TxEnv) -> Self {
        Self::of(tx, at.env.basefee)
    }

    /// Returns the fees of `tx` in a block with this base fee.
    pub(crate) const fn of(tx: &TxEnv, base_fee: u64) -> Self {
        let TxEnv { caller, gas_price, gas_priority_fee, .. } = tx;
        Self { sender: *caller, max_fee: *gas_price, tip: *gas_priority_fee, base_fee }
    }
}

/// Message for a call whose sender has insufficient funds.
pub(crate) fn funds(sender: Address, balance: U256, cost: U256) -> String {
    format!(
        "insufficient funds for gas * price + value: address {sender} have {balance} want {cost}"
    )
}

/// Message for a call that cannot be executed.
pub(crate) fn invalid(why: &InvalidTransaction, fees: Fees) -> String {
    let Fees { sender, max_fee, tip, base_fee } = fees;
    match why {
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => funds(sender, **balance, **fee),
        InvalidTransaction::GasPriceLessThanBasefee => {
            let words = invalid_alone(why);
            format!("{words}: address {sender}, maxFeePerGas: {max_fee}, baseFee: {base_fee}")
        }
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => {
            let (words, tip) = (invalid_alone(why), tip.unwrap_or_default());
            format!(
                "{words}: address {sender}, maxPriorityFeePerGas: {tip}, maxFeePerGas: {max_fee}"
            )
        }
        why => invalid_alone(why),
    }
}

/// Message for a transaction that cannot be executed, without details of its fees.
fn invalid_alone(why: &InvalidTransaction) -> String {
    match why {
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => {
            "max priority fee per gas higher than max fee per gas".to_owned()
        }
        InvalidTransaction::GasPriceLessThanBasefee => {
            "max fee per gas less than block base fee".to_owned()
        }
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}")
        }
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}")
        }
        InvalidTransaction::CallerGasLimitMoreThanBlock => "exceeds block gas limit".to_owned(),
        InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            format!("transaction gas limit too high (cap: {cap}, tx: {gas_limit})")
        }
        InvalidTransaction::CreateInitCodeSizeLimit => "max initcode size exceeded".to_owned(),
        why => why.to_string(),
    }
}

/// Message for a transaction that the pool refuses.
pub(crate) fn refused(why: &PoolError) -> String {
    match why {
        PoolError::Invalid(why) => format!("{}; correct it and sign it again", invalid_alone(why)),
        why => why.to_string(),
    }
}

/// An instruction that could not be executed: its opcode, and the number of items on the stack.
pub(crate) type Step = (u8, usize);

/// Whether [`halted`] returns more details if it knows the last instruction.
pub(crate) const fn names_instruction(reason: &HaltReason) -> bool {
    matches!(
        reason,
        HaltReason::OpcodeNotFound
            | HaltReason::NotActivated
            | HaltReason::StackUnderflow
            | HaltReason::StackOverflow
    )
}

/// Message for a call that halted. `last` is its last instruction.
pub(crate) fn halted(reason: &HaltReason, last: Option<Step>) -> String {
    let words = match reason {
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => {
            return format!("invalid opcode{}", last.map(name).unwrap_or_default());
        }
        HaltReason::StackUnderflow | HaltReason::StackOverflow => {
            let last = last.and_then(|(code, items)| Some((OpCode::new(code)?, items)));
            return last.map_or_else(|| "stack underflow or overflow".to_owned(), stack);
        }
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection"
        }
        HaltReason::OutOfFunds => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
        HaltReason::PrecompileErrorWithContext(why) => why,
        reason => return format!("execution ended: {reason:?}"),
    };
    words.to_owned()
}

/// Formats the opcode of a step, to follow "invalid opcode".
fn name((code, _): Step) -> String {
    match OpCode::new(code) {
        Some(known) => format!(": {known}"),
        None => format!(": opcode {code:#x} not defined"),
    }
}

/// Describes the error of the stack. revm also reports an overflow if there is no item to
/// duplicate.
fn stack((code, items): (OpCode, usize)) -> String {
    let needed = code.inputs();
    if items < usize::from(needed) {
        return format!("stack underflow ({items} <=> {needed})");
    }
    format!("stack limit reached {items} ({})", STACK_LIMIT - i32::from(code.io_diff()))
}

/// Decodes the reason of a revert: Solidity's `Error(string)` or `Panic(uint256)`.
pub(crate) fn reverted(output: &[u8]) -> Option<String> {
    let (selector, words) = output.split_first_chunk::<4>()?;
    match selector {
        [0x08, 0xc3, 0x79, 0xa0] => {
            let length = usize::try_from(U256::from_be_slice(words.get(32..64)?)).ok()?;
            let text = words.get(64..)?.get(..length)?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        [0x4e, 0x48, 0x7b, 0x71] => {
            let code = U256::from_be_slice(words.get(..32)?);
            let known = u64::try_from(code).ok().and_then(panicked);
            Some(known.map_or_else(|| format!("unknown panic code: {code:#x}"), str::to_owned))
        }
        _ => None,
    }
}

/// Returns the meaning of a code of Solidity's `Panic(uint256)`.
const fn panicked(code: u64) -> Option<&'static str> {
    Some(match code {
        0x00 => "generic panic",
        0x01 => "assert(false)",
        0x11 => "arithmetic underflow or overflow",
        0x12 => "division or modulo by zero",
        0x21 => "enum overflow",
        0x22 => "invalid encoded storage byte array accessed",
        0x31 => "out-of-bounds array access; popping on an empty array",
        0x32 => "out-of-bounds access of an array or bytesN",
        0x41 => "out of memory",
        0x51 => "uninitialized function",
        _ => return None,
    })
}
