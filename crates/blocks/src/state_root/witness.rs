//! Reads witness files.

use super::Witness;
use crate::block_file::{GZIP_MAGIC, MAX_UNPACKED_BYTES, ZSTD_MAGIC};
use alloy_primitives::{B256, Bytes};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a witness file cannot be used.
#[derive(Debug, Error)]
pub enum WitnessError {
    /// The file could not be read or decompressed.
    #[error(
        "{}: expected a witness that can be read: {error}; without this file the state root is not \
         compared",
        file.display()
    )]
    Io {
        /// Path of the file.
        file: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The file is not a witness.
    #[error(
        "{}: expected {{parent_state_root, nodes}} in JSON: {error}; without this file the state \
         root is not compared",
        file.display()
    )]
    Json {
        /// Path of the file.
        file: PathBuf,
        /// The cause.
        error: serde_json::Error,
    },
}

/// The JSON format of a witness.
#[derive(Deserialize)]
struct WitnessFile {
    parent_state_root: B256,
    nodes: Vec<Bytes>,
}

/// Returns the path of the witness beside the block file at `block`, if there is one:
/// `x.witness.json.zst` beside `x.json.zst`, and so on for each compression.
#[must_use]
pub fn path_beside(block: &Path) -> Option<PathBuf> {
    const ENDS: [&str; 3] = [".json.zst", ".json.gz", ".json"];
    let name = block.file_name()?.to_str()?;
    let stem = ENDS.iter().find_map(|end| name.strip_suffix(end))?;
    let beside = ENDS.map(|end| block.with_file_name(format!("{stem}.witness{end}")));
    beside.into_iter().find(|path| path.is_file())
}

impl Witness {
    /// Reads the witness at `path`, plain or compressed.
    ///
    /// # Errors
    /// Returns a [`WitnessError`] with the file's name.
    pub fn read(path: &Path) -> Result<Self, WitnessError> {
        let bytes = fs::read(path);
        let bytes = bytes.map_err(|error| WitnessError::Io { file: path.into(), error })?;
        Self::from_bytes(&bytes, path)
    }

    /// Parses a witness from `bytes`, plain or compressed; errors refer to it as `name`.
    ///
    /// # Errors
    /// Returns a [`WitnessError`] with that name.
    pub fn from_bytes(bytes: &[u8], name: &Path) -> Result<Self, WitnessError> {
        let json = unpack(bytes).map_err(|error| WitnessError::Io { file: name.into(), error })?;
        let file: WitnessFile = serde_json::from_slice(&json)
            .map_err(|error| WitnessError::Json { file: name.into(), error })?;
        Ok(Self::new(file.parent_state_root, file.nodes))
    }
}

fn unpack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let reader: Box<dyn Read + '_> = if bytes.starts_with(ZSTD_MAGIC) {
        Box::new(zstd::Decoder::with_buffer(bytes)?)
    } else if bytes.starts_with(GZIP_MAGIC) {
        Box::new(MultiGzDecoder::new(bytes))
    } else {
        Box::new(bytes)
    };
    let mut json = Vec::new();
    reader.take(MAX_UNPACKED_BYTES).read_to_end(&mut json)?;
    Ok(json)
}
