//! The chain's own precompile: what several accounts hold together, in one call.

use alloy_primitives::{Address, B256, U256, address};
use braid_evm::{Precompile, PrecompileCall, PrecompileState};
use revm::precompile::{PrecompileError, PrecompileOutput};

/// Adds up balances. Input: addresses as 32-byte words, as Solidity encodes them. Output: the sum of
/// their balances in wei, as one word.
///
/// The executor may run a call several times, on several threads at once. So a call depends on its
/// input and on what it reads through `state`, and on nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holdings;

impl Holdings {
    /// Where it is. Ethereum's precompiles are below 0x200.
    pub(crate) const ADDRESS: Address = address!("0x0000000000000000000000000000000000010000");
    /// Gas of a call.
    const GAS: u64 = 200;
    /// Gas of each account that it reads.
    const ACCOUNT_GAS: u64 = 700;
}

impl Precompile for Holdings {
    fn address(&self) -> Address {
        Self::ADDRESS
    }

    fn call(
        &self,
        call: PrecompileCall<'_>,
        state: &mut dyn PrecompileState,
    ) -> Result<PrecompileOutput, PrecompileError> {
        let words = call.input.chunks_exact(32);
        let gas_used = Self::GAS + Self::ACCOUNT_GAS * words.len() as u64;
        if !words.remainder().is_empty() || gas_used > call.gas_limit {
            return Ok(call.halt("bad input"));
        }
        let mut sum = U256::ZERO;
        for word in words {
            // `?` passes on that a read has to wait; the executor repeats the call.
            let balance = state.balance(Address::from_word(B256::from_slice(word)))?;
            sum = sum.wrapping_add(balance);
        }
        let output = sum.to_be_bytes::<32>().into();
        Ok(call.success(gas_used, output))
    }
}
