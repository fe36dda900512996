//! Errors of the node and its server, and their JSON-RPC error codes.

use crate::{
    follow::FollowError,
    upstream::{Upstream, UpstreamError},
    words,
};
use alloy_primitives::{B256, Bytes};
use braid_chain::{ChainError, StoreError, pool::PoolError};
use jsonrpsee::types::{ErrorObjectOwned, error::INVALID_PARAMS_CODE};
use revm::context_interface::result::InvalidTransaction;
use std::{io, net::SocketAddr, time::Duration};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Reason why a node could not be opened, or stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The chain cannot be used, or a block failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder does not hold the last block, which the next block would continue.
    #[error(
        "the folder does not hold the last block {number} with its transactions, which the next one continues: it came \
         from a block file, or an earlier version imported it. Begin a chain with the state after it (`braid-node export`, then \
         `braid-node init`), or go back to the chain's first block (`braid-node unwind`)"
    )]
    NoBlock {
        /// Number of the block.
        number: u64,
    },
    /// A stored block cannot be read.
    #[error("block {number} cannot be read: {why}; run `braid-node verify`")]
    Damaged {
        /// Number of the block.
        number: u64,
        /// Description of the damage.
        why: String,
    },
    /// The chain's genesis schedules Amsterdam; the node does not make blocks of that fork.
    #[error(
        "the chain's genesis schedules Amsterdam, for which this node cannot make blocks; create the chain again \
         without amsterdamTime in the genesis"
    )]
    Amsterdam,
    /// The node cannot follow another one.
    #[error(transparent)]
    Follow(#[from] FollowError),
}

/// Reason why a server could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The server cannot listen on the address.
    #[error("cannot serve JSON-RPC on {address}: {error}; choose another port, or 0 for any")]
    Bind {
        /// Address to listen on.
        address: SocketAddr,
        /// Error of the system.
        error: io::Error,
    },
    /// The system refused resources for the async runtime.
    #[error(
        "cannot start the runtime that serves JSON-RPC: {0}; allow the process more open files \
         (ulimit -n)"
    )]
    Runtime(#[source] io::Error),
    /// Two methods have the same name.
    #[error("{0}; this is a bug of braid-node, report it")]
    Methods(String),
}

/// Reason why a call fails.
#[derive(Debug, Error)]
pub(crate) enum RpcError {
    #[error("{0}")]
    Params(String),
    #[error(
        "the state after block {asked} is not kept: ask for a later block; the latest one is {head}"
    )]
    OldState { asked: u64, head: u64 },
    #[error("header not found: block {0} is not known; the latest one is {1}")]
    UnknownBlock(String, u64),
    #[error("header not found: no block has the hash {0}")]
    UnknownHash(B256),
    #[error("blocks {from} to {to}: the oldest one that is kept is {oldest}")]
    OldBlocks { from: u64, to: u64, oldest: u64 },
    /// The message begins with geth's words.
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
    #[error("filter not found")]
    NoFilter,
    #[error("execution reverted{0}")]
    Reverted(String, Bytes),
    #[error("{0}")]
    Halted(String),
    #[error("gas required exceeds allowance ({0})")]
    Gas(u64),
    /// The transaction cannot be executed: the reason, and its description in geth's words.
    #[error("{1}")]
    Invalid(InvalidTransaction, String),
    #[error("{0}")]
    Funds(String),
    /// An override, or fields of a call, that geth refuses in these words.
    #[error("{0}")]
    Override(String),
    #[error("The transaction was added to the transaction pool but wasn't processed in {0:?}")]
    NotYet(Duration, B256),
    /// An error with geth's code.
    #[error("{1}")]
    Coded(i32, String),
    /// The error of the followed node, to which a call was forwarded.
    #[error("{}", upstream(.0, .1))]
    Upstream(String, Box<UpstreamError>),
    #[error("the state cannot be read: {0}")]
    State(#[from] StoreError),
    #[error("{0}")]
    Internal(String),
}

impl RpcError {
    /// Returns the error code: from EIP-1474, or 3 for a revert, as in geth.
    fn code(&self) -> i32 {
        match self {
            Self::Params(_) => INVALID_PARAMS_CODE,
            Self::OldBlocks { .. } => -32_001,
            // As in geth and in the execution APIs.
            Self::OldReceipts(_) => 4_444,
            Self::Late(_) => -32_002,
            Self::Busy | Self::Limit { .. } => -32_005,
            Self::Refused(PoolError::Full | PoolError::SenderFull { .. }) => -32_005,
            Self::Refused(_) => -32_003,
            Self::Reverted(..) => 3,
            Self::UnknownBlock(..) | Self::UnknownHash(_) => -32_000,
            Self::OldState { .. } | Self::Halted(_) | Self::Gas(_) => -32_000,
            Self::Invalid(..) | Self::Funds(_) | Self::Override(_) | Self::NoFilter => -32_000,
            Self::Coded(code, _) => *code,
            // As in EIP-7966.
            Self::NotYet(..) => 4,
            Self::Upstream(_, error) => error.code(),
            Self::State(_) | Self::Internal(_) => -32_603,
        }
    }

    /// Error of the followed node, to which a call was forwarded.
    pub(crate) fn of(upstream: &Upstream, error: UpstreamError) -> Self {
        Self::Upstream(upstream.origin().to_owned(), Box::new(error))
    }

    /// Error for a call that reverted with this output.
    pub(crate) fn reverted(output: Bytes) -> Self {
        let reason = words::reverted(&output).map(|reason| format!(": {reason}"));
        Self::Reverted(reason.unwrap_or_default(), output)
    }
}

/// Returns the message of a followed node as it is, and says whose answer is missing.
fn upstream(origin: &str, error: &UpstreamError) -> String {
    match error {
        UpstreamError::Refused { message, .. } => message.clone(),
        error => format!("the followed node {origin}: {error}"),
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        let error = match error {
            RpcError::Upstream(_, error) => return Self::owned(code, message, error.data()),
            error => error,
        };
        let data = match error {
            RpcError::Reverted(_, output) => Some(output),
            RpcError::NotYet(_, hash) => Some(hash.into()),
            _ => None,
        };
        Self::owned(code, message, data)
    }
}
