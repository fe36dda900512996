//! Trie nodes that the writer keeps in memory from block to block.

use super::{ChangedNodes, NodeOverlay, Tries};
use crate::{DurableBatch, Head, Snapshot, StateReader, StoreError};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Hits and misses of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// Number of requests that the cache answered.
    pub hits: u64,
    /// Number of requests that were read from the store or from a file.
    pub misses: u64,
}

/// Counters behind a [`CacheUse`].
#[derive(Debug, Default)]
pub(crate) struct CacheCounts {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl CacheCounts {
    pub(crate) fn get(&self) -> CacheUse {
        CacheUse { hits: self.hits.load(Relaxed), misses: self.misses.load(Relaxed) }
    }
}

/// The nodes of the last written state that are in memory: decoded ones up to a limit, and all
/// encoded ones that the store lacks.
#[derive(Debug)]
pub(crate) struct NodeCache {
    pub(super) tries: Mutex<Tries>,
    /// Nodes that have changed since the last flush, and the block that they belong to. `None`
    /// while they must be computed from the store.
    changed: Mutex<Option<(Head, ChangedNodes)>>,
    /// Maximum size of `tries` in bytes.
    limit: u64,
    counts: Arc<CacheCounts>,
}

impl NodeCache {
    /// Creates a cache of about `bytes` bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let (tries, changed) = (Mutex::default(), Mutex::default());
        Self { tries, changed, limit: bytes, counts: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Tries> {
        // A poisoned lock is usable: nodes that are missing are read from the store.
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) -> MutexGuard<'_, Option<(Head, ChangedNodes)>> {
        // A poisoned lock is usable: nodes that are missing are computed.
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the counters of hits and misses.
    pub(crate) fn counts(&self) -> Arc<CacheCounts> {
        Arc::clone(&self.counts)
    }

    /// Removes all nodes, because something else has changed them in the store.
    pub(crate) fn clear(&self) {
        *self.lock() = Tries::default();
        *self.changed() = None;
    }

    /// Returns the nodes of the reader's state, which must be the last written one.
    pub(crate) fn of_head<S: Snapshot>(
        &self,
        reader: &StateReader<S>,
        threads: NonZeroUsize,
    ) -> Result<NodeOverlay<S>, StoreError> {
        let changed = self.take_changed(reader, threads)?;
        *self.changed() = Some((reader.head(), changed.clone()));
        Ok(NodeOverlay::new(reader.snapshot().clone(), changed))
    }

    /// Moves the nodes out that have changed since the last flush. Computes them if they are not in
    /// memory. The reader's state must be the last written one.
    pub(crate) fn take_changed<S: Snapshot>(
        &self,
        reader: &StateReader<S>,
        threads: NonZeroUsize,
    ) -> Result<ChangedNodes, StoreError> {
        let changed = self.changed().take();
        match changed.filter(|(head, _)| *head == reader.head()) {
            Some((_, changed)) => Ok(changed),
            None => Ok(NodeOverlay::of_head(reader, threads)?.into_changed()),
        }
    }

    /// Moves the tries out that `batch` changes, to update them in place.
    pub(crate) fn take(&self, batch: &DurableBatch) -> Tries {
        self.lock().take(batch)
    }

    /// Returns copies of the tries that `batch` changes, for an update that may not be used.
    pub(crate) fn share(&self, batch: &DurableBatch) -> Tries {
        self.lock().share(batch)
    }

    /// Puts updated tries back, once the block `head` is written, with the nodes that have changed
    /// since the last flush.
    pub(crate) fn put(&self, updated: Tries, head: Head, changed: ChangedNodes) {
        *self.changed() = Some((head, changed));
        self.counts.hits.fetch_add(updated.hits, Relaxed);
        self.counts.misses.fetch_add(updated.misses, Relaxed);
        let mut tries = self.lock();
        tries.put(updated);
        if tries.bytes > self.limit {
            // A quarter less, so that not each block evicts nodes.
            tries.evict(self.limit / 4 * 3);
        }
    }
}
