//! Nodes of one trie: those in the store, overlaid with the changes of an update.

use super::node::Node;
use crate::{Snapshot, StoreError, Table, Writes};
use alloy_primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::RlpNode};
use std::collections::BTreeMap;

/// Identifies a trie: the state trie, or the storage trie of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The state trie, which contains all accounts.
    State,
    /// The storage trie of the account whose address has this hash.
    Storage(B256),
}

impl Owner {
    /// Returns the prefix of the keys of all nodes of the trie.
    pub(super) fn prefix(self) -> Vec<u8> {
        match self {
            Self::State => vec![0],
            Self::Storage(hash) => [&[1], hash.as_slice()].concat(),
        }
    }

    /// Returns the key of the node at `path`.
    fn key(self, path: &Nibbles) -> Vec<u8> {
        let mut key = self.prefix();
        key.extend(path.iter());
        key
    }
}

/// The nodes of one trie, with changes that are not written yet.
#[derive(Debug)]
pub(super) struct Nodes<'s, S> {
    snapshot: &'s S,
    owner: Owner,
    /// Changed nodes by path; `None` for a removed node.
    changed: BTreeMap<Nibbles, Option<Vec<u8>>>,
    /// Whether all nodes in the store are removed.
    cleared: bool,
}

impl<'s, S: Snapshot> Nodes<'s, S> {
    pub(super) fn new(snapshot: &'s S, owner: Owner) -> Self {
        Self { snapshot, owner, changed: BTreeMap::new(), cleared: false }
    }

    /// Returns the same trie without changes, to make changes on another thread.
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

    /// Returns the encoded node at `path`.
    fn bytes(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(changed) = self.changed.get(path) {
            return Ok(changed.clone());
        }
        if self.cleared {
            return Ok(None);
        }
        self.snapshot.get(Table::Nodes, &self.owner.key(path))
    }

    /// Returns the node at `path`; `None` if there is none.
    pub(super) fn get(&self, path: &Nibbles) -> Result<Option<Node>, StoreError> {
        self.bytes(path)?.map(|bytes| Node::decode(&bytes)).transpose()
    }

    /// Sets or removes the node at `path`, and returns the reference to it for its parent.
    pub(super) fn put(&mut self, path: &Nibbles, node: Option<&Node>) -> Option<RlpNode> {
        let bytes = node.map(Node::encode);
        let reference = bytes.as_deref().map(RlpNode::from_rlp);
        self.changed.insert(*path, bytes);
        reference
    }

    /// Adds the changes of `other`, made in another part of the same trie.
    pub(super) fn merge(&mut self, other: Self) {
        self.changed.extend(other.changed);
    }

    /// Returns the root hash of the trie.
    pub(super) fn root(&self) -> Result<B256, StoreError> {
        let root = self.bytes(&Nibbles::default())?;
        Ok(root.map_or(EMPTY_ROOT_HASH, keccak256))
    }

    /// Adds all changes to `writes`.
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
