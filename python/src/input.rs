//! From what Python hands over to a block file.

use crate::failure::{Failure, Which};
use braid_testkit::{
    block_file::{BlockFile, BlockFileError},
    state_root::{self, Witness},
};
use pyo3::{prelude::*, pybacked::PyBackedBytes};
use std::path::PathBuf;

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

    /// The state witness beside the file, if there is one.
    pub(crate) fn witness(&self, name: &str) -> Result<Option<Witness>, Failure> {
        let Self::Path(path) = self else { return Ok(None) };
        let witness = state_root::path_beside(path).map(|beside| Witness::read(&beside));
        Ok(witness.transpose().map_err(|error| BlockFileError::new(name, error))?)
    }
}

/// The block of `file`, for messages.
pub(crate) fn which(file: &BlockFile) -> Which {
    Which { number: file.block.header.inner.number, transactions: file.block.transactions.len() }
}
