//! Reading witness files.

use super::Witness;
use crate::block_file::MAX_UNPACKED_BYTES;
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
    /// It could not be read or unpacked.
    #[error("{}: expected a witness that can be read: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// It is no witness.
    #[error("{}: expected {{parent_state_root, nodes}} in JSON: {error}", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        error: serde_json::Error,
    },
}

/// As the file has it.
#[derive(Deserialize)]
struct WitnessFile {
    parent_state_root: B256,
    nodes: Vec<Bytes>,
}

/// The witness that lies beside the block file at `block`, if there is one: `x.witness.json.zst`
/// beside `x.json.zst`, and so on for each way of packing.
#[must_use]
pub fn path_beside(block: &Path) -> Option<PathBuf> {
    const ENDS: [&str; 3] = [".json.zst", ".json.gz", ".json"];
    let name = block.file_name()?.to_str()?;
    let stem = ENDS.iter().find_map(|end| name.strip_suffix(end))?;
    let beside = ENDS.map(|end| block.with_file_name(format!("{stem}.witness{end}")));
    beside.into_iter().find(|path| path.is_file())
}

impl Witness {
    /// Reads the witness at `path`; how it is packed is told by its name.
    ///
    /// # Errors
    /// [`WitnessError`], with the file's name.
    pub fn read(path: &Path) -> Result<Self, WitnessError> {
        let json = unpack(path).map_err(|error| WitnessError::Io { file: path.into(), error })?;
        let file: WitnessFile = serde_json::from_slice(&json)
            .map_err(|error| WitnessError::Json { file: path.into(), error })?;
        Ok(Self::new(file.parent_state_root, file.nodes))
    }
}

fn unpack(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    let reader: Box<dyn Read> = match extension {
        Some("zst") => Box::new(zstd::Decoder::new(file)?),
        Some("gz") => Box::new(MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut json = Vec::new();
    reader.take(MAX_UNPACKED_BYTES).read_to_end(&mut json)?;
    Ok(json)
}
