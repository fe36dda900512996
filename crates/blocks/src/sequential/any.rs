//! Type-erased databases, so that the oracle is compiled once. Code that is timed keeps the type of
//! its database. Braid has a similar type; the oracle shares no code with it.

use super::{SequentialError, SequentialErrorKind};
use alloy_primitives::{Address, B256, U256};
use revm::{
    DatabaseRef,
    database_interface::ErasedError,
    state::{AccountInfo, Bytecode},
};
use std::error::Error;

/// A type-erased database.
pub(super) type AnyDatabase<'a> = Box<dyn DatabaseRef<Error = ErasedError> + 'a>;

/// Erases the type of `db`.
pub(super) fn any<'a, D: DatabaseRef + 'a>(db: D) -> AnyDatabase<'a> {
    Box::new(Erased(db))
}

struct Erased<D>(D);

impl<D: DatabaseRef> DatabaseRef for Erased<D> {
    type Error = ErasedError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ErasedError> {
        self.0.basic_ref(address).map_err(ErasedError::new)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, ErasedError> {
        self.0.code_by_hash_ref(hash).map_err(ErasedError::new)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, ErasedError> {
        self.0.storage_ref(address, slot).map_err(ErasedError::new)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ErasedError> {
        self.0.block_hash_ref(number).map_err(ErasedError::new)
    }
}

impl SequentialError<ErasedError> {
    /// Restores the type of the database's error.
    pub(super) fn typed<E: Error + Send + Sync + 'static>(self) -> SequentialError<E> {
        let kind = match self.kind {
            SequentialErrorKind::Base(error) => match error.into_inner().downcast() {
                Ok(error) => SequentialErrorKind::Base(*error),
                Err(_) => unreachable!("a block reads from one database"),
            },
            SequentialErrorKind::Invalid(reason) => SequentialErrorKind::Invalid(reason),
            SequentialErrorKind::Other(message) => SequentialErrorKind::Other(message),
        };
        SequentialError { at: self.at, kind, access_list: self.access_list }
    }
}
