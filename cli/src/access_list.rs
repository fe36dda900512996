//! Access lists of blocks (EIP-7928): made by executing the block.

use braid_evm::{AccessList, Block, BlockError, Config, Executor};
use braid_testkit::block_file::FileDatabase;
use core::{convert::Infallible, num::NonZeroU16};
use std::{io, sync::Arc};
use thiserror::Error;

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
    let output = Executor::new(config)?.execute(block, database)?;
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
