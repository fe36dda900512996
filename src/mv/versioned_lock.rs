//! A lock with a stamp that changes at each publication.

use crate::sync::{AtomicU64, Mutex, MutexGuard, SeqCst};

/// When a publication happened, in the order of one lock. Stamp 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// After every publication: for the seeded bug [`MissUnnoticed`](super::StoreMutant).
    pub(super) const LAST: Self = Self(u64::MAX);

    /// Publications before and with it.
    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

/// Data under a lock, with the stamp of the last publication into it.
///
/// The stamp may be looked at without the lock, as TL2 does: an unchanged stamp proves that nothing
/// was published since. The data is only ever read under the lock. Two of them share no line of
/// cache.
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

    /// Stamp of the last publication.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.stamp.load(SeqCst))
    }

    /// The data and the stamp that belongs to it.
    pub(crate) fn read(&self) -> (MutexGuard<'_, T>, Stamp) {
        let guard = self.data.lock();
        let stamp = self.stamp();
        (guard, stamp)
    }

    /// Changes the data under a fresh stamp.
    pub(crate) fn publish<R>(&self, change: impl FnOnce(&mut T, Stamp) -> R) -> R {
        let mut guard = self.data.lock();
        // The new stamp is drawn under the lock, and before the data changes: a reader that still
        // sees the old stamp without the lock cannot have seen the new data either.
        let stamp = Stamp(self.stamp.fetch_add(1, SeqCst) + 1);
        change(&mut guard, stamp)
    }

    /// The seeded bug [`StampOutsideLock`](super::StoreMutant::StampOutsideLock).
    #[cfg(feature = "mutants")]
    pub(crate) fn publish_too_early<R>(&self, change: impl FnOnce(&mut T, Stamp) -> R) -> R {
        let stamp = Stamp(self.stamp.fetch_add(1, SeqCst) + 1);
        give_others_a_chance();
        change(&mut self.data.lock(), stamp)
    }

    /// The seeded bug [`ReleasedEarly`](super::StoreMutant::ReleasedEarly).
    #[cfg(feature = "mutants")]
    pub(crate) fn publish_in_two_steps<R>(&self, change: impl FnOnce(&mut T, Stamp) -> R) -> R {
        let guard = self.data.lock();
        let stamp = Stamp(self.stamp.fetch_add(1, SeqCst) + 1);
        drop(guard);
        give_others_a_chance();
        change(&mut self.data.lock(), stamp)
    }
}

/// Loom does so by itself.
#[cfg(feature = "mutants")]
fn give_others_a_chance() {
    #[cfg(not(braid_loom))]
    std::thread::yield_now();
}
