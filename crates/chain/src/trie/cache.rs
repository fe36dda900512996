//! Trie nodes that the writer has read or written lately.
//!
//! Each block changes the nodes near the root again, and reads the leaves of accounts that are busy
//! again. In the store each read is a search through several tables.

use crate::{Entry, Snapshot, StoreError, Table, Writes};
use quick_cache::{Weighter, sync::Cache};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Bytes that an entry takes beside its key and its node.
const OVERHEAD: u64 = 96;

/// The key of a node in the store, and the node.
type Written = (Vec<u8>, Option<Arc<[u8]>>);

/// How often a cache had what it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// It had it.
    pub hits: u64,
    /// It was read from below.
    pub misses: u64,
}

/// The same while it is counted.
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

/// Nodes as the store has them, by their keys there; `None` where it has none.
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
    /// A cache of about `bytes` bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        // A node has some 200 bytes, between a leaf's 100 and a branch's 500.
        let entries = usize::try_from(bytes / 300).unwrap_or(usize::MAX);
        Self { nodes: Cache::with_weighter(entries, bytes, Weight), counts: Arc::default() }
    }

    /// How often a node was there.
    pub(crate) fn counts(&self) -> Arc<CacheCounts> {
        Arc::clone(&self.counts)
    }

    /// The store has carried out `writes`.
    pub(crate) fn note(&self, writes: Vec<Written>) {
        for (key, node) in writes {
            self.nodes.insert(key, node);
        }
    }

    /// What `writes` does to nodes.
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
