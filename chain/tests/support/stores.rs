//! Stores that are slow, fail or panic when a test says so.

use braid_chain::{StateStore, StoreError, Writes};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A store that carries out a transaction only after a permit.
#[derive(Debug)]
pub(crate) struct Lagging<S> {
    inner: S,
    permits: Receiver<()>,
}

impl<S: StateStore> Lagging<S> {
    /// The store, and where permits are given. Without that, every transaction is permitted.
    pub(crate) fn new(inner: S) -> (Self, Sender<()>) {
        let (give, permits) = unbounded();
        (Self { inner, permits }, give)
    }
}

impl<S: StateStore> StateStore for Lagging<S> {
    type Snapshot = S::Snapshot;

    fn snapshot(&self) -> Result<S::Snapshot, StoreError> {
        self.inner.snapshot()
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        let _ = self.permits.recv();
        self.inner.write(writes)
    }
}

/// How a write goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It returns an error and writes nothing.
    Error,
    /// It panics and writes nothing.
    Panic,
}

/// A store whose write with this number, counted from 0, goes wrong, and all later ones.
#[derive(Clone, Debug)]
pub(crate) struct Faulty<S> {
    inner: S,
    writes: Arc<AtomicU64>,
    at: u64,
    fault: Fault,
}

impl<S: StateStore> Faulty<S> {
    pub(crate) fn new(inner: S, at: u64, fault: Fault) -> Self {
        Self { inner, writes: Arc::default(), at, fault }
    }
}

impl<S: StateStore> StateStore for Faulty<S> {
    type Snapshot = S::Snapshot;

    fn snapshot(&self) -> Result<S::Snapshot, StoreError> {
        self.inner.snapshot()
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        if self.writes.fetch_add(1, Ordering::Relaxed) < self.at {
            return self.inner.write(writes);
        }
        match self.fault {
            Fault::Error => Err(StoreError::backend(std::io::Error::other("no space left"))),
            Fault::Panic => panic!("a panic that the test asked for"),
        }
    }
}
