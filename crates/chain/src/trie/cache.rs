//! A cache of trie nodes that the writer has recently read or written.
//!
//! Each block changes the nodes near the root, and often reads the leaves of the same busy
//! accounts. In the store, each read searches several tables.

use crate::{Entry, Snapshot, StoreError, Table, Writes};
use quick_cache::{Weighter, sync::Cache};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Size of a cache entry in bytes, in addition to key and node.
const OVERHEAD: u64 = 96;

/// The key of a node in the store, and the node; `None` if it was removed.
type Written = (Vec<u8>, Option<Arc<[u8]>>);

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

/// Cache of encoded nodes, by their keys in the store; `None` if the store has no node with the
/// key.
#[derive(Debug)]
pub(crate) struct NodeCache {
    nodes: Cache<Vec<u8>, Option<Arc<[u8]>>, Weight>,
    counts: Arc<CacheCounts>,
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Vec<u8>, Option<Arc<[u8]>>> for Weight {
    fn weight(&self, key: &Vec<u8>, node: &Option<Arc<[u8]>>) -> u64 {
        let node = node.as_ref().map_or(0, |node| node.len());
        OVERHEAD.saturating_add(key.len() as u64).saturating_add(node as u64)
    }
}

impl NodeCache {
    /// Creates a cache of about `bytes` bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        // A node has about 200 bytes, a leaf about 100 and a branch about 500.
        let entries = usize::try_from(bytes / 300).unwrap_or(usize::MAX);
        Self { nodes: Cache::with_weighter(entries, bytes, Weight), counts: Arc::default() }
    }

    /// Returns the counters of hits and misses.
    pub(crate) fn counts(&self) -> Arc<CacheCounts> {
        Arc::clone(&self.counts)
    }

    /// Removes all nodes, because something else has changed them in the store.
    pub(crate) fn clear(&self) {
        self.nodes.clear();
    }

    /// Adds nodes that the store has written.
    pub(crate) fn note(&self, writes: Vec<Written>) {
        for (key, node) in writes {
            self.nodes.insert(key, node);
        }
    }

    /// Returns the changes of nodes among `writes`.
    pub(crate) fn nodes_of(writes: &Writes) -> Vec<Written> {
        let nodes = writes.0.iter().filter(|write| write.table == Table::Nodes);
        nodes.map(|write| (write.key.clone(), write.value.as_deref().map(Arc::from))).collect()
    }
}

/// A snapshot of the latest state that reads trie nodes through the cache.
#[derive(Clone, Debug)]
pub(crate) struct CachedNodes<S> {
    pub(crate) snapshot: S,
    pub(crate) cache: Arc<NodeCache>,
}

impl<S: Snapshot> Snapshot for CachedNodes<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if table != Table::Nodes {
            return self.snapshot.get(table, key);
        }
        if let Some(node) = self.cache.nodes.get(key) {
            self.cache.counts.hits.fetch_add(1, Relaxed);
            return Ok(node.map(|node| node.to_vec()));
        }
        self.cache.counts.misses.fetch_add(1, Relaxed);
        let node = self.snapshot.get(table, key)?;
        self.cache.nodes.insert(key.to_vec(), node.as_deref().map(Arc::from));
        Ok(node)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        self.snapshot.scan(table, prefix)
    }
}
