//! From what Python hands over to a block file.

use crate::failure::{Failure, Which};
use braid_blocks::{
    block_file::{BlockFile, BlockFileError},
    state_root::{self, Witness},
};
use pyo3::{prelude::*, pybacked::PyBackedBytes};
use std::path::{Path, PathBuf};

/// A block file, not read yet.
#[derive(FromPyObject)]
pub(crate) enum Input {
    /// Its bytes, plain or packed.
    #[pyo3(transparent)]
    Bytes(PyBackedBytes),
    /// Where it lies.
    #[pyo3(transparent)]
    Path(PathBuf),
}

impl Input {
    /// Reads the block file, which messages call `name`.
    pub(crate) fn load(&self, name: &str) -> Result<BlockFile, Failure> {
        Ok(match self {
            Self::Bytes(bytes) => {
                BlockFile::from_bytes(bytes).map_err(|kind| BlockFileError::new(name, kind))?
            }
            Self::Path(path) => BlockFile::read(path)?,
        })
    }

    /// The state witness in `bytes`, or else the one beside the file, if there is one.
    pub(crate) fn witness(
        &self,
        bytes: Option<&PyBackedBytes>,
        name: &str,
    ) -> Result<Option<Witness>, Failure> {
        let witness = match (bytes, self) {
            (Some(bytes), _) => Some(Witness::from_bytes(bytes, Path::new("witness"))),
            (None, Self::Path(path)) => {
                state_root::path_beside(path).map(|beside| Witness::read(&beside))
            }
            (None, Self::Bytes(_)) => None,
        };
        Ok(witness.transpose().map_err(|error| BlockFileError::new(name, error))?)
    }
}

/// The block of `file`, for messages.
pub(crate) fn which(file: &BlockFile) -> Which {
    Which { number: file.block.header.inner.number, transactions: file.block.transactions.len() }
}
