//! Account data of a sender that admission needs.

use alloy_primitives::{Address, KECCAK256_EMPTY, U256};
use revm::{DatabaseRef, state::AccountInfo};

/// The account of a transaction's sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderAccount {
    /// Nonce of the account's next transaction.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Whether the account has code that is not an EIP-7702 delegation, and so cannot send
    /// transactions (EIP-3607).
    pub is_contract: bool,
}

impl SenderAccount {
    /// Reads the account of `address` from `state`; a missing account has nonce and balance 0.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn read<D: DatabaseRef>(state: &D, address: Address) -> Result<Self, D::Error> {
        let Some(info) = state.basic_ref(address)? else { return Ok(Self::default()) };
        let code = match &info.code {
            _ if has_no_code(&info) => None,
            Some(code) => Some(code.clone()),
            None => Some(state.code_by_hash_ref(info.code_hash)?),
        };
        let is_contract = code.is_some_and(|code| !code.is_empty() && !code.is_eip7702());
        Ok(Self { nonce: info.nonce, balance: info.balance, is_contract })
    }
}

fn has_no_code(info: &AccountInfo) -> bool {
    info.code_hash == KECCAK256_EMPTY || info.code_hash.is_zero()
}
