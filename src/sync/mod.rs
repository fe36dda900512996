//! Synchronization primitives: std and crossbeam, or loom in builds with `--cfg braid_loom`.
//!
//! Threads share data only through these types, so that loom can observe every access. Only a bug
//! in Braid could panic under one of these locks, so poisoning is ignored: [`Mutex::lock`] returns
//! the data.

#[cfg(not(braid_loom))]
mod real {
    pub(crate) use crossbeam_channel::{Receiver, Sender, bounded};
    pub(super) use std::sync::Mutex as Inner;
    pub(crate) use std::sync::MutexGuard;
    pub(super) use std::sync::atomic::fence;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
}

#[cfg(braid_loom)]
mod real {
    pub(crate) use super::loom_channel::{Receiver, Sender, bounded};
    pub(super) use loom::sync::Mutex as Inner;
    pub(crate) use loom::sync::MutexGuard;
    pub(super) use loom::sync::atomic::fence;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
}

#[cfg(braid_loom)]
mod loom_channel;
#[cfg(braid_loom)]
mod loom_held;
#[cfg(all(test, braid_loom))]
pub(crate) mod loom_model;

#[cfg(not(braid_loom))]
pub(crate) use crossbeam_channel::RecvTimeoutError;
#[cfg(any(test, not(braid_loom)))]
pub(crate) use crossbeam_channel::TryRecvError;
use real::fence;
pub(crate) use real::{AtomicBool, AtomicU32, AtomicU64, MutexGuard, Receiver, Sender, bounded};
use std::sync::TryLockError;
pub(crate) use std::sync::atomic::Ordering::SeqCst;

/// A relaxed atomic for hints. No result depends on it and it orders nothing, so other threads may
/// see an old value, and loom need not observe it. A sequentially consistent store would wait for
/// the cache misses of all stores before it.
#[derive(Debug, Default)]
pub(crate) struct HintU32(std::sync::atomic::AtomicU32);

impl HintU32 {
    pub(crate) fn load(&self) -> u32 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn store(&self, value: u32) {
        self.0.store(value, std::sync::atomic::Ordering::Relaxed);
    }
}

/// A mutual-exclusion lock that does not poison.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    inner: real::Inner<T>,
    #[cfg(braid_loom)]
    held: loom_held::HeldFlag,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            inner: real::Inner::new(value),
            #[cfg(braid_loom)]
            held: loom_held::HeldFlag::default(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Acquires the lock, unless another thread holds it.
    ///
    /// A thread that posts a message and then fails here may rely on the holder, if the holder
    /// checks for messages after dropping the guard: either that check sees the message, or this
    /// call finds the lock free. Both sides store first and load afterwards, which requires fences.
    pub(crate) fn try_lock(&self) -> Option<TryGuard<'_, T>> {
        fence(SeqCst);
        #[cfg(braid_loom)]
        let held = self.held.try_hold()?;
        let guard = match self.inner.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(TryGuard {
            guard,
            #[cfg(braid_loom)]
            _held: held,
            _fence: FenceOnDrop,
        })
    }

    pub(crate) fn into_inner(self) -> T {
        self.inner.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Guard of a lock that was acquired with [`Mutex::try_lock`].
#[derive(Debug)]
pub(crate) struct TryGuard<'a, T> {
    guard: MutexGuard<'a, T>,
    #[cfg(braid_loom)]
    _held: loom_held::Held<'a>,
    /// Declared last, so that it is dropped last: the fence must follow the unlock.
    _fence: FenceOnDrop,
}

impl<T> core::ops::Deref for TryGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> core::ops::DerefMut for TryGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

#[derive(Debug)]
struct FenceOnDrop;

impl Drop for FenceOnDrop {
    fn drop(&mut self) {
        fence(SeqCst);
    }
}
