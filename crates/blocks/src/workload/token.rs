//! ERC-20 tokens in the state, and calls of them.

use super::{
    WorkloadError,
    artifact::{Artifact, call_data, mapping_slot, word},
    state::State,
};
use alloy_primitives::{Address, B256, Bytes, U256};

/// One token in its smallest unit.
pub(super) const TOKEN: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// The token contract: its code, and the positions of its variables.
#[derive(Debug)]
pub(super) struct Tokens {
    code: (B256, Bytes),
    balances: U256,
    allowances: U256,
    supply: U256,
    name: U256,
    symbol: U256,
    transfer: [u8; 4],
}

impl Tokens {
    pub(super) fn load() -> Result<Self, WorkloadError> {
        let artifact = Artifact::token()?;
        Ok(Self {
            code: artifact.code(),
            balances: artifact.slot("_balances")?,
            allowances: artifact.slot("_allowances")?,
            supply: artifact.slot("_totalSupply")?,
            name: artifact.slot("_name")?,
            symbol: artifact.slot("_symbol")?,
            transfer: artifact.selector("transfer(address,uint256)")?,
        })
    }

    /// Deploys a token without holders at `address`.
    pub(super) fn deploy(&self, state: &mut State, address: Address, number: u64) {
        state.deploy(address, self.code.clone());
        state.set(address, self.name, short_string(&format!("Token {number}")));
        state.set(address, self.symbol, short_string(&format!("T{number}")));
    }

    /// Mints `amount` for `holder`.
    pub(super) fn mint(&self, state: &mut State, token: Address, holder: Address, amount: U256) {
        let balance = mapping_slot(word(holder), self.balances);
        for slot in [balance, self.supply] {
            let value = state.get(token, slot) + amount;
            state.set(token, slot, value);
        }
    }

    /// Returns whether `holder` has any of the token.
    pub(super) fn is_holder(&self, state: &State, token: Address, holder: Address) -> bool {
        !state.get(token, mapping_slot(word(holder), self.balances)).is_zero()
    }

    /// Approves `spender` for an unlimited amount of `holder`'s tokens.
    pub(super) fn approve(
        &self,
        state: &mut State,
        token: Address,
        holder: Address,
        spender: Address,
    ) {
        let inner = mapping_slot(word(holder), self.allowances);
        state.set(token, mapping_slot(word(spender), inner), U256::MAX);
    }

    /// Returns the input of a transfer of the caller's tokens.
    pub(super) fn transfer(&self, recipient: Address, amount: U256) -> Bytes {
        call_data(self.transfer, &[word(recipient), amount])
    }
}

/// Encodes a string of at most 31 bytes as Solidity stores it: text on the left, twice the length
/// on the right. A longer string would be cut off, but the names here are short.
fn short_string(text: &str) -> U256 {
    let text = &text.as_bytes()[..text.len().min(31)];
    let mut bytes = [0; 32];
    bytes[..text.len()].copy_from_slice(text);
    U256::from_be_bytes(bytes) | U256::from(text.len() * 2)
}
