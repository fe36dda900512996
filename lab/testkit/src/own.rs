//! A fee and a precompile of a custom chain, in Braid's form.

use alloy_primitives::{Address, Bytes, U256};
use braid_evm::{Precompile, PrecompileCall, PrecompileState, Surcharge};
use revm::{
    context::TxEnv,
    precompile::{PrecompileError, PrecompileOutput},
};

/// A fee that each sender pays on top of the gas, as a rollup may charge for publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publishing {
    /// Recipient of the fee.
    pub vault: Address,
    /// Wei per non-zero byte.
    pub per_byte: u64,
}

impl Publishing {
    /// Returns the fee of `tx`.
    #[must_use]
    pub fn price(&self, tx: &TxEnv) -> U256 {
        let bytes: u64 = tx.data.iter().map(|byte| if *byte == 0 { 1 } else { 4 }).sum();
        U256::from(self.per_byte) * U256::from(bytes + tx.nonce % 3)
    }
}

impl Surcharge for Publishing {
    fn receiver(&self) -> Address {
        self.vault
    }

    fn amount(&self, tx: &TxEnv) -> U256 {
        self.price(tx)
    }
}

/// A precompile that returns the balance and slot 0 of an account, or fails, depending on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Teller {
    /// Address of the precompile.
    pub at: Address,
    /// The account that it reads; `None` for its caller.
    pub of: Option<Address>,
}

/// Result of a call of the [`Teller`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It returns these bytes.
    This(Bytes),
    /// It reverts.
    Reverted,
    /// It fails.
    Failed,
}

impl Teller {
    /// Gas of a call that does not fail.
    pub const GAS: u64 = 70;

    /// Returns the result for an account with this balance and this slot 0.
    #[must_use]
    pub fn tell(input: &[u8], balance: U256, slot: U256) -> Told {
        let sum = balance.wrapping_add(slot).wrapping_add(U256::from(input.len()));
        match sum.byte(0) % 8 {
            3 => Told::Reverted,
            5 => Told::Failed,
            _ => Told::This(Bytes::copy_from_slice(&sum.to_be_bytes::<32>())),
        }
    }
}

impl Precompile for Teller {
    fn address(&self) -> Address {
        self.at
    }

    fn call(
        &self,
        call: PrecompileCall<'_>,
        state: &mut dyn PrecompileState,
    ) -> Result<PrecompileOutput, PrecompileError> {
        let of = self.of.unwrap_or(call.caller);
        let balance = state.balance(of)?;
        let slot = state.slot(of, U256::ZERO)?;
        let gas_used = Self::GAS;
        Ok(match Self::tell(call.input, balance, slot) {
            Told::This(output) => call.success(gas_used, output),
            Told::Reverted => call.revert(gas_used, Bytes::new()),
            Told::Failed => call.halt("no"),
        })
    }
}
