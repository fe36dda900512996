//! The one place that chooses between std with crossbeam and loom.
//!
//! Everything that two threads share goes through these names, so that loom sees it when the
//! crate is built with `--cfg braid_loom`. A panic never happens under one of these locks
//! except through a bug of ours, so poisoning is not passed on: [`Mutex::lock`] returns the data.

#[cfg(not(braid_loom))]
mod real {
    pub(crate) use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::MutexGuard;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
    pub(super) use std::sync::{Mutex as Inner, TryLockError};
}

#[cfg(braid_loom)]
mod real {
    pub(crate) use super::loom_channel::{Receiver, Sender, bounded, unbounded};
    pub(crate) use loom::sync::Arc;
    pub(super) use loom::sync::Mutex as Inner;
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
    pub(super) use std::sync::TryLockError;
}

#[cfg(braid_loom)]
mod loom_channel;

pub(crate) use real::{
    Arc, AtomicBool, AtomicU32, AtomicU64, MutexGuard, Receiver, Sender, bounded, unbounded,
};
pub(crate) use std::sync::atomic::Ordering::SeqCst;

/// A mutual-exclusion lock that does not poison.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(real::Inner<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(real::Inner::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The lock, unless somebody holds it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(real::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(real::TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
