//! Trie nodes that the writer has read or written lately.
//!
//! Each block changes the nodes near the root again, and reads the leaves of accounts that are busy
//! again. In the store each read is a search through several tables.

use crate::{Entry, Snapshot, StoreError, Table, Writes};
use quick_cache::{Weighter, sync::Cache};
use std::sync::Arc;

/// Bytes that an entry takes beside its key and its node.
const OVERHEAD: u64 = 96;

/// The key of a node in the store, and the node.
type Written = (Vec<u8>, Option<Arc<[u8]>>);

/// Nodes as the store has them, by their keys there; `None` where it has none.
#[derive(Debug)]
pub(crate) struct NodeCache(Cache<Vec<u8>, Option<Arc<[u8]>>, Weight>);

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
        Self(Cache::with_weighter(entries, bytes, Weight))
    }

    /// The store has carried out `writes`.
    pub(crate) fn note(&self, writes: Vec<Written>) {
        for (key, node) in writes {
            self.0.insert(key, node);
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
        if let Some(node) = self.cache.0.get(key) {
            return Ok(node.map(|node| node.to_vec()));
        }
        let node = self.snapshot.get(table, key)?;
        self.cache.0.insert(key.to_vec(), node.as_deref().map(Arc::from));
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
