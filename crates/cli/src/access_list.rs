//! Access lists of blocks (EIP-7928): made by executing the block, and kept in files.
//!
//! A file holds the list in RLP, as the hash in the header is made of it, and nothing else.

use alloy_rlp::Encodable as _;
use braid_evm::{AccessList, Block, BlockError, Config, Executor};
use braid_testkit::block_file::{FileDatabase, advice};
use core::{convert::Infallible, num::NonZeroU16};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use thiserror::Error;

/// The most bytes that are read of a file: several times what the gas limit of any block allows.
const MAX_BYTES: u64 = 256 << 20;

/// What a list's file name has after the block's name.
pub const SUFFIX: &str = ".bal.rlp";

/// What to do without a list that can be used.
const MAKE: &str = "braid run --emit-bal DIR writes the lists of blocks";

/// Why there is no access list of a block.
#[derive(Debug, Error)]
pub enum ListError {
    /// No executor could be started.
    #[error("cannot start an executor: {0}")]
    Executor(#[from] io::Error),
    /// The block does not execute.
    #[error("its access list cannot be made: {0}")]
    Block(#[from] BlockError<Infallible>),
    /// The executor gave no list although it was asked for one.
    #[error("its access list cannot be made: the executor gives none")]
    Missing,
}

/// The access list of `block`, which is executed on one worker for that.
///
/// # Errors
/// [`ListError`]: the block is invalid, most likely.
pub fn list_of(block: Block, database: FileDatabase) -> Result<AccessList, ListError> {
    let mut config = Config::with_workers(NonZeroU16::MIN);
    config.access_list = true;
    let output = Executor::new(config)?.block(block).database(database).execute()?;
    output.access_list.ok_or(ListError::Missing)
}

/// `block` with its own access list.
///
/// # Errors
/// As [`list_of`].
pub fn with_its_list(block: Block, database: FileDatabase) -> Result<Block, ListError> {
    let list = list_of(block.clone(), database)?;
    Ok(Block { access_list: Some(Arc::new(list)), ..block })
}

/// `block` with its own access list as a hint, which is not trusted.
///
/// # Errors
/// As [`list_of`].
pub fn with_its_hint(block: Block, database: FileDatabase) -> Result<Block, ListError> {
    let list = list_of(block.clone(), database)?;
    Ok(Block { access_list_hint: Some(Arc::new(list)), ..block })
}

/// Executes `block` with `list` on one worker, to see whether it is the block's.
///
/// # Errors
/// [`ListError::Block`] tells the first index that differs.
pub fn compare(block: Block, database: FileDatabase, list: AccessList) -> Result<(), ListError> {
    let block = Block { access_list: Some(Arc::new(list)), ..block };
    Executor::new(Config::with_workers(NonZeroU16::MIN))?
        .block(block)
        .database(database)
        .execute()?;
    Ok(())
}

/// A file of an access list that cannot be used.
#[derive(Debug, Error)]
#[error("{}: {kind}", .file.display())]
pub struct ListFileError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub kind: ListFileErrorKind,
}

/// What is wrong with a file of an access list.
#[derive(Debug, Error)]
pub enum ListFileErrorKind {
    /// It could not be read or written.
    #[error("expected a file that can be used: {0}; {to_do}", to_do = advice(.0, MAKE))]
    Io(#[from] io::Error),
    /// It is larger than any list.
    #[error("expected at most {} bytes of an access list, found more; {}", MAX_BYTES, MAKE)]
    TooLarge,
    /// It holds something else, too little or too much.
    #[error("expected an access list in RLP (EIP-7928): {0}; {to_do}", to_do = MAKE)]
    Rlp(#[from] alloy_rlp::Error),
    /// It is there already.
    #[error("the file exists and is kept; --force overwrites it")]
    Exists,
}

impl ListFileErrorKind {
    fn of(self, file: &Path) -> ListFileError {
        ListFileError { file: file.to_owned(), kind: self }
    }
}

/// Reads the access list that is the whole of `file`. What it says of a block is not looked at.
///
/// # Errors
/// [`ListFileError`]: the file cannot be read, or is no list in RLP.
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

/// Writes `list` to `file`; one that exists only if it may be `overwrite`n.
///
/// # Errors
/// [`ListFileError`]: the file exists, or cannot be written.
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

/// Tells that `file` does not exist, before anything is done that would have to be written there.
///
/// # Errors
/// [`ListFileErrorKind::Exists`], or the system does not tell.
pub fn check_absent(file: &Path) -> Result<(), ListFileError> {
    match file.try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(ListFileErrorKind::Exists.of(file)),
        Err(error) => Err(ListFileErrorKind::Io(error).of(file)),
    }
}
