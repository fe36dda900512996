//! Resolves the arguments of a command to blocks.

use braid_blocks::{
    block_file::{
        BlockFile, BlockFileError, BlockFileErrorKind::EmptyFolder, STANDARD_STREAM,
        is_block_file_name,
    },
    state_root::{self, Witness},
    workload,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Seed of the built-in demo chain; the choice is arbitrary.
const DEMO_SEED: u64 = 1;

/// A block named by an argument.
#[derive(Debug)]
pub enum Input {
    /// A block in a file; `-` is standard input.
    File(PathBuf),
    /// A generated block.
    Generated {
        /// Name in reports.
        name: String,
        /// The block.
        file: Box<BlockFile>,
    },
    /// A block file that cannot be read.
    Unreadable(BlockFileError),
}

impl Input {
    /// Returns the name in reports.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Generated { name, .. } => name.clone(),
            Self::Unreadable(error) => error.file.clone(),
        }
    }

    /// Returns the state witness beside the block file, if there is one.
    ///
    /// # Errors
    /// Returns an error if the witness exists but cannot be read.
    pub fn witness(&self) -> Result<Option<Witness>, BlockFileError> {
        let Self::File(path) = self else { return Ok(None) };
        let witness = state_root::path_beside(path).map(|beside| Witness::read(&beside));
        witness.transpose().map_err(|error| BlockFileError::new(self.name(), error))
    }

    /// Returns the block file, reading it if necessary.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is not a block file.
    pub fn load(self) -> Result<BlockFile, BlockFileError> {
        match self {
            Self::File(path) => BlockFile::read(&path),
            Self::Generated { file, .. } => Ok(*file),
            Self::Unreadable(error) => Err(error),
        }
    }
}

/// Returns the last component of the path `file`, without the suffixes of block files.
#[must_use]
pub fn short(file: &str) -> String {
    let name = Path::new(file).file_name().map_or(file.into(), |name| name.to_string_lossy());
    let ends = [".json.zst", ".json.gz", ".json"];
    let name = ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    if name.is_empty() { file.to_owned() } else { name.to_owned() }
}

/// Resolves `paths`: files stay as they are, folders become their block files, sorted by name, and
/// no paths at all become the demo chain.
///
/// # Errors
/// Returns an error if the demo chain cannot be generated. A path that cannot be read becomes an
/// [`Input::Unreadable`].
pub fn expand(paths: &[PathBuf]) -> Result<Vec<Input>, workload::WorkloadError> {
    if paths.is_empty() {
        let chain = workload::demo(DEMO_SEED)?;
        let named = chain.into_iter().enumerate().map(|(index, file)| Input::Generated {
            name: format!("demo-{}", index.saturating_add(1)),
            file: Box::new(file),
        });
        return Ok(named.collect());
    }
    let mut inputs = Vec::with_capacity(paths.len());
    for path in paths {
        if path != Path::new(STANDARD_STREAM) && path.is_dir() {
            match folder(path) {
                Ok(files) => inputs.extend(files.into_iter().map(Input::File)),
                Err(error) => inputs.push(Input::Unreadable(error)),
            }
        } else {
            inputs.push(Input::File(path.clone()));
        }
    }
    Ok(inputs)
}

/// Returns the block files in a folder, sorted by name. A folder without any is an error, because a
/// user who names it expects some.
fn folder(path: &Path) -> Result<Vec<PathBuf>, BlockFileError> {
    let named = |error: io::Error| BlockFileError::new(path.display().to_string(), error);
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(named)? {
        let entry = entry.map_err(named)?;
        if is_block_file_name(&entry.file_name().to_string_lossy()) && !entry.path().is_dir() {
            files.push(entry.path());
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(BlockFileError::new(path.display().to_string(), EmptyFolder));
    }
    Ok(files)
}
