//! Errors of inputs.

use braid_blocks::block_file::BlockFileError;
use braid_chain::rlp::RlpError;
use std::io;
use thiserror::Error;

/// Reason why an input cannot be used.
#[derive(Debug, Error)]
pub enum InputError {
    /// A block file cannot be used.
    #[error(transparent)]
    BlockFile(#[from] BlockFileError),
    /// A block belongs to a chain with a different chain id.
    #[error("{file}: the block is of the chain with id {found}, this chain has id {chain}")]
    ChainId {
        /// Name of the file.
        file: String,
        /// Chain id in the file.
        found: u64,
        /// Chain id of the chain that should execute the block.
        chain: u64,
    },
    /// Blocks in RLP cannot be used.
    #[error("{file}: {error}")]
    Rlp {
        /// Name of the file.
        file: String,
        /// Error of decoding.
        error: RlpError,
    },
    /// The file system returned an error.
    #[error("{file}: {error}")]
    Io {
        /// Name of the file.
        file: String,
        /// Error of the system.
        error: io::Error,
    },
}
