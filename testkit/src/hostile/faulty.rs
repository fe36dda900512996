//! Databases that fail, or that panic.

use alloy_primitives::{Address, B256, U256};
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::state::AccountInfo;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Something that a database is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An account, without its code.
    Account(Address),
    /// A code, by its hash.
    Code(B256),
    /// A storage slot.
    Slot(Address, U256),
    /// The hash of the block with this number.
    BlockHash(u64),
}

/// A database that could not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be read")]
pub struct Unreadable(pub Place);

impl revm::database_interface::DBErrorMarker for Unreadable {}

/// When a database fails.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It does not.
    Never,
    /// Whenever it is asked for this.
    At(Place),
    /// By a panic, whenever it is asked for this.
    PanicAt(Place),
    /// From this read on.
    From(u64),
    /// At this read alone.
    Once(u64),
}

/// A database that notes what it is asked for, and fails.
#[derive(Clone, Debug)]
pub struct Faulty<D> {
    inner: D,
    fault: Fault,
    reads: Arc<AtomicU64>,
    faults: Arc<AtomicU64>,
    asked: Arc<Mutex<BTreeSet<Place>>>,
}

impl<D> Faulty<D> {
    /// `inner`, with this fault.
    #[must_use]
    pub fn new(inner: D, fault: Fault) -> Self {
        let (reads, faults) = (Arc::default(), Arc::default());
        Self { inner, fault, reads, faults, asked: Arc::default() }
    }

    /// How often it failed.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::SeqCst)
    }

    /// How often it was asked.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    /// Everything that it was asked for.
    ///
    /// # Panics
    /// If a thread panicked while it noted something, which none does.
    pub fn asked(&self) -> BTreeSet<Place> {
        self.asked.lock().expect("no panic holds it").clone()
    }

    fn ask(&self, place: Place) -> Result<(), Unreadable> {
        let read = self.reads.fetch_add(1, Ordering::SeqCst);
        self.asked.lock().expect("no panic holds it").insert(place);
        let fails = match self.fault {
            Fault::Never => false,
            Fault::At(at) | Fault::PanicAt(at) => at == place,
            Fault::From(first) => read >= first,
            Fault::Once(only) => read == only,
        };
        if !fails {
            return Ok(());
        }
        self.faults.fetch_add(1, Ordering::SeqCst);
        if matches!(self.fault, Fault::PanicAt(_)) {
            std::panic::resume_unwind(Box::new(Unreadable(place)));
        }
        Err(Unreadable(place))
    }
}

impl<D: DatabaseRef<Error = core::convert::Infallible>> DatabaseRef for Faulty<D> {
    type Error = Unreadable;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Unreadable> {
        self.ask(Place::Account(address))?;
        let Ok(account) = self.inner.basic_ref(address);
        Ok(account)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Unreadable> {
        self.ask(Place::Code(code_hash))?;
        let Ok(code) = self.inner.code_by_hash_ref(code_hash);
        Ok(code)
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, Unreadable> {
        self.ask(Place::Slot(address, index))?;
        let Ok(value) = self.inner.storage_ref(address, index);
        Ok(value)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Unreadable> {
        self.ask(Place::BlockHash(number))?;
        let Ok(hash) = self.inner.block_hash_ref(number);
        Ok(hash)
    }
}
