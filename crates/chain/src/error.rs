//! Errors of stores and chains.

use alloy_primitives::B256;
use braid_evm::{Block, BlockError, BlockErrorKind, BlockPosition, Rejection};
use revm::{context::DBErrorMarker, context_interface::result::InvalidTransaction};
use std::{error::Error, io, path::PathBuf, sync::Arc};
use thiserror::Error;

/// Error of a store that cannot be read or written. Clones share the cause.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The storage backend failed: an error of the file system, or data that fails its checksum.
    #[error(
        "the store failed: {0}; look at the disk and its free space, and open the chain again, which goes on \
         after its last durable block"
    )]
    Backend(Arc<dyn Error + Send + Sync>),
    /// A single record cannot be read.
    #[error("{what} cannot be read: {error}")]
    Read {
        /// The account, slot, code or block that was requested.
        what: String,
        /// Why it cannot be read.
        error: Box<Self>,
    },
    /// The folder cannot be opened: it is damaged, or the file system refused.
    #[error(
        "the store in {folder} cannot be opened: {why}; if a file is damaged, restore the folder \
         from a copy, or create the chain again and import its blocks"
    )]
    Open {
        /// The folder.
        folder: PathBuf,
        /// Message of the storage backend.
        why: String,
    },
    /// A record does not have the format that this version writes.
    #[error(
        "the store is damaged: {what}; restore the folder from a copy, or import the chain again"
    )]
    Damaged {
        /// The record, and what is wrong with it.
        what: String,
    },
    /// The store holds no chain.
    #[error("the store holds no chain; create one with `braid-node init`")]
    Empty,
    /// The store already holds a chain.
    #[error(
        "the store holds a chain already, at block {number}; choose an empty folder, or delete \
         this one first"
    )]
    Occupied {
        /// Number of the last block.
        number: u64,
    },
    /// The store was written by a version with a different layout.
    #[error(
        "the store has schema version {found}, this version of Braid reads {expected}; open it \
         with the version that wrote it, or create the folder again and import the blocks"
    )]
    Schema {
        /// Schema version of the store.
        found: u32,
        /// Schema version that this crate reads.
        expected: u32,
    },
    /// The state root computed after a block differs from the one in its header.
    #[error(
        "the header states the state root {stated}, the state has {found}; the block is wrong, or the chain began \
         with another genesis or has other fork rules than the header's chain"
    )]
    StateRoot {
        /// State root in the header.
        stated: B256,
        /// State root computed after the block.
        found: B256,
    },
    /// A block cannot be unwound, as its undo record is missing.
    #[error(
        "block {number} has no undo record: {} can be unwound. The first block has none, and only those \
         of the last blocks are kept",
        blocks(*kept)
    )]
    NoUndo {
        /// Number of the block.
        number: u64,
        /// Number of blocks that can be unwound.
        kept: u64,
    },
    /// The parts of a batch are inconsistent, so the computed state root would be wrong.
    #[error(
        "the batch of block {number} cannot be written: {why}; list each account once, by address, and each slot \
         once, by address and number, with its account"
    )]
    Batch {
        /// Number of the block.
        number: u64,
        /// The inconsistency.
        why: String,
    },
    /// A batch does not follow the last block in the store.
    #[error(
        "block {number} does not follow block {head}, the last one in the store; commit block {} next",
        head.saturating_add(1)
    )]
    Order {
        /// Number of the batch's block.
        number: u64,
        /// Number of the last block in the store.
        head: u64,
    },
}

impl DBErrorMarker for StoreError {}

/// Formats a number of blocks, as "1 block" or "2 blocks".
fn blocks(count: u64) -> String {
    format!("{count} block{}", if count == 1 { "" } else { "s" })
}

impl StoreError {
    /// Wraps an error of a storage backend.
    pub fn backend(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Backend(Arc::new(error))
    }

    /// Returns the underlying error, without the records that [`Read`](Self::Read) adds.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::Read { error, .. } => error.root(),
            other => other,
        }
    }

    /// Adds the record `what` to the error.
    pub(crate) fn of(self, what: impl Into<String>) -> Self {
        Self::Read { what: what.into(), error: Box::new(self) }
    }

    /// Error for a record that cannot be decoded.
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}

