//! Partial tries.

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount, nodes::TrieNode};
use eth_trie::{DB, EthTrie, MemoryDB, Trie, TrieError};
use revm::database::{BundleAccount, BundleState};
use std::{fmt, sync::Arc};
use thiserror::Error;

/// Nodes of the state trie and of storage tries, by their hash.
pub struct Witness {
    /// Root of the state trie before the block.
    pub parent_state_root: B256,
    nodes: Arc<MemoryDB>,
    known: usize,
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness")
            .field("parent_state_root", &self.parent_state_root)
            .field("nodes", &self.known)
            .finish_non_exhaustive()
    }
}

/// Why the root could not be computed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PartialRootError {
    /// The change reaches a node that is not in the witness. The root may be right or wrong.
    #[error("not checkable: the witness lacks the node {node} on the way to {place}")]
    NotCheckable {
        /// Hash of the node.
        node: B256,
        /// The location that was looked up.
        place: String,
    },
    /// The witness is inconsistent.
    #[error("{place}: {what}")]
    Broken {
        /// The location that was looked up.
        place: String,
        /// The inconsistency.
        what: String,
    },
}

impl Witness {
    /// Creates a witness from the RLP of nodes. Data that is no trie node is ignored, because no
    /// node refers to it.
    pub fn new(parent_state_root: B256, nodes: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let store = MemoryDB::new(false);
        let mut known: usize = 0;
        for node in nodes {
            let bytes = node.as_ref();
            let mut rest = bytes;
            if TrieNode::decode(&mut rest).is_ok() && rest.is_empty() {
                let Ok(()) = store.insert(keccak256(bytes).as_slice(), bytes.to_vec());
                known = known.saturating_add(1);
            }
        }
        Self { parent_state_root, nodes: Arc::new(store), known }
    }

    /// Returns the root of the state trie after the block with this `bundle`.
    ///
    /// # Errors
    /// Returns a [`PartialRootError`] if a node is missing or if an account in the trie cannot be
    /// decoded.
    pub fn post_root(&self, bundle: &BundleState) -> Result<B256, PartialRootError> {
        // Sorted, so that the reported missing node is always the same.
        let mut changed: Vec<(&Address, &BundleAccount)> = bundle.state.iter().collect();
        changed.sort_unstable_by_key(|(address, _)| **address);
        let mut accounts = self.open("the state trie", self.parent_state_root)?;
        let mut removed = Vec::new();
        for (address, account) in changed {
            let place = format!("account {address}");
            let key = keccak256(address);
            let before = accounts.get(key.as_slice()).map_err(|error| named(&place, error))?;
            let before = before.map(|rlp| decode(&place, &rlp)).transpose()?;
            match self.leaf(&place, account, before)? {
                Some(leaf) => {
                    let mut rlp = Vec::new();
                    leaf.encode(&mut rlp);
                    let inserted = accounts.insert(key.as_slice(), &rlp);
                    inserted.map_err(|error| named(&place, error))?;
                }
                None if before.is_some() => removed.push((place, key)),
                None => {}
            }
        }
        remove_all(&mut accounts, removed)?;
        root_of(&mut accounts, "the state trie")
    }

    /// Returns the leaf of `account` after the block; `None` if the account is deleted.
    fn leaf(
        &self,
        place: &str,
        account: &BundleAccount,
        before: Option<TrieAccount>,
    ) -> Result<Option<TrieAccount>, PartialRootError> {
        let Some(info) = &account.info else { return Ok(None) };
        let kept = before.filter(|_| !account.was_destroyed());
        let storage_root = kept.map_or(EMPTY_ROOT_HASH, |before| before.storage_root);
        let storage_root = self.storage_root(place, account, storage_root)?;
        let code_hash = if info.code_hash == B256::ZERO { KECCAK256_EMPTY } else { info.code_hash };
        let (nonce, balance) = (info.nonce, info.balance);
        Ok(Some(TrieAccount { nonce, balance, storage_root, code_hash }))
    }

    fn storage_root(
        &self,
        place: &str,
        account: &BundleAccount,
        before: B256,
    ) -> Result<B256, PartialRootError> {
        let destroyed = account.was_destroyed();
        // A slot with its old value needs no nodes, which may be missing.
        let is_changed = |old: U256, new: U256| destroyed || old != new;
        let mut slots: Vec<(U256, U256)> = account
            .storage
            .iter()
            .filter(|(_, slot)| is_changed(slot.previous_or_original_value, slot.present_value))
            .map(|(key, slot)| (*key, slot.present_value))
            .collect();
        if slots.is_empty() {
            return Ok(before);
        }
        slots.sort_unstable();
        let mut trie = self.open(place, before)?;
        let mut removed = Vec::new();
        for (slot, value) in slots {
            let (place, key) = (format!("{place}, slot {slot:#x}"), keccak256(B256::from(slot)));
            if value.is_zero() {
                removed.push((place, key));
                continue;
            }
            let rlp = alloy_rlp::encode_fixed_size(&value);
            trie.insert(key.as_slice(), &rlp).map_err(|error| named(&place, error))?;
        }
        remove_all(&mut trie, removed)?;
        root_of(&mut trie, place)
    }

    fn open(&self, place: &str, root: B256) -> Result<EthTrie<MemoryDB>, PartialRootError> {
        if root == EMPTY_ROOT_HASH {
            return Ok(EthTrie::new(Arc::clone(&self.nodes)));
        }
        EthTrie::from(Arc::clone(&self.nodes), root).map_err(|error| match error {
            TrieError::InvalidStateRoot => {
                PartialRootError::NotCheckable { node: root, place: place.to_owned() }
            }
            other => named(place, other),
        })
    }
}

/// Removes `keys`, after all insertions: a branch that loses a child and gains another does not
/// collapse, so the nodes of its other children are not needed.
fn remove_all(
    trie: &mut EthTrie<MemoryDB>,
    keys: Vec<(String, B256)>,
) -> Result<(), PartialRootError> {
    for (place, key) in keys {
        trie.remove(key.as_slice()).map_err(|error| named(&place, error))?;
    }
    Ok(())
}

fn root_of(trie: &mut EthTrie<MemoryDB>, place: &str) -> Result<B256, PartialRootError> {
    trie.root_hash().map_err(|error| named(place, error))
}

fn decode(place: &str, mut rlp: &[u8]) -> Result<TrieAccount, PartialRootError> {
    TrieAccount::decode(&mut rlp).map_err(|error| PartialRootError::Broken {
        place: place.to_owned(),
        what: error.to_string(),
    })
}

fn named(place: &str, error: TrieError) -> PartialRootError {
    let place = place.to_owned();
    match error {
        TrieError::MissingTrieNode { node_hash, .. } => {
            PartialRootError::NotCheckable { node: node_hash, place }
        }
        other => PartialRootError::Broken { place, what: other.to_string() },
    }
}
