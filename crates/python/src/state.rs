//! The state of a block file as a database that says what the file lacks.

use alloy_primitives::B256;
use braid_blocks::{
    block::Block,
    block_file::{BlockFile, FieldError, FileDatabase},
    hooked::{Hooked, Read},
};
use core::convert::Infallible;
use revm::context::DBErrorMarker;
use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, OnceLock},
};
use thiserror::Error;

/// State that the block reads and its file lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Missing {
    /// A code that the file declares absent.
    #[error(
        "the block loads the code {0}, which the file lists in meta.absent_codes; record the block again with that code"
    )]
    Code(B256),
    /// The hash of an earlier block.
    #[error(
        "the block asks for the hash of block {0}, which block_hashes lacks; add it to the file"
    )]
    BlockHash(u64),
}

impl DBErrorMarker for Missing {}

impl From<Infallible> for Missing {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The state before the block of a file. Copies share it.
pub(crate) type FileState = Hooked<FileDatabase, Missing>;

/// A block with the state before it.
pub(crate) struct Subject {
    pub(crate) block: Block,
    pub(crate) state: FileState,
    first: Arc<OnceLock<Missing>>,
}

impl Subject {
    /// `file` as a block, with its state.
    ///
    /// # Errors
    /// The field that no execution can use.
    pub(crate) fn new(file: &BlockFile) -> Result<Self, FieldError> {
        let (block, database) = file.to_block()?;
        let absent = file.meta.absent_codes.iter().copied();
        let codes: HashSet<B256> = absent.filter(|hash| !file.codes.contains_key(hash)).collect();
        let mut hashes: BTreeSet<u64> = file.block_hashes.keys().copied().collect();
        hashes.extend(file.block.header.inner.number.checked_sub(1));
        let first = Arc::new(OnceLock::new());
        let seen = Arc::clone(&first);
        let state = Hooked::failing(database, move |read| {
            let missing = match read {
                Read::Code(hash) if codes.contains(&hash) => Missing::Code(hash),
                Read::BlockHash(number) if !hashes.contains(&number) => Missing::BlockHash(number),
                _ => return Ok(()),
            };
            seen.get_or_init(|| missing);
            Err(missing)
        });
        Ok(Self { block, state, first })
    }

    /// Returns the first value that a read did not find. After a sequential run, it is the reason for the failure. In
    /// parallel, the read may belong to a speculative run, and the block may not need the value.
    pub(crate) fn first_missing(&self) -> Option<Missing> {
        self.first.get().copied()
    }
}
