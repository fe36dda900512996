//! Databases that fail or panic.

use crate::hooked::{Hooked, Read};
use core::convert::Infallible;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The database could not answer this read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be read")]
pub struct Unreadable(pub Read);

impl revm::database_interface::DBErrorMarker for Unreadable {}

impl From<Infallible> for Unreadable {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A database that fails according to a [`Fault`].
pub type Faulty<D> = Hooked<D, Unreadable>;

/// When a database fails.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Never.
    Never,
    /// At every read of this value.
    At(Read),
    /// At every read of this value, with a panic.
    PanicAt(Read),
    /// From this read on.
    From(u64),
    /// At this read only.
    Once(u64),
}

impl Fault {
    /// Adds this fault to `inner`.
    pub fn of<D>(self, inner: D) -> Faulty<D> {
        Faults::new(self).of(inner)
    }
}

/// A fault, with a record of the reads of its database. Clones share the record.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Log>);

#[derive(Debug)]
struct Log {
    fault: Fault,
    reads: AtomicU64,
    faults: AtomicU64,
    asked: Mutex<BTreeSet<Read>>,
}

impl Faults {
    /// Creates an empty record.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        let (reads, faults, asked) = Default::default();
        Self(Arc::new(Log { fault, reads, faults, asked }))
    }

    /// Adds this fault to `inner`.
    pub fn of<D>(&self, inner: D) -> Faulty<D> {
        let log = Arc::clone(&self.0);
        Hooked::failing(inner, move |read| log.ask(read))
    }

    /// Returns the number of failed reads.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.faults.load(Ordering::SeqCst)
    }

    /// Returns the number of reads.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::SeqCst)
    }

    /// Returns everything that was read.
    ///
    /// # Panics
    /// Panics if a thread panicked while it recorded a read, which cannot happen.
    #[must_use]
    pub fn asked(&self) -> BTreeSet<Read> {
        self.0.asked.lock().expect("no panic holds it").clone()
    }
}

impl Log {
    fn ask(&self, read: Read) -> Result<(), Unreadable> {
        let number = self.reads.fetch_add(1, Ordering::SeqCst);
        self.asked.lock().expect("no panic holds it").insert(read);
        let fails = match self.fault {
            Fault::Never => false,
            Fault::At(at) | Fault::PanicAt(at) => at == read,
            Fault::From(first) => number >= first,
            Fault::Once(only) => number == only,
        };
        if !fails {
            return Ok(());
        }
        self.faults.fetch_add(1, Ordering::SeqCst);
        if matches!(self.fault, Fault::PanicAt(_)) {
            std::panic::resume_unwind(Box::new(Unreadable(read)));
        }
        Err(Unreadable(read))
    }
}
