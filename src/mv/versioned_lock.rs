//! A lock with a stamp that changes at each publication.

use crate::sync::{AtomicU64, Mutex, MutexGuard, SeqCst};

/// Sequence number of a publication under one lock. Stamp 0 precedes the first publication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// A stamp later than every publication: for the seeded bug `MissUnnoticed`.
    pub(super) const LAST: Self = Self(u64::MAX);

    /// Returns the number of publications up to and including this one.
    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

/// Data under a lock, with the stamp of the last publication into it.
///
/// The stamp may be read without the lock, as in TL2: while it is unchanged, nothing has been
/// published. The data is read only under the lock. Each lock has its own cache lines.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct VersionedLock<T> {
    stamp: AtomicU64,
    data: Mutex<T>,
}

impl<T> VersionedLock<T> {
    pub(crate) fn new(data: T) -> Self {
        Self { stamp: AtomicU64::new(0), data: Mutex::new(data) }
    }

    pub(crate) fn into_inner(self) -> T {
        self.data.into_inner()
    }

    /// Returns the stamp of the last publication.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.stamp.load(SeqCst))
    }

    /// Locks the data, and returns the guard with the stamp of the last publication.
    pub(crate) fn read(&self) -> (MutexGuard<'_, T>, Stamp) {
        let guard = self.data.lock();
        let stamp = self.stamp();
        (guard, stamp)
    }

    /// Changes the data under a new stamp.
    pub(crate) fn publish<R>(&self, change: impl FnOnce(&mut T, Stamp) -> R) -> R {
        let mut guard = self.data.lock();
        // The new stamp is drawn under the lock, before the data changes: a reader without the lock
        // that still sees the old stamp cannot have seen the new data.
        let stamp = Stamp(self.stamp.fetch_add(1, SeqCst) + 1);
        change(&mut guard, stamp)
    }

    /// Draws the stamp before the lock is acquired: the seeded bug `StampOutsideLock`.
    #[cfg(feature = "mutants")]
    pub(crate) fn publish_too_early<R>(&self, change: impl FnOnce(&mut T, Stamp) -> R) -> R {
        let stamp = Stamp(self.stamp.fetch_add(1, SeqCst) + 1);
        yield_to_others();
        change(&mut self.data.lock(), stamp)
    }

    /// Releases the lock between the stamp and the change: the seeded bug `ReleasedEarly`.
    #[cfg(feature = "mutants")]
    pub(crate) fn publish_in_two_steps<R>(&self, change: impl FnOnce(&mut T, Stamp) -> R) -> R {
        let guard = self.data.lock();
        let stamp = Stamp(self.stamp.fetch_add(1, SeqCst) + 1);
        drop(guard);
        yield_to_others();
        change(&mut self.data.lock(), stamp)
    }
}

/// Lets other threads run. loom explores such interleavings anyway.
#[cfg(feature = "mutants")]
fn yield_to_others() {
    #[cfg(not(braid_loom))]
    std::thread::yield_now();
}
