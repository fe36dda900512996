//! A store wrapper that times the chain's writer.

use braid_chain::{StateStore, StoreError, WRITER_THREAD, Writes};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Times of the chain's writer.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    /// When each block became durable, in block order.
    pub(super) at: Vec<Instant>,
    /// Time spent computing the changes of each block and its state root.
    pub(super) preparing: Duration,
    /// Time spent in the store's transactions.
    pub(super) storing: Duration,
    begun: Option<Instant>,
}

/// A store whose writer is timed. For each block, the writer first opens a snapshot and then
/// writes.
#[derive(Debug)]
pub(super) struct TimedStore<S> {
    inner: S,
    written: Arc<Mutex<Written>>,
}

impl<S> TimedStore<S> {
    pub(super) fn new(inner: S) -> (Self, Arc<Mutex<Written>>) {
        let written = Arc::default();
        (Self { inner, written: Arc::clone(&written) }, written)
    }
}

/// Returns whether this is the thread on which a chain writes.
fn is_writer() -> bool {
    std::thread::current().name() == Some(WRITER_THREAD)
}

impl<S: StateStore> StateStore for TimedStore<S> {
    type Snapshot = S::Snapshot;

    fn snapshot(&self) -> Result<S::Snapshot, StoreError> {
        if is_writer() {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.begun = Some(Instant::now());
        }
        self.inner.snapshot()
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        let begun = Instant::now();
        self.inner.write(writes)?;
        let durable = Instant::now();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let prepared = written.begun.take().map_or(Duration::ZERO, |since| begun - since);
        written.preparing += prepared;
        written.storing += durable - begun;
        written.at.push(durable);
        Ok(())
    }
}
