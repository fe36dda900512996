//! The database as the block executor sees it.

use alloy_primitives::{Address, B256, U256};
use revm::{
    Database, DatabaseRef,
    context::DBErrorMarker,
    state::{AccountInfo, Bytecode},
};
use std::{cell::RefCell, fmt, rc::Rc};

/// Passes reads on to `D` and keeps its first error.
///
/// The block executor converts most errors to text. Keeping the original lets the caller have it
/// back unchanged.
pub(super) struct Reads<D: DatabaseRef> {
    inner: D,
    failure: FailureSlot<D::Error>,
}

/// Holds the first error of a database.
pub(super) type FailureSlot<E> = Rc<RefCell<Option<E>>>;

impl<D: DatabaseRef> Reads<D> {
    /// Wraps `inner`; the returned slot receives its first error.
    pub(super) fn new(inner: D) -> (Self, FailureSlot<D::Error>) {
        let failure = FailureSlot::default();
        (Self { inner, failure: Rc::clone(&failure) }, failure)
    }

    fn keep<T>(&self, result: Result<T, D::Error>) -> Result<T, ReadFailed> {
        result.map_err(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            ReadFailed
        })
    }
}

impl<D: DatabaseRef> fmt::Debug for Reads<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").finish_non_exhaustive()
    }
}

impl<D: DatabaseRef> Database for Reads<D> {
    type Error = ReadFailed;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ReadFailed> {
        self.keep(self.inner.basic_ref(address))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, ReadFailed> {
        self.keep(self.inner.code_by_hash_ref(code_hash))
    }

    fn storage(&mut self, address: Address, index: U256) -> Result<U256, ReadFailed> {
        self.keep(self.inner.storage_ref(address, index))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ReadFailed> {
        self.keep(self.inner.block_hash_ref(number))
    }
}

impl<D: DatabaseRef> DatabaseRef for Reads<D> {
    type Error = ReadFailed;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ReadFailed> {
        self.keep(self.inner.basic_ref(address))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, ReadFailed> {
        self.keep(self.inner.code_by_hash_ref(code_hash))
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, ReadFailed> {
        self.keep(self.inner.storage_ref(address, index))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ReadFailed> {
        self.keep(self.inner.block_hash_ref(number))
    }
}

/// Placeholder for an error of the database, which is in the failure slot.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a read of the database failed")]
pub(super) struct ReadFailed;

impl DBErrorMarker for ReadFailed {}
