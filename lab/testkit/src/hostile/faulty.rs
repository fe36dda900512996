//! Databases that fail, or that panic.

use crate::hooked::{Hooked, Read};
use core::convert::Infallible;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A database could not answer this read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be read")]
pub struct Unreadable(pub Read);

impl revm::database_interface::DBErrorMarker for Unreadable {}

impl From<Infallible> for Unreadable {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A database that fails as a [`Fault`] says.
pub type Faulty<D> = Hooked<D, Unreadable>;

/// When a database fails.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It does not.
    Never,
    /// Whenever it is asked for this.
    At(Read),
    /// By a panic, whenever it is asked for this.
    PanicAt(Read),
    /// From this read on.
    From(u64),
    /// At this read alone.
    Once(u64),
}

impl Fault {
    /// `inner`, with this fault.
    pub fn of<D>(self, inner: D) -> Faulty<D> {
        Faults::new(self).of(inner)
    }
}

/// A fault, and the reads of the database that has it. Clones count together.
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
    /// No read yet.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        let (reads, faults, asked) = Default::default();
        Self(Arc::new(Log { fault, reads, faults, asked }))
    }

    /// `inner`, with this fault.
    pub fn of<D>(&self, inner: D) -> Faulty<D> {
        let log = Arc::clone(&self.0);
        Hooked::failing(inner, move |read| log.ask(read))
    }

    /// Number of reads that failed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.faults.load(Ordering::SeqCst)
    }

    /// Number of reads.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::SeqCst)
    }

    /// Everything that was read.
    ///
    /// # Panics
    /// If a thread panicked while it noted something, which none does.
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
