//! Why the store cannot answer.

use revm::context::DBErrorMarker;
use std::{error::Error, sync::Arc};
use thiserror::Error;

/// The store cannot be read or written. Clones share the cause.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store's own error: the file system, or data that fails its checksum.
    #[error("the store failed: {0}")]
    Backend(Arc<dyn Error + Send + Sync>),
    /// A record has another form than this version writes.
    #[error(
        "the store is damaged: {what}; restore the folder from a copy, or import the chain again"
    )]
    Damaged {
        /// The record, and what is wrong with it.
        what: String,
    },
    /// The store holds no chain.
    #[error("the store holds no chain; create one with `braid chain init`")]
    Empty,
    /// The store holds a chain already.
    #[error(
        "the store holds a chain already, at block {number}; choose an empty folder, or delete \
         this one first"
    )]
    Occupied {
        /// Number of the last block.
        number: u64,
    },
    /// The store was written by a version with another layout.
    #[error(
        "the store has schema version {found}, this version of Braid reads {expected}; open it \
         with the version that wrote it, or create the folder again and import the blocks"
    )]
    Schema {
        /// Version in the store.
        found: u32,
        /// Version that this crate reads.
        expected: u32,
    },
    /// A batch does not continue the chain in the store.
    #[error("block {number} does not follow block {head}, the last one in the store")]
    Order {
        /// Number of the batch's block.
        number: u64,
        /// Number of the last block in the store.
        head: u64,
    },
}

impl DBErrorMarker for StoreError {}

impl StoreError {
    /// Wraps the error of a storage backend.
    pub fn backend(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Backend(Arc::new(error))
    }

    /// A record that cannot be decoded.
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}
