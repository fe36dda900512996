//! A store whose writes end at some point, as if its process were killed.

use braid_chain::{MemorySnapshot, MemoryStore, StateStore, StoreError, Writes};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kill {
    /// Number of writes before it.
    pub(super) after: u64,
    /// Whether the write during which it happens is in the store.
    pub(super) is_late: bool,
}

/// A store in memory whose process may be killed.
#[derive(Clone, Debug)]
pub(super) struct Killed {
    inner: MemoryStore,
    kill: Option<Kill>,
    writes: Arc<AtomicU64>,
    strikes: Arc<AtomicU64>,
}

/// Error of a write after the kill.
#[derive(Debug)]
struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process was killed")
    }
}

impl Error for Ended {}

impl Killed {
    pub(super) fn new(inner: MemoryStore, kill: Option<Kill>) -> Self {
        let [writes, strikes] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        Self { inner, kill, writes, strikes }
    }

    /// Number of writes that have failed.
    pub(super) fn strikes(&self) -> u64 {
        self.strikes.load(SeqCst)
    }
}

impl StateStore for Killed {
    type Snapshot = MemorySnapshot;

    fn snapshot(&self) -> Result<MemorySnapshot, StoreError> {
        self.inner.snapshot()
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        let number = self.writes.fetch_add(1, SeqCst);
        let Some(kill) = self.kill.filter(|kill| number >= kill.after) else {
            return self.inner.write(writes);
        };
        if kill.is_late && number == kill.after {
            self.inner.write(writes)?;
        }
        self.strikes.fetch_add(1, SeqCst);
        Err(StoreError::backend(Ended))
    }
}
