//! Block access lists (EIP-7928): computed by executing the block, and stored in files.
//!
//! A file holds the RLP of the list, the bytes that the hash in the header commits to, and nothing
//! else.

use alloy_rlp::Encodable as _;
use braid_blocks::block_file::{FileDatabase, advice};
use braid_evm::{AccessList, Block, BlockError, Config, Executor};
use core::{convert::Infallible, num::NonZeroU16};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use thiserror::Error;

/// Maximum size of a list file: several times the list that the gas limit of any block allows.
const MAX_BYTES: u64 = 256 << 20;

/// Suffix of a list's file name, after the name of the block.
pub const SUFFIX: &str = ".bal.rlp";

/// Advice for a list that is missing or unusable.
const MAKE: &str = "braid run --emit-bal DIR writes the lists of blocks";

/// Why the access list of a block could not be computed.
#[derive(Debug, Error)]
pub enum ListError {
    /// The executor could not be started.
    #[error("cannot start an executor: {0}")]
    Executor(#[from] io::Error),
    /// The block is invalid.
    #[error("its access list cannot be made: {0}")]
    Block(#[from] BlockError<Infallible>),
    /// The executor returned no list although one was requested.
    #[error("its access list cannot be made: the executor returned none")]
    Missing,
}

/// Executes `block` on one worker and returns its access list.
///
/// # Errors
/// Returns a [`ListError`]; most likely, the block is invalid.
pub fn list_of(block: Block, database: FileDatabase) -> Result<AccessList, ListError> {
    let mut config = Config::with_workers(NonZeroU16::MIN);
    config.access_list = true;
    let output = Executor::new(config)?.block(block).database(database).execute()?;
    output.access_list.ok_or(ListError::Missing)
}

/// Returns `block` with its own access list.
///
/// # Errors
/// As [`list_of`].
pub fn with_its_list(block: Block, database: FileDatabase) -> Result<Block, ListError> {
    let list = list_of(block.clone(), database)?;
    Ok(Block { access_list: Some(Arc::new(list)), ..block })
}

/// Returns `block` with its own access list as an untrusted hint.
///
/// # Errors
/// As [`list_of`].
pub fn with_its_hint(block: Block, database: FileDatabase) -> Result<Block, ListError> {
    let list = list_of(block.clone(), database)?;
    Ok(Block { access_list_hint: Some(Arc::new(list)), ..block })
}

/// Executes `block` with `list` on one worker, which verifies the list.
///
/// # Errors
/// Returns [`ListError::Block`] with the first index at which the list is wrong.
pub fn compare(block: Block, database: FileDatabase, list: AccessList) -> Result<(), ListError> {
    let block = Block { access_list: Some(Arc::new(list)), ..block };
    Executor::new(Config::with_workers(NonZeroU16::MIN))?
        .block(block)
        .database(database)
        .execute()?;
    Ok(())
}

/// An access list file that cannot be used.
#[derive(Debug, Error)]
#[error("{}: {kind}", .file.display())]
pub struct ListFileError {
    /// Path of the file.
    pub file: PathBuf,
    /// What is wrong with the file.
    pub kind: ListFileErrorKind,
}

/// What is wrong with an access list file.
#[derive(Debug, Error)]
pub enum ListFileErrorKind {
    /// The file could not be read or written.
    #[error("cannot read or write the file: {0}; {to_do}", to_do = advice(.0, MAKE))]
    Io(#[from] io::Error),
    /// The file is larger than any list.
    #[error("expected at most {} bytes of an access list, found more; {}", MAX_BYTES, MAKE)]
    TooLarge,
    /// The file is not the RLP of exactly one list.
    #[error("expected an access list in RLP (EIP-7928): {0}; {to_do}", to_do = MAKE)]
    Rlp(#[from] alloy_rlp::Error),
    /// The file exists already.
    #[error("the file already exists; --force overwrites it")]
    Exists,
}

impl ListFileErrorKind {
    fn of(self, file: &Path) -> ListFileError {
        ListFileError { file: file.to_owned(), kind: self }
    }
}

/// Reads an access list from `file`. The list is decoded, but not compared with any block.
///
/// # Errors
/// Returns a [`ListFileError`] if the file cannot be read or is not the RLP of a list.
pub fn read(file: &Path) -> Result<AccessList, ListFileError> {
    let read = || {
        let mut rlp = Vec::new();
        File::open(file)?.take(MAX_BYTES.saturating_add(1)).read_to_end(&mut rlp)?;
        if rlp.len() as u64 > MAX_BYTES {
            return Err(ListFileErrorKind::TooLarge);
        }
        Ok(alloy_rlp::decode_exact(&rlp)?)
    };
    read().map_err(|kind: ListFileErrorKind| kind.of(file))
}

/// Writes `list` to `file`; an existing file is replaced only if `overwrite` is set.
///
/// # Errors
/// Returns a [`ListFileError`] if the file exists or cannot be written.
pub fn write(file: &Path, list: &AccessList, overwrite: bool) -> Result<(), ListFileError> {
    let mut rlp = Vec::with_capacity(list.length());
    list.encode(&mut rlp);
    let written = if overwrite {
        fs::write(file, &rlp)
    } else {
        File::create_new(file).and_then(|mut file| file.write_all(&rlp))
    };
    written.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::AlreadyExists => ListFileErrorKind::Exists,
            _ => ListFileErrorKind::Io(error),
        };
        kind.of(file)
    })
}

/// Checks that `file` does not exist, so that a command can fail before it does any work.
///
/// # Errors
/// Returns [`ListFileErrorKind::Exists`], or the system's error.
pub fn check_absent(file: &Path) -> Result<(), ListFileError> {
    match file.try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(ListFileErrorKind::Exists.of(file)),
        Err(error) => Err(ListFileErrorKind::Io(error).of(file)),
    }
}
