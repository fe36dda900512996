//! The state of a block file as a database that says what the file lacks.

use alloy_primitives::{Address, B256, U256};
use braid_blocks::block_file::{BlockFile, FieldError, FileDatabase};
use revm::{
    DatabaseRef,
    context::DBErrorMarker,
    state::{AccountInfo, Bytecode},
};
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

/// The state before the block of a file. Copies share it.
#[derive(Clone, Debug)]
pub(crate) struct FileState {
    inner: FileDatabase,
    lacks: Arc<Lacks>,
}

#[derive(Debug)]
struct Lacks {
    codes: HashSet<B256>,
    known_hashes: BTreeSet<u64>,
    /// The first thing that was asked for and is missing, by whichever run.
    first: OnceLock<Missing>,
}

impl FileState {
    /// The state of `file`; `inner` was made of it.
    pub(crate) fn new(file: &BlockFile, inner: FileDatabase) -> Self {
        let absent = file.meta.absent_codes.iter().copied();
        let codes = absent.filter(|hash| !file.codes.contains_key(hash)).collect();
        let mut known_hashes: BTreeSet<u64> = file.block_hashes.keys().copied().collect();
        known_hashes.extend(file.block.header.inner.number.checked_sub(1));
        Self { inner, lacks: Arc::new(Lacks { codes, known_hashes, first: OnceLock::new() }) }
    }

    /// What a read could not be answered with. After a run in sequence: why it failed. A speculative run may have asked
    /// for what the block does not need.
    pub(crate) fn first_missing(&self) -> Option<Missing> {
        self.lacks.first.get().copied()
    }

    fn missing<T>(&self, missing: Missing) -> Result<T, Missing> {
        self.lacks.first.get_or_init(|| missing);
        Err(missing)
    }
}

/// The error type of the inner database has no value.
fn answered<T>(result: Result<T, core::convert::Infallible>) -> T {
    match result {
        Ok(value) => value,
    }
}

impl DatabaseRef for FileState {
    type Error = Missing;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Missing> {
        Ok(answered(self.inner.basic_ref(address)))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Missing> {
        if self.lacks.codes.contains(&hash) {
            return self.missing(Missing::Code(hash));
        }
        Ok(answered(self.inner.code_by_hash_ref(hash)))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Missing> {
        Ok(answered(self.inner.storage_ref(address, slot)))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Missing> {
        if !self.lacks.known_hashes.contains(&number) {
            return self.missing(Missing::BlockHash(number));
        }
        Ok(answered(self.inner.block_hash_ref(number)))
    }
}

/// `file` as a block, with its state.
///
/// # Errors
/// The field that no execution can use.
pub(crate) fn of(file: &BlockFile) -> Result<(braid_blocks::block::Block, FileState), FieldError> {
    let (block, database) = file.to_block()?;
    Ok((block, FileState::new(file, database)))
}
