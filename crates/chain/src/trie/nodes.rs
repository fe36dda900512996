//! Nodes of one trie: the store's, and above them the nodes that an update has changed.

use super::node::Node;
use crate::{Snapshot, StoreError, Table, Writes};
use alloy_primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::RlpNode};
use std::collections::BTreeMap;

/// Which trie: that of all accounts, or the storage of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The accounts.
    State,
    /// The storage of the account whose address has this hash.
    Storage(B256),
}

impl Owner {
    /// What the keys of all nodes of the trie begin with.
    pub(super) fn prefix(self) -> Vec<u8> {
        match self {
            Self::State => vec![0],
            Self::Storage(hash) => [&[1], hash.as_slice()].concat(),
        }
    }

    /// The key of the node at `path`.
    fn key(self, path: &Nibbles) -> Vec<u8> {
        let mut key = self.prefix();
        key.extend(path.iter());
        key
    }
}

/// The nodes of one trie.
#[derive(Debug)]
pub(super) struct Nodes<'s, S> {
    snapshot: &'s S,
    owner: Owner,
    /// Changed nodes by path; `None` where a node has gone.
    changed: BTreeMap<Nibbles, Option<Vec<u8>>>,
    /// Whether the nodes in the store have all gone.
    cleared: bool,
}

impl<'s, S: Snapshot> Nodes<'s, S> {
    pub(super) fn new(snapshot: &'s S, owner: Owner) -> Self {
        Self { snapshot, owner, changed: BTreeMap::new(), cleared: false }
    }

    /// The same trie, where other nodes are changed.
    pub(super) fn beside(&self) -> Self {
        Self { changed: BTreeMap::new(), ..*self }
    }

    /// Removes all nodes.
    pub(super) fn clear(&mut self) -> Result<(), StoreError> {
        let prefix = self.owner.prefix();
        for entry in self.snapshot.scan(Table::Nodes, &prefix) {
            let (key, _) = entry?;
            let path = key.get(prefix.len()..).unwrap_or_default();
            if path.iter().any(|nibble| *nibble > 15) {
                return Err(StoreError::damaged("the path of a trie node"));
            }
            self.changed.insert(Nibbles::from_nibbles(path), None);
        }
        self.cleared = true;
        Ok(())
    }

    /// The bytes of the node at `path`.
    fn bytes(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(changed) = self.changed.get(path) {
            return Ok(changed.clone());
        }
        if self.cleared {
            return Ok(None);
        }
        self.snapshot.get(Table::Nodes, &self.owner.key(path))
    }

    /// The node at `path`.
    pub(super) fn get(&self, path: &Nibbles) -> Result<Option<Node>, StoreError> {
        self.bytes(path)?.map(|bytes| Node::decode(&bytes)).transpose()
    }

    /// Puts the node at `path`, or takes it away, and returns what its parent holds of it.
    pub(super) fn put(&mut self, path: &Nibbles, node: Option<&Node>) -> Option<RlpNode> {
        let bytes = node.map(Node::encode);
        let reference = bytes.as_deref().map(RlpNode::from_rlp);
        self.changed.insert(*path, bytes);
        reference
    }

    /// Adds what was changed in `other`, elsewhere in the same trie.
    pub(super) fn merge(&mut self, other: Self) {
        self.changed.extend(other.changed);
    }

    /// The hash of the whole trie.
    pub(super) fn root(&self) -> Result<B256, StoreError> {
        let root = self.bytes(&Nibbles::default())?;
        Ok(root.map_or(EMPTY_ROOT_HASH, keccak256))
    }

    /// Writes all changes.
    pub(super) fn write(self, writes: &mut Writes) {
        for (path, bytes) in self.changed {
            let key = self.owner.key(&path);
            match bytes {
                Some(bytes) => writes.put(Table::Nodes, key, bytes),
                None => writes.remove(Table::Nodes, key),
            }
        }
    }
}