/// Error that stops a chain from executing or writing a block.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The block's number is not the one after the head.
    #[error(
        "block {number} does not follow block {head}, the last one of the chain; execute block {} next, or unwind \
         blocks first",
        head.saturating_add(1)
    )]
    Number {
        /// Number of the block.
        number: u64,
        /// Number of the last block.
        head: u64,
    },
    /// The block names a parent that is not the head.
    #[error(
        "block {number}: its parent is {found}, the last block of the chain is {head}; unwind to the block that both \
         branches have, and execute the branch from there"
    )]
    Parent {
        /// Number of the block.
        number: u64,
        /// Hash of the parent that the block names.
        found: B256,
        /// Hash of the last block.
        head: B256,
    },
    /// A transaction is signed for a different chain.
    #[error(
        "block {number}, transaction {index}: it is signed for the chain id {found}, this chain has \
         the id {chain}; give this chain's blocks, or set `Block::cfg` and the genesis to the other id"
    )]
    ChainId {
        /// Number of the block.
        number: u64,
        /// Index of the transaction.
        index: usize,
        /// Chain id in the transaction.
        found: u64,
        /// Chain id of the block's configuration.
        chain: u64,
    },
    /// The block cannot be executed.
    #[error("block {number}, {at}: {kind}")]
    Block {
        /// Number of the block.
        number: u64,
        /// Where in the block execution failed.
        at: BlockPosition,
        /// Why it failed.
        kind: BlockErrorKind<StoreError>,
    },
    /// A result of the execution differs from the header.
    #[error(
        "block {number}: the header states {field} {stated}, the execution gave {found}; the block is wrong, or its \
         fork rules are not those of the header's chain"
    )]
    Header {
        /// Number of the block.
        number: u64,
        /// Name of the header's field.
        field: &'static str,
        /// Value in the header.
        stated: String,
        /// Value that the execution computed.
        found: String,
    },
    /// The store cannot be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A block was executed, but could not be written. Neither this block nor a later one is
    /// durable.
    #[error("block {number} was executed and could not be written: {error}")]
    Writer {
        /// Number of the block.
        number: u64,
        /// Error of the store.
        error: StoreError,
    },
    /// The writer's thread panicked or was terminated.
    #[error(
        "the writer's thread ended before block {number} was durable; a panic above is a bug to report; open the \
         chain again and execute from block {number} on"
    )]
    WriterEnded {
        /// Number of the first block that is not durable.
        number: u64,
    },
    /// The system refused to start a thread.
    #[error(
        "a thread cannot be started: {0}; ask for fewer workers, or raise the limit of threads (ulimit -u)"
    )]
    Thread(io::Error),
}

impl ChainError {
    /// Converts the executor's error for `block`.
    pub(crate) fn of_block(block: &Block, error: BlockError<StoreError>) -> Self {
        let number = block.env.number.saturating_to();
        // revm's error has neither chain id.
        if let BlockPosition::Transaction(index) = error.at
            && let BlockErrorKind::Invalid(Rejection::Invalid(why)) = &error.kind
            && *why == InvalidTransaction::InvalidChainId
            && let index = index.position()
            && let Some(found) = block.transactions.get(index).and_then(|it| it.chain_id)
        {
            return Self::ChainId { number, index, found, chain: block.cfg.chain_id };
        }
        Self::block(number, error)
    }

    /// Adds the block's number to the executor's error.
    pub(crate) fn block(number: u64, error: BlockError<StoreError>) -> Self {
        let BlockError { at, kind, .. } = error;
        Self::Block { number, at, kind }
    }

    /// Adds a block's number to the error of a read of the state before that block.
    pub(crate) fn before(self, number: u64) -> Self {
        match self {
            Self::Store(error) => Self::Block {
                number,
                at: BlockPosition::PreBlock,
                kind: BlockErrorKind::Base(error),
            },
            other => other,
        }
    }
}
