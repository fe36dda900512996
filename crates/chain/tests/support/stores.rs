//! A store that tests can slow down.

use braid_chain::{StateStore, StoreError, Writes};
use crossbeam_channel::{Receiver, Sender, unbounded};

/// A store that executes each transaction only after a permit.
#[derive(Debug)]
pub(crate) struct Lagging<S> {
    inner: S,
    permits: Receiver<()>,
}

impl<S: StateStore> Lagging<S> {
    /// Returns the store and the sender of permits. If the sender is dropped, every transaction is
    /// permitted.
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
