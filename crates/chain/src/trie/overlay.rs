//! Trie nodes that the store lacks.
//!
//! The writer flushes trie nodes only every few blocks, so that a node which several blocks change
//! is written once. In between they are in memory. After a restart they are computed again: the undo
//! records say which entries have changed since the last flush.

use super::{Tries, UpdatedTries};
use crate::{
    AccountChange, DurableBatch, Entry, SlotChange, Snapshot, StateReader, StoreError, Table, Undo,
    Write, Writes,
};
use alloy_primitives::B256;
use revm::DatabaseRef;
use std::{
    borrow::Borrow,
    collections::{BTreeMap, btree_map::Entry as MapEntry},
    mem,
    num::NonZeroUsize,
    sync::Arc,
};

/// Nodes by key; `None` for a removed node.
type Nodes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Approximate memory of a node in a map, in addition to its key and its encoding.
const ENTRY_BYTES: usize = 96;

/// Nodes that have changed since the last flush.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangedNodes {
    nodes: Arc<Nodes>,
    bytes: usize,
}

impl ChangedNodes {
    /// Adds the nodes that a later block changes.
    pub(crate) fn add(&mut self, writes: Writes) {
        let nodes = Arc::make_mut(&mut self.nodes);
        for write in writes.0 {
            let value_bytes = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
            self.bytes = self.bytes.saturating_add(value_bytes(&write.value));
            match nodes.entry(write.key) {
                MapEntry::Occupied(mut entry) => {
                    let before = entry.insert(write.value);
                    self.bytes = self.bytes.saturating_sub(value_bytes(&before));
                }
                MapEntry::Vacant(entry) => {
                    let more = entry.key().len().saturating_add(ENTRY_BYTES);
                    self.bytes = self.bytes.saturating_add(more);
                    entry.insert(write.value);
                }
            }
        }
    }

    /// Returns about how many bytes of memory the nodes take.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves all nodes to `writes`, to flush them.
    pub(crate) fn flush(&mut self, writes: &mut Writes) {
        let nodes = Arc::unwrap_or_clone(mem::take(self).nodes);
        let write = |(key, value)| Write { table: Table::Nodes, key, value };
        writes.0.extend(nodes.into_iter().map(write));
    }
}

/// A snapshot with changed trie nodes over it.
#[derive(Clone, Debug)]
pub(crate) struct NodeOverlay<S> {
    snapshot: S,
    changed: ChangedNodes,
}

impl<S: Snapshot> NodeOverlay<S> {
    /// Puts `changed` over the nodes of `snapshot`.
    pub(crate) const fn new(snapshot: S, changed: ChangedNodes) -> Self {
        Self { snapshot, changed }
    }

    /// Returns the nodes of the reader's state, computed on `threads` threads from the nodes in the
    /// store. The chain must have state roots.
    ///
    /// # Errors
    /// The nodes do not lead to the stored state root, or the store failed.
    pub(crate) fn of_head(
        reader: &StateReader<S>,
        threads: NonZeroUsize,
    ) -> Result<Self, StoreError> {
        let mut nodes = Self::new(reader.snapshot().clone(), ChangedNodes::default());
        let flushed = reader.nodes_head()?;
        if flushed == reader.head() {
            return Ok(nodes);
        }
        let later = flushed.number.saturating_add(1)..=reader.head().number;
        let undone = later.map(|number| {
            let missing = || format!("the undo record of block {number} is missing");
            reader.undo(number)?.ok_or_else(|| StoreError::damaged(missing()))
        });
        let undone: Vec<Undo> = undone.collect::<Result<_, StoreError>>()?;
        let root = nodes.update(&changes_of(reader, &undone)?, threads)?;
        match reader.state_root()? {
            Some(stored) if stored == root => Ok(nodes),
            _ => Err(StoreError::damaged(format!(
                "the trie nodes of block {} do not lead to the state root of block {}",
                flushed.number,
                reader.head().number
            ))),
        }
    }

    /// Applies the changes in `batch`, and returns the new state root.
    pub(crate) fn update(
        &mut self,
        batch: &DurableBatch,
        threads: NonZeroUsize,
    ) -> Result<B256, StoreError> {
        let UpdatedTries { root, nodes, .. } =
            UpdatedTries::new(self, Tries::default(), batch, threads)?;
        self.changed.add(nodes);
        Ok(root)
    }

    /// Returns the changed nodes.
    pub(crate) fn into_changed(self) -> ChangedNodes {
        self.changed
    }
}

/// Collects the changes that the blocks of `undone`, oldest first, have made. `reader` has the state
/// after the last of them.
pub(crate) fn changes_of<S: Snapshot>(
    reader: &StateReader<S>,
    undone: &[impl Borrow<Undo>],
) -> Result<DurableBatch, StoreError> {
    let (mut accounts, mut slots) = (BTreeMap::new(), BTreeMap::new());
    for undo in undone.iter().map(Borrow::borrow) {
        // The value before the first of the blocks counts.
        for (address, before) in &undo.accounts {
            accounts.entry(*address).or_insert(*before);
        }
        for (address, slot, before) in &undo.slots {
            slots.entry((*address, *slot)).or_insert(*before);
        }
    }
    let mut batch = DurableBatch { head: reader.head(), ..DurableBatch::default() };
    for ((address, slot), before) in slots {
        let after = reader.storage_ref(address, slot)?;
        batch.slots.push(SlotChange { address, slot, before, after });
        // A storage trie is updated only with its account.
        if let MapEntry::Vacant(entry) = accounts.entry(address) {
            entry.insert(reader.account(address)?);
        }
    }
    for (address, before) in accounts {
        let after = reader.account(address)?;
        batch.accounts.push(AccountChange { address, before, after, cleared: false });
    }
    Ok(batch)
}

impl<S: Snapshot> Snapshot for NodeOverlay<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.changed.nodes.get(key).filter(|_| table == Table::Nodes) {
            Some(changed) => Ok(changed.clone()),
            None => self.snapshot.get(table, key),
        }
    }

    /// Nodes are not in key order: changed ones come last.
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        let stored = self.snapshot.scan(table, prefix);
        if table != Table::Nodes {
            return stored;
        }
        let changed = &*self.changed.nodes;
        let is_changed = |entry: &Result<Entry, StoreError>| {
            entry.as_ref().is_ok_and(|(key, _)| changed.contains_key(key))
        };
        let stored = stored.filter(move |entry| !is_changed(entry));
        let prefix = prefix.to_vec();
        let changed = changed.range(prefix.clone()..);
        let changed = changed.take_while(move |(key, _)| key.starts_with(&prefix));
        let changed = changed.filter_map(|(key, node)| Some(Ok((key.clone(), node.clone()?))));
        Box::new(stored.chain(changed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_newest_nodes() {
        let mut changed = ChangedNodes::default();
        let mut add = |nodes: &[(&str, Option<&[u8]>)]| {
            let mut writes = Writes::default();
            for (key, node) in nodes {
                match node {
                    Some(node) => writes.put(Table::Nodes, key.as_bytes(), *node),
                    None => writes.remove(Table::Nodes, key.as_bytes()),
                }
            }
            changed.add(writes);
            changed.bytes()
        };
        assert_eq!(add(&[("abc", Some(&[1; 500])), ("de", None)]), 505 + 2 * ENTRY_BYTES);
        assert_eq!(add(&[("abc", Some(&[2; 32])), ("de", Some(&[3; 8]))]), 45 + 2 * ENTRY_BYTES);
        assert_eq!(add(&[("abc", None)]), 13 + 2 * ENTRY_BYTES);
    }
}
