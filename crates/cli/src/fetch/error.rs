//! What can go wrong, each with what to do next.

use super::TransportError;
use alloy_primitives::B256;
use braid_testkit::{
    block_file::FieldError,
    sequential::{SequentialError, SequentialErrorKind},
};
use revm::context::DBErrorMarker;
use std::fmt;
use thiserror::Error;

/// Why a block could not be recorded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The node could not be asked, or did not answer as it must.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The node has no such block.
    #[error("the node has no block {wanted}: its newest is what --block latest records")]
    NoBlock {
        /// What was asked for.
        wanted: String,
    },
    /// The node has the block and not its access list.
    #[error(
        "the node has no access list of block {number}: nodes have those of blocks from Amsterdam on, \
         and only of recent ones; braid run --emit-bal makes one of any block"
    )]
    NoAccessList {
        /// Number of the block.
        number: u64,
    },
    /// Block 0 is a state and executes nothing.
    #[error("block 0 is the genesis state, which executes nothing: record a later block")]
    Genesis,
    /// It is unknown which fork's rules hold.
    #[error("the header does not tell the fork on chain {chain_id}: name it with --fork")]
    UnknownFork {
        /// EIP-155 id of the chain.
        chain_id: u64,
    },
    /// Another block took the place of one that had been read.
    #[error(
        "block {number} is {found}, but its child names {expected}: the chain was reorganised \
         meanwhile; record the block again, or an older one"
    )]
    Reorganised {
        /// Number of the parent block.
        number: u64,
        /// What the child names.
        expected: B256,
        /// What the node has now.
        found: B256,
    },
    /// The block contradicts itself, before anything is executed.
    #[error(
        "{what}: expected {expected}, computed {found}; the block has something that Ethereum's \
         blocks have not, as those of most rollups do, and cannot be executed by these rules"
    )]
    Inconsistent {
        /// What was compared.
        what: &'static str,
        /// What the node says.
        expected: String,
        /// What follows from the rest.
        found: String,
    },
    /// A field that no execution can use.
    #[error(transparent)]
    Field(FieldError),
    /// The block does not execute.
    #[error("the block does not execute: {0}; is --fork right, and is it an Ethereum block?")]
    Execution(String),
    /// The block executes to something else than the node says.
    #[error(
        "the recording does not give what the node says: {}; nothing was written. \
         --tracer never reads the state without the node's tracer; --fork names the fork",
        .0.join("; ")
    )]
    Mismatch(Vec<String>),
}

impl FetchError {
    /// Sorts an error of an execution over a node: the node's own come out as they were.
    pub(super) fn execution(error: SequentialError<RpcError>) -> Self {
        match error.kind {
            SequentialErrorKind::Base(rpc) => Self::Rpc(rpc),
            kind => Self::Execution(format!("{}: {kind}", error.at)),
        }
    }

    /// The JSON-RPC method that failed, if it was one.
    #[must_use]
    pub fn method(&self) -> Option<&'static str> {
        match self {
            Self::Rpc(error) => Some(error.method),
            _ => None,
        }
    }
}

/// A call that failed.
#[derive(Clone, Debug, Error)]
pub struct RpcError {
    /// The JSON-RPC method.
    pub method: &'static str,
    /// Where the node is.
    pub origin: String,
    /// What went wrong.
    pub kind: RpcErrorKind,
}

impl DBErrorMarker for RpcError {}

/// What went wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RpcErrorKind {
    /// No answer came.
    #[error("{source} (attempt {attempts}, the last one)")]
    Transport {
        /// How often the request was sent.
        attempts: u32,
        /// Why the last one failed.
        source: TransportError,
    },
    /// The node does not have the method.
    #[error("the node does not serve this method ({message})")]
    NotServed {
        /// The node's own words.
        message: String,
    },
    /// The node answered with an error.
    #[error("the node says: {message} (code {code})")]
    Node {
        /// JSON-RPC error code.
        code: i64,
        /// The node's own words.
        message: String,
        /// Whether it only asks for patience.
        limited: bool,
    },
    /// The answer is not what the method returns.
    #[error("an answer that this method does not give: {0}")]
    Answer(String),
}

impl RpcErrorKind {
    /// Whether the same request may be answered later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Transport { source, .. } => source.may_pass(),
            Self::Node { limited, .. } => *limited,
            Self::NotServed { .. } | Self::Answer(_) => false,
        }
    }
}

impl RpcError {
    /// Whether the node does not have the method at all.
    pub(super) fn is_not_served(&self) -> bool {
        matches!(self.kind, RpcErrorKind::NotServed { .. })
    }

    /// What the user can do.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match &self.kind {
            RpcErrorKind::Transport { source: TransportError::TimedOut, .. } => {
                "give it more time with --timeout, or more attempts with --attempts"
            }
            RpcErrorKind::Transport { source: TransportError::Status(401 | 403), .. } => {
                "the server wants another key in the URL"
            }
            RpcErrorKind::Transport { .. } => {
                "check the URL, and that the node runs with its HTTP interface on \
                 (geth and reth: --http)"
            }
            RpcErrorKind::NotServed { .. } if self.method.starts_with("debug_") => {
                "start the node with --http.api eth,debug (geth, reth), --rpc-http-api=ETH,DEBUG \
                 (besu), --JsonRpc.EnabledModules=Eth,Debug (nethermind), or leave --tracer at \
                 auto"
            }
            RpcErrorKind::NotServed { .. } => {
                "start the node with its eth interface on (geth and reth: --http.api eth,debug)"
            }
            RpcErrorKind::Node { limited: true, .. } => "ask again later, or another node",
            RpcErrorKind::Node { message, .. } if is_pruned(message) => {
                "the node no longer keeps the state before this block: ask an archive node, or \
                 record a newer block"
            }
            RpcErrorKind::Node { .. } => "ask another node, or for another block",
            RpcErrorKind::Answer(_) => "is this an Ethereum node?",
        }
    }
}

/// Whether a node's message says that it has thrown the state away; each client has its own words.
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
