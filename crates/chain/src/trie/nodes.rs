//! Nodes in the store.

use super::node::{Child, Node};
use crate::{Snapshot, StoreError, Table};
use alloy_primitives::{Address, B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::RlpNode};
use std::sync::Arc;

/// Identifies a trie: the state trie, or the storage trie of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The state trie, which contains all accounts.
    State,
    /// The storage trie of the account whose address has this hash.
    Storage(B256),
}

impl Owner {
    /// Returns the storage trie of the account at `address`.
    pub(super) fn storage(address: Address) -> Self {
        Self::Storage(keccak256(address))
    }

    /// Returns the prefix of the keys of all nodes of the trie.
    pub(super) fn prefix(self) -> Vec<u8> {
        self.key(&Nibbles::default())
    }

    /// Returns the key of the node at `path`.
    pub(super) fn key(self, path: &Nibbles) -> Vec<u8> {
        let (kind, account) = match &self {
            Self::State => (0, &[][..]),
            Self::Storage(hash) => (1, hash.as_slice()),
        };
        let length = path.len().saturating_add(account.len()).saturating_add(1);
        let mut key = Vec::with_capacity(length);
        key.push(kind);
        key.extend_from_slice(account);
        key.extend(path.iter());
        key
    }

    /// Reads the encoded node at `path`.
    fn bytes<S: Snapshot>(
        self,
        snapshot: &S,
        path: &Nibbles,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        snapshot.get(Table::Nodes, &self.key(path))
    }

    /// Reads the node at `path`; `None` if there is none.
    pub(super) fn node<S: Snapshot>(
        self,
        snapshot: &S,
        path: &Nibbles,
    ) -> Result<Option<Node>, StoreError> {
        self.bytes(snapshot, path)?.map(|bytes| Node::decode(&bytes)).transpose()
    }

    /// Reads the root of the trie; `None` if the trie is empty.
    pub(super) fn root<S: Snapshot>(self, snapshot: &S) -> Result<Option<Child>, StoreError> {
        let Some(bytes) = self.bytes(snapshot, &Nibbles::default())? else { return Ok(None) };
        let node = Some(Arc::new(Node::decode(&bytes)?));
        Ok(Some(Child { node, ..Child::stored(RlpNode::from_rlp(&bytes)) }))
    }
}

/// Returns the hash of a trie with this root.
pub(super) fn root_hash(root: Option<&Child>) -> B256 {
    let Some(Child { reference, .. }) = root else { return EMPTY_ROOT_HASH };
    // A node that is shorter than a hash is its own reference.
    reference.as_hash().unwrap_or_else(|| keccak256(reference))
}
