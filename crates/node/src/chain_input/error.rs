//! Why an input gives no block.

use braid_chain::rlp::RlpError;
use braid_testkit::block_file::BlockFileError;
use std::io;
use thiserror::Error;

/// Why an input gives no block.
#[derive(Debug, Error)]
pub enum InputError {
    /// A block file that cannot be used.
    #[error(transparent)]
    BlockFile(#[from] BlockFileError),
    /// A block of a chain with another chain id.
    #[error("{file}: the block is of the chain with id {found}, this chain has id {chain}")]
    ChainId {
        /// The file.
        file: String,
        /// Chain id that the file states.
        found: u64,
        /// Id of the chain that should execute the block.
        chain: u64,
    },
    /// RLP that cannot be used.
    #[error("{file}: {error}")]
    Rlp {
        /// The file.
        file: String,
        /// What is wrong.
        error: RlpError,
    },
    /// The file system refused.
    #[error("{file}: {error}")]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        error: io::Error,
    },
}
