//! Why a transaction is not admitted.

use alloy_primitives::{Address, U256};
use revm::context_interface::result::InvalidTransaction;
use thiserror::Error;

/// Why a transaction is not admitted to a pool.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PoolError {
    /// No key gives its signature.
    #[error("invalid signature; sign the transaction again")]
    Signature,
    /// No block could have it, whatever the state.
    #[error("invalid transaction: {0}; correct it and sign it again")]
    Invalid(InvalidTransaction),
    /// It carries blobs.
    #[error("blob transactions are not taken: this pool keeps no sidecars; send the data as input")]
    Blobs,
    /// It is too long.
    #[error("oversized data: {bytes} bytes, {limit} at most; split the transaction")]
    Oversized {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Its sender has code.
    #[error("sender {0} has code; send from an account without")]
    Contract(Address),
    /// The pool has it.
    #[error("already known; wait until it is in a block")]
    Known,
    /// A transaction with this nonce is in a block.
    #[error(
        "nonce too low: transaction has {found}, the account's next one is {next}; send it with that"
    )]
    NonceLow {
        /// Nonce of the transaction.
        found: u64,
        /// Nonce of the account.
        next: u64,
    },
    /// Its nonce is too far ahead.
    #[error(
        "nonce too high: transaction has {found}, the account's next one is {next}, and {limit} are \
         kept at most; send the ones before it first"
    )]
    NonceHigh {
        /// Nonce of the transaction.
        found: u64,
        /// Nonce of the account.
        next: u64,
        /// [`max_per_sender`](crate::pool::PoolConfig::max_per_sender).
        limit: u64,
    },
    /// The pool has as many transactions of its sender as it keeps.
    #[error(
        "too many pending transactions: {limit} of this sender wait already; wait until a block has \
         some of them"
    )]
    SenderFull {
        /// [`max_per_sender`](crate::pool::PoolConfig::max_per_sender).
        limit: u64,
    },
    /// It pays less than any block asks.
    #[error(
        "transaction underpriced: it pays {max_fee} per gas at most, and the base fee does not fall \
         below {least}; pay that at least"
    )]
    Underpriced {
        /// Highest fee per gas that it pays.
        max_fee: u128,
        /// Least fee per gas.
        least: u128,
    },
    /// The sender cannot pay for all that it has in the pool.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, this transaction and those \
         of the same sender in the pool cost {cost}; send less, or wait for the next block"
    )]
    Funds {
        /// Balance of the sender.
        balance: U256,
        /// What all of its transactions cost at most, this one included.
        cost: U256,
    },
    /// It does not pay enough to replace the one with the same nonce.
    #[error(
        "replacement transaction underpriced; pay a fee of {max_fee} and a tip of {tip} at least"
    )]
    Replacement {
        /// Least fee per gas.
        max_fee: u128,
        /// Least tip per gas.
        tip: u128,
    },
    /// The pool is full, and it does not pay more than what is there.
    #[error("transaction underpriced: the pool is full; pay a higher tip, or try again later")]
    Full,
    /// The account is that after another block than the pool's last one.
    #[error("the account was read after block {at}, the pool is after block {head}; read it again")]
    Stale {
        /// Block after which the account was read.
        at: u64,
        /// The pool's last block.
        head: u64,
    },
}

impl PoolError {
    /// What [`reason`](Self::reason) can be.
    pub const REASONS: &'static [&'static str] = &[
        "blobs",
        "contract",
        "full",
        "funds",
        "invalid",
        "known",
        "nonce_high",
        "nonce_low",
        "oversized",
        "replacement",
        "sender_full",
        "signature",
        "stale",
        "underpriced",
    ];

    /// The reason in a word, for counters.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Blobs => "blobs",
            Self::Contract(_) => "contract",
            Self::Full => "full",
            Self::Funds { .. } => "funds",
            Self::Invalid(_) => "invalid",
            Self::Known => "known",
            Self::NonceHigh { .. } => "nonce_high",
            Self::NonceLow { .. } => "nonce_low",
            Self::Oversized { .. } => "oversized",
            Self::Replacement { .. } => "replacement",
            Self::SenderFull { .. } => "sender_full",
            Self::Signature => "signature",
            Self::Stale { .. } => "stale",
            Self::Underpriced { .. } => "underpriced",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_reason_is_listed_once() {
        let errors = [
            PoolError::Signature,
            PoolError::Invalid(InvalidTransaction::LackOfFundForMaxFee {
                fee: Box::default(),
                balance: Box::default(),
            }),
            PoolError::Blobs,
            PoolError::Oversized { bytes: 1, limit: 0 },
            PoolError::Contract(Address::ZERO),
            PoolError::Known,
            PoolError::NonceLow { found: 0, next: 1 },
            PoolError::NonceHigh { found: 1, next: 0, limit: 1 },
            PoolError::SenderFull { limit: 1 },
            PoolError::Underpriced { max_fee: 0, least: 1 },
            PoolError::Funds { balance: U256::ZERO, cost: U256::ZERO },
            PoolError::Replacement { max_fee: 0, tip: 0 },
            PoolError::Full,
            PoolError::Stale { at: 0, head: 1 },
        ];
        let reasons: BTreeSet<_> = errors.iter().map(PoolError::reason).collect();
        assert!(reasons.iter().eq(PoolError::REASONS.iter()), "{reasons:?}");
    }
}
