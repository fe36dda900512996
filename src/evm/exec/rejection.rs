//! Why a transaction cannot be in the block.

use crate::evm::bal::mismatch::AccessListMismatch;
use revm::context::result::{InvalidHeader, InvalidTransaction};

/// Why a transaction cannot be in the block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The EVM rejects it: nonce, funds, fees, signature fields, gas.
    #[error("invalid transaction: {0}")]
    Invalid(InvalidTransaction),
    /// The block environment lacks a field that the fork requires.
    #[error("invalid block environment: {0}; set it in `Block::env`")]
    Header(InvalidHeader),
    /// The block has no room for its gas limit.
    #[error("gas limit {limit} is more than the {available} gas left in the block")]
    BlockGas {
        /// Gas limit of the transaction.
        limit: u64,
        /// Gas left in the block before it.
        available: u64,
    },
    /// The block has no room for its blobs: see
    /// [`ChainRules::max_blob_gas`](crate::ChainRules::max_blob_gas).
    #[error("blob gas {requested} is more than the {available} left in the block")]
    BlobGas {
        /// Blob gas of the transaction.
        requested: u64,
        /// Blob gas left in the block before it.
        available: u64,
    },
    /// The execution differs from the block's access list: see
    /// [`Block::access_list`](crate::Block::access_list).
    #[error("the access list is wrong: {0}")]
    AccessList(Box<AccessListMismatch>),
    /// A precompile aborted the execution with this message.
    #[error("execution failed: {0}")]
    Custom(String),
}

impl Rejection {
    /// Whether a block builder can skip the transaction: the fault must be the transaction's own,
    /// not that of the block environment or a precompile.
    pub(in crate::evm) const fn may_skip(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::BlockGas { .. } | Self::BlobGas { .. })
    }
}
