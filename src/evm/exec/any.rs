//! Type-erased state sources, so that the executor is compiled once and not per database type.
//!
//! A read that misses both the journal and the store costs one extra virtual call. Errors are
//! boxed, and converted back to their own type when they leave the executor.

use super::base::StateSource;
use crate::ids::WorkerId;
use alloy_primitives::{Address, B256, U256};
use core::fmt;
use revm::DatabaseRef;
use revm::database_interface::ErasedError;
use revm::state::{AccountInfo, Bytecode};

/// A worker's type-erased state handle.
pub(crate) type AnyState<'a> = Box<dyn DatabaseRef<Error = ErasedError> + 'a>;

/// A type-erased state source.
pub(crate) struct AnySource<'a>(Box<dyn OpenSource<'a> + 'a>);

impl<'a> AnySource<'a> {
    pub(crate) fn new<S: StateSource + 'a>(source: S) -> Self {
        Self(Box::new(source))
    }
}

impl fmt::Debug for AnySource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnySource").finish_non_exhaustive()
    }
}

/// Dyn-compatible version of [`StateSource`].
trait OpenSource<'a>: Send + Sync {
    fn open(&self, worker: WorkerId) -> Result<AnyState<'a>, ErasedError>;
    fn reads_overlap(&self) -> bool;
}

impl<'a, S: StateSource + 'a> OpenSource<'a> for S {
    fn open(&self, worker: WorkerId) -> Result<AnyState<'a>, ErasedError> {
        match StateSource::open(self, worker) {
            Ok(state) => Ok(Box::new(Erased(state))),
            Err(error) => Err(ErasedError::new(error)),
        }
    }

    fn reads_overlap(&self) -> bool {
        StateSource::reads_overlap(self)
    }
}

impl<'a> StateSource for AnySource<'a> {
    type State = AnyState<'a>;

    fn open(&self, worker: WorkerId) -> Result<AnyState<'a>, ErasedError> {
        self.0.open(worker)
    }

    fn reads_overlap(&self) -> bool {
        self.0.reads_overlap()
    }
}

/// A state handle with boxed errors.
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
