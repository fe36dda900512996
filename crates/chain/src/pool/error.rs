//! Reasons why a transaction is not admitted.

use alloy_primitives::{Address, U256};
use revm::context_interface::result::InvalidTransaction;
use thiserror::Error;

/// Reason why a transaction is not admitted to a pool.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The sender cannot be recovered from the signature.
    #[error("invalid signature; sign the transaction again")]
    Signature,
    /// No block could include the transaction, whatever the state.
    #[error("invalid transaction: {0}; correct it and sign it again")]
    Invalid(InvalidTransaction),
    /// A blob transaction has no sidecar.
    #[error("missing sidecar of a blob transaction; send it with blobs, commitments and proofs")]
    Blobs,
    /// The sidecar of a blob transaction is not the one that its hashes name, or its proofs are
    /// wrong.
    #[error("invalid sidecar: {0}; make it again from the blobs")]
    Sidecar(&'static str),
    /// The encoded transaction is too long.
    #[error("oversized data: {bytes} bytes, {limit} at most; split the transaction")]
    Oversized {
        /// Length in bytes.
        bytes: usize,
        /// Maximum length in bytes.
        limit: usize,
    },
    /// The sender has code.
    #[error("sender {0} has code; send from an account without")]
    Contract(Address),
    /// The pool already has the transaction.
    #[error("already known; wait until it is in a block")]
    Known,
    /// A transaction with this nonce is already in a block.
    #[error(
        "nonce too low: transaction has {found}, the account's next one is {next}; send it with that"
    )]
    NonceLow {
        /// Nonce of the transaction.
        found: u64,
        /// Nonce of the account.
        next: u64,
    },
    /// The nonce is too far ahead of the account's nonce.
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
    /// The pool already has the maximum number of transactions of this sender.
    #[error(
        "too many pending transactions: {limit} of this sender wait already; wait until a block has \
         some of them"
    )]
    SenderFull {
        /// [`max_per_sender`](crate::pool::PoolConfig::max_per_sender).
        limit: u64,
    },
    /// The fee is below the lowest base fee that the chain can have.
    #[error(
        "transaction underpriced: it pays {max_fee} per gas at most, and the base fee does not fall \
         below {least}; pay that at least"
    )]
    Underpriced {
        /// Maximum fee per gas that the transaction pays.
        max_fee: u128,
        /// Lowest base fee per gas.
        least: u128,
    },
    /// The sender's balance does not cover all of its transactions in the pool.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, this transaction and those \
         of the same sender in the pool cost {cost}; send less, or wait for the next block"
    )]
    Funds {
        /// Balance of the sender.
        balance: U256,
        /// Maximum cost of all its transactions, including this one.
        cost: U256,
    },
    /// The transaction does not pay enough to replace the one with the same nonce.
    #[error(
        "replacement transaction underpriced; pay a fee of {max_fee} and a tip of {tip} at least"
    )]
    Replacement {
        /// Fee per gas that a replacement must pay.
        max_fee: u128,
        /// Tip per gas that a replacement must pay.
        tip: u128,
    },
    /// The transaction does not pay enough per blob gas to replace the one with the same nonce.
    #[error("replacement transaction underpriced; pay {fee} per blob gas at least")]
    BlobReplacement {
        /// Fee per blob gas that a replacement must pay.
        fee: u128,
    },
    /// The pool is full, and the transaction is not worth more than the ones it would evict.
    #[error("transaction underpriced: the pool is full; pay a higher tip, or try again later")]
    Full,
    /// The account was read after a different block than the pool's last one.
    #[error("the account was read after block {at}, the pool is after block {head}; read it again")]
    Stale {
        /// Block after which the account was read.
        at: u64,
        /// Number of the pool's last block.
        head: u64,
    },
}

impl PoolError {
    /// All values that [`reason`](Self::reason) returns.
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
        "sidecar",
        "signature",
        "stale",
        "underpriced",
    ];

    /// Returns the reason as one word, for counters.
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
            Self::Replacement { .. } | Self::BlobReplacement { .. } => "replacement",
            Self::SenderFull { .. } => "sender_full",
            Self::Sidecar(_) => "sidecar",
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
            PoolError::BlobReplacement { fee: 0 },
            PoolError::Sidecar(""),
            PoolError::Full,
            PoolError::Stale { at: 0, head: 1 },
        ];
        let reasons: BTreeSet<_> = errors.iter().map(PoolError::reason).collect();
        assert!(reasons.iter().eq(PoolError::REASONS.iter()), "{reasons:?}");
    }
}
