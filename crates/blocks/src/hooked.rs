//! A database with a hook on its reads, with which a test can count, delay, refuse or react to
//! them.

use alloy_primitives::{Address, B256, U256};
use core::{convert::Infallible, fmt};
use revm::{
    DatabaseRef,
    context::DBErrorMarker,
    state::{AccountInfo, Bytecode},
};
use std::sync::Arc;

/// A read of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// An account, without its code.
    Account(Address),
    /// A code, by its hash.
    Code(B256),
    /// A storage slot.
    Slot(Address, U256),
    /// The hash of the block with this number.
    BlockHash(u64),
}

type Hook<E> = dyn Fn(Read) -> Result<(), E> + Send + Sync;

/// A database with a hook, a function that is called before each read on the reading thread. Clones
/// share the hook.
pub struct Hooked<D, E = Infallible> {
    inner: D,
    hook: Arc<Hook<E>>,
}

impl<D: DatabaseRef> Hooked<D, D::Error> {
    /// Calls `hook` before each read of `inner`.
    pub fn watched(inner: D, hook: impl Fn(Read) + Send + Sync + 'static) -> Self {
        Self::failing(inner, move |read| {
            hook(read);
            Ok(())
        })
    }
}

impl<D, E> Hooked<D, E> {
    /// Calls `hook` before each read of `inner`; a read fails with the hook's error.
    pub fn failing(inner: D, hook: impl Fn(Read) -> Result<(), E> + Send + Sync + 'static) -> Self {
        Self { inner, hook: Arc::new(hook) }
    }

    fn read<T, I: Into<E>>(
        &self,
        read: Read,
        answer: impl FnOnce(&D) -> Result<T, I>,
    ) -> Result<T, E> {
        (self.hook)(read)?;
        answer(&self.inner).map_err(Into::into)
    }
}

impl<D: Clone, E> Clone for Hooked<D, E> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), hook: Arc::clone(&self.hook) }
    }
}

impl<D: fmt::Debug, E> fmt::Debug for Hooked<D, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooked").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<D: DatabaseRef<Error: Into<E>>, E: DBErrorMarker> DatabaseRef for Hooked<D, E> {
    type Error = E;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, E> {
        self.read(Read::Account(address), |inner| inner.basic_ref(address))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, E> {
        self.read(Read::Code(hash), |inner| inner.code_by_hash_ref(hash))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, E> {
        self.read(Read::Slot(address, slot), |inner| inner.storage_ref(address, slot))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, E> {
        self.read(Read::BlockHash(number), |inner| inner.block_hash_ref(number))
    }
}
