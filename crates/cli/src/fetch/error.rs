//! Errors of recording, each with advice.

use alloy_primitives::B256;
use braid_blocks::{
    block_file::FieldError,
    sequential::{SequentialError, SequentialErrorKind},
};
use braid_terminal::TransportError;
use revm::context::DBErrorMarker;
use std::fmt;
use thiserror::Error;

/// Why a block could not be recorded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A call failed.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The node has no such block.
    #[error("the node has no block {wanted}: its newest is what --block latest records")]
    NoBlock {
        /// The requested block.
        wanted: String,
    },
    /// The node has the block but not its access list.
    #[error(
        "the node has no access list of block {number}: nodes keep the lists of recent blocks, \
         from Amsterdam on; braid run --emit-bal makes the list of any block"
    )]
    NoAccessList {
        /// Number of the block.
        number: u64,
    },
    /// Block 0 is a state and has no execution.
    #[error("block 0 is the genesis state and has nothing to execute: record a later block")]
    Genesis,
    /// The fork is unknown.
    #[error("the fork of a block on chain {chain_id} is unknown: name it with --fork")]
    UnknownFork {
        /// EIP-155 id of the chain.
        chain_id: u64,
    },
    /// The chain was reorganized: a block that had been read was replaced.
    #[error(
        "block {number} is {found}, but its child names {expected}: the chain was reorganized \
         meanwhile; record the block again, or an older one"
    )]
    Reorganised {
        /// Number of the parent block.
        number: u64,
        /// The parent hash in the child.
        expected: B256,
        /// The hash of the node's current block.
        found: B256,
    },
    /// The header does not match the block's content.
    #[error(
        "{what}: expected {expected}, computed {found}; the block does not follow Ethereum's \
         rules, as on most rollups, and cannot be executed"
    )]
    Inconsistent {
        /// The compared field.
        what: &'static str,
        /// The value in the header.
        expected: String,
        /// The value computed from the content.
        found: String,
    },
    /// A field that no execution can use.
    #[error(transparent)]
    Field(FieldError),
    /// The block does not execute.
    #[error("the block does not execute: {0}; is --fork right, and is it an Ethereum block?")]
    Execution(String),
    /// The execution does not match the header or the node's data.
    #[error(
        "executing the recording does not give the node's result: {}; nothing was written. Try \
         --tracer never, which reads the state without the node's tracer, or name the fork with \
         --fork",
        .0.join("; ")
    )]
    Mismatch(Vec<String>),
}

impl FetchError {
    /// Converts an error of an execution on a node's state; errors of the node itself are kept as
    /// they are.
    pub(super) fn execution(error: SequentialError<RpcError>) -> Self {
        match error.kind {
            SequentialErrorKind::Base(rpc) => Self::Rpc(rpc),
            kind => Self::Execution(format!("{}: {kind}", error.at)),
        }
    }

    /// Returns the JSON-RPC method that failed, if a call failed.
    #[must_use]
    pub fn method(&self) -> Option<&'static str> {
        match self {
            Self::Rpc(error) => Some(error.method),
            _ => None,
        }
    }
}

/// A failed call.
#[derive(Clone, Debug, Error)]
pub struct RpcError {
    /// The JSON-RPC method.
    pub method: &'static str,
    /// The node's host.
    pub origin: String,
    /// The cause.
    pub kind: RpcErrorKind,
}

impl DBErrorMarker for RpcError {}

/// Cause of a failed call.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RpcErrorKind {
    /// There was no response.
    #[error("{source} (the last of {attempts} attempts)")]
    Transport {
        /// Number of attempts.
        attempts: u32,
        /// Error of the last attempt.
        source: TransportError,
    },
    /// The node does not have the method.
    #[error("the node does not serve this method ({message})")]
    NotServed {
        /// The node's message.
        message: String,
    },
    /// The node returned an error.
    #[error("the node says: {message} (code {code})")]
    Node {
        /// JSON-RPC error code.
        code: i64,
        /// The node's message.
        message: String,
        /// Whether the error is a rate limit.
        limited: bool,
    },
    /// The response is not a result of the method.
    #[error("unexpected answer to this method: {0}")]
    Answer(String),
}

impl RpcErrorKind {
    /// Returns whether a retry may succeed.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Transport { source, .. } => source.may_pass(),
            Self::Node { limited, .. } => *limited,
            Self::NotServed { .. } | Self::Answer(_) => false,
        }
    }
}

impl RpcError {
    /// Returns whether the node does not have the method.
    pub(super) fn is_not_served(&self) -> bool {
        matches!(self.kind, RpcErrorKind::NotServed { .. })
    }

    /// Returns advice for the user.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match &self.kind {
            RpcErrorKind::Transport { source: TransportError::TimedOut, .. } => {
                "give it more time with --timeout, or more attempts with --attempts"
            }
            RpcErrorKind::Transport { source: TransportError::Status(401 | 403), .. } => {
                "the server refuses the key in the URL"
            }
            RpcErrorKind::Transport { .. } => {
                "check the URL, and that the node's HTTP interface is enabled (geth and reth: --http)"
            }
            RpcErrorKind::NotServed { .. } if self.method.starts_with("debug_") => {
                "start the node with --http.api eth,debug (geth, reth), --rpc-http-api=ETH,DEBUG \
                 (besu), --JsonRpc.EnabledModules=Eth,Debug (nethermind), or leave --tracer at \
                 auto"
            }
            RpcErrorKind::NotServed { .. } => {
                "enable the node's eth interface (geth and reth: --http.api eth,debug)"
            }
            RpcErrorKind::Node { limited: true, .. } => "try again later, or use another node",
            RpcErrorKind::Node { message, .. } if is_pruned(message) => {
                "the node no longer has the state before this block: use an archive node, or record a newer block"
            }
            RpcErrorKind::Node { .. } => "use another node, or record another block",
            RpcErrorKind::Answer(_) => "is this an Ethereum node?",
        }
    }
}

/// Returns whether a node's message says that the state was pruned; the wording depends on the
/// client.
fn is_pruned(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["missing trie node", "historical state", "pruned", "state not available", "not available"]
        .iter()
        .any(|words| message.contains(words))
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}; {}", self.method, self.origin, self.kind, self.advice())
    }
}
