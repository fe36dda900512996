//! A store wrapper that measures the time of reads and writes.

use super::{
    histogram::{Histogram, SECONDS},
    text::Text,
};
use braid_chain::{Entry, Snapshot, StateStore, StoreError, Table, WRITER_THREAD, Writes};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Measured times of a chain's store. Any thread may add to them and read them.
#[derive(Debug, Default)]
pub struct StoreTimes {
    /// Number of reads of single values; `reading` is their total time in nanoseconds.
    reads: AtomicU64,
    reading: AtomicU64,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    /// Time at which the writer began with the current block.
    begun: Option<Instant>,
    /// Time per block to find its changes in the store, including the state root.
    preparing: Histogram<{ SECONDS.len() }>,
    /// Time per block of the store's transaction.
    storing: Histogram<{ SECONDS.len() }>,
}

impl StoreTimes {
    fn read(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.reads.fetch_add(1, Relaxed);
        self.reading.fetch_add(nanos, Relaxed);
    }

    pub(super) fn write(&self, text: &mut Text) {
        let name = "braid_store_read_seconds";
        text.family(name, "summary", "Time of a read from the store, including its caches.");
        let seconds = Duration::from_nanos(self.reading.load(Relaxed)).as_secs_f64();
        text.sample(&format!("{name}_sum"), &[], seconds);
        text.sample(&format!("{name}_count"), &[], self.reads.load(Relaxed));
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let help = "Time to compute a block's changes to the store, including its state root.";
        written.preparing.write(text, "braid_store_prepare_seconds", help, &SECONDS);
        let help = "Time to make a block durable.";
        written.storing.write(text, "braid_store_write_seconds", help, &SECONDS);
    }
}

/// A store whose reads and writes are measured, if enabled.
#[derive(Debug)]
pub struct WatchedStore<S> {
    inner: S,
    times: Option<Arc<StoreTimes>>,
}

impl<S> WatchedStore<S> {
    /// Wraps `inner`. Times are recorded in `times`; with `None`, a read only costs the check.
    pub fn new(inner: S, times: Option<Arc<StoreTimes>>) -> Self {
        Self { inner, times }
    }
}

impl<S: StateStore> StateStore for WatchedStore<S> {
    type Snapshot = WatchedSnapshot<S::Snapshot>;

    fn snapshot(&self) -> Result<Self::Snapshot, StoreError> {
        // The writer's first step for each block is to take a snapshot.
        let is_writer = || std::thread::current().name() == Some(WRITER_THREAD);
        if let Some(times) = self.times.as_ref().filter(|_| is_writer()) {
            let mut written = times.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.begun = Some(Instant::now());
        }
        Ok(WatchedSnapshot { inner: self.inner.snapshot()?, times: self.times.clone() })
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        let Some(times) = &self.times else { return self.inner.write(writes) };
        let begun = Instant::now();
        self.inner.write(writes)?;
        let storing = begun.elapsed();
        let mut written = times.written.lock().unwrap_or_else(PoisonError::into_inner);
        let since = written.begun.take();
        let preparing = since.map_or(Duration::ZERO, |since| begun.duration_since(since));
        written.preparing.add(&SECONDS, preparing.as_secs_f64());
        written.storing.add(&SECONDS, storing.as_secs_f64());
        Ok(())
    }
}

/// A snapshot whose reads are measured, if enabled.
#[derive(Clone, Debug)]
pub struct WatchedSnapshot<S> {
    inner: S,
    times: Option<Arc<StoreTimes>>,
}

impl<S: Snapshot> Snapshot for WatchedSnapshot<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(times) = &self.times else { return self.inner.get(table, key) };
        let begun = Instant::now();
        let found = self.inner.get(table, key);
        times.read(begun.elapsed());
        found
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        self.inner.scan(table, prefix)
    }

    fn first_in(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
    ) -> Result<Option<Entry>, StoreError> {
        self.inner.first_in(table, first, last)
    }
}
