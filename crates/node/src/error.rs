//! What can go wrong, and the codes under which JSON-RPC tells it.

use crate::words;
use alloy_primitives::Bytes;
use braid_chain::{ChainError, StoreError, pool::PoolError};
use jsonrpsee::types::{ErrorObjectOwned, error::INVALID_PARAMS_CODE};
use revm::context_interface::result::InvalidTransaction;
use std::{io, net::SocketAddr, time::Duration};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Why a node does not start, or has stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The chain cannot be used, or a block failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The header of the last block is unknown.
    #[error(
        "the folder does not hold the last block {number} with its transactions, which the next one continues: that was \
         imported, or `--history` has removed it. Begin a chain with the state after it (`braid-node export`, then \
         `braid-node init`), or go back to the chain's first block (`braid-node unwind`)"
    )]
    NoBlock {
        /// Its number.
        number: u64,
    },
    /// A block that is kept cannot be read.
    #[error("block {number} cannot be read: {why}; run `braid-node verify`")]
    Damaged {
        /// Its number.
        number: u64,
        /// What is wrong.
        why: String,
    },
    /// Blocks of this fork have fields that are not made here.
    #[error(
        "blocks with Amsterdam's rules are not made here, and the chain's genesis says when they begin; create the \
         chain again and leave amsterdamTime out of the genesis"
    )]
    Amsterdam,
}

/// Why nothing is served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot serve JSON-RPC on {address}: {error}; choose another port, or 0 for any")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The system refused what the runtime waits with.
    #[error(
        "cannot start the runtime that serves JSON-RPC: {0}; allow the process more open files \
         (ulimit -n)"
    )]
    Runtime(#[source] io::Error),
    /// Two methods have one name.
    #[error("{0}; this is a bug of braid-node, report it")]
    Methods(String),
}

/// Why a call is not answered.
#[derive(Debug, Error)]
pub(crate) enum RpcError {
    #[error("{0}")]
    Params(String),
    #[error(
        "the state after block {asked} is not kept: ask for a later block; the latest one is {head}"
    )]
    OldState { asked: u64, head: u64 },
    #[error("block {0} is not known; the latest one is {1}")]
    UnknownBlock(String, u64),
    #[error("no block has the hash {0}")]
    UnknownHash(alloy_primitives::B256),
    #[error("blocks {from} to {to}: the oldest one that is kept is {oldest}")]
    OldBlocks { from: u64, to: u64, oldest: u64 },
    /// geth's words.
    #[error(
        "pruned history unavailable: the receipts of block {0} have been removed (`braid-node prune --receipts`)"
    )]
    OldReceipts(u64),
    #[error("{}", words::refused(.0))]
    Refused(PoolError),
    #[error("the server is busy with other requests: try again later")]
    Busy,
    #[error("the request takes longer than {0:?}: ask for less at a time")]
    Late(Duration),
    #[error("more than {limit} {what}: ask for less at a time")]
    Limit { limit: u64, what: &'static str },
    #[error("execution reverted{0}")]
    Reverted(String, Bytes),
    #[error("{0}")]
    Halted(String),
    #[error("gas required exceeds allowance ({0})")]
    Gas(u64),
    /// The transaction cannot run: why, and in geth's words.
    #[error("{1}")]
    Invalid(InvalidTransaction, String),
    #[error("{0}")]
    Funds(String),
    #[error("the state cannot be read: {0}")]
    State(#[from] StoreError),
    #[error("{0}")]
    Internal(String),
}

impl RpcError {
    /// Codes of EIP-1474, and 3 as geth has it for a revert.
    fn code(&self) -> i32 {
        match self {
            Self::Params(_) => INVALID_PARAMS_CODE,
            Self::UnknownBlock(..) | Self::UnknownHash(_) | Self::OldBlocks { .. } => -32_001,
            // As geth and the execution APIs have it.
            Self::OldReceipts(_) => 4_444,
            Self::Late(_) => -32_002,
            Self::Busy | Self::Limit { .. } => -32_005,
            Self::Refused(PoolError::Full | PoolError::SenderFull { .. }) => -32_005,
            Self::Refused(_) => -32_003,
            Self::Reverted(..) => 3,
            Self::OldState { .. } | Self::Halted(_) | Self::Gas(_) => -32_000,
            Self::Invalid(..) | Self::Funds(_) => -32_000,
            Self::State(_) | Self::Internal(_) => -32_603,
        }
    }

    /// A call was reverted, and returned this.
    pub(crate) fn reverted(output: Bytes) -> Self {
        let reason = words::reverted(&output).map(|reason| format!(": {reason}"));
        Self::Reverted(reason.unwrap_or_default(), output)
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        let data = match error {
            RpcError::Reverted(_, output) => Some(output),
            _ => None,
        };
        Self::owned(code, message, data)
    }
}
