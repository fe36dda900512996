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
