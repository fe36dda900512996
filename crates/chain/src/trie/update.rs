//! Updates of a trie, from the root down to the changed entries and back.

use super::{EMPTY_ROOT, encode_account};
use super::{
    node::{Children, Node},
    nodes::Nodes,
};
use crate::{AccountRecord, Snapshot, StoreError};
use alloy_rlp::Decodable;
use alloy_trie::{Nibbles, TrieAccount};

/// Full key of an entry, and its new value; `None` removes the entry.
pub(super) type Change = (Nibbles, Option<Value>);

/// New value of an entry.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// The encoded value.
    Bytes(Vec<u8>),
    /// An account whose storage is unchanged. Its storage root is taken from the previous entry, so
    /// that the storage trie need not be read.
    Account(AccountRecord),
}

impl Value {
    /// Returns the encoded value. `before` is the value that it replaces.
    fn over(&self, before: Option<&[u8]>) -> Result<Vec<u8>, StoreError> {
        match (self, before) {
            (Self::Bytes(bytes), _) => Ok(bytes.clone()),
            (Self::Account(account), None) => Ok(encode_account(*account, EMPTY_ROOT)),
            (Self::Account(account), Some(mut before)) => {
                let before = TrieAccount::decode(&mut before)
                    .map_err(|error| StoreError::damaged(format!("a trie's account: {error}")))?;
                Ok(encode_account(*account, before.storage_root))
            }
        }
    }
}

/// Applies `changes` to the whole trie. They must be sorted by key, without duplicates.
pub(super) fn update<S: Snapshot>(
    nodes: &mut Nodes<'_, S>,
    changes: &[Change],
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let root = Nibbles::default();
    let node = nodes.get(&root)?;
    let node = apply(nodes, &root, node, changes)?;
    nodes.put(&root, node.as_ref());
    Ok(())
}

/// Returns the node at `path` after `changes`, which must all lie below it. Nodes further down are
/// written to `nodes`; the caller must write the returned node.
pub(super) fn apply<S: Snapshot>(
    nodes: &mut Nodes<'_, S>,
    path: &Nibbles,
    node: Option<Node>,
    changes: &[Change],
) -> Result<Option<Node>, StoreError> {
    match node {
        None => build(nodes, path, changes),
        Some(Node::Leaf { key, value }) => {
            let entry = path.join(&key);
            let mut all = changes.to_vec();
            match all.binary_search_by_key(&entry, |(key, _)| *key) {
                Ok(at) => {
                    if let Some((_, Some(new))) = all.get_mut(at) {
                        *new = Value::Bytes(new.over(Some(&value))?);
                    }
                }
                Err(at) => all.insert(at, (entry, Some(Value::Bytes(value)))),
            }
            build(nodes, path, &all)
        }
        Some(Node::Extension { key, child }) => extension(nodes, path, key, child, changes),
        Some(Node::Branch(children)) => branch(nodes, path, children, changes),
    }
}

/// Builds the node at `path`, below which there were no entries.
fn build<S: Snapshot>(
    nodes: &mut Nodes<'_, S>,
    path: &Nibbles,
    changes: &[Change],
) -> Result<Option<Node>, StoreError> {
    let mut added = changes.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let (Some((first, value)), last) = (added.next(), added.next_back()) else { return Ok(None) };
    let Some((last, _)) = last else {
        let key = first.slice(path.len()..);
        return Ok(Some(Node::Leaf { key, value: value.over(None)? }));
    };
    // Keys are sorted, so the common prefix of the first and the last is common to all.
    let shared = first.slice(..first.common_prefix_length(last));
    let node = branch(nodes, &shared, Box::default(), changes)?;
    prefixed(nodes, path, shared.slice(path.len()..), node)
}

fn extension<S: Snapshot>(
    nodes: &mut Nodes<'_, S>,
    path: &Nibbles,
    key: Nibbles,
    child: alloy_trie::nodes::RlpNode,
    changes: &[Change],
) -> Result<Option<Node>, StoreError> {
    let below = path.join(&key);
    let added = changes.iter().filter(|(_, value)| value.is_some());
    let shared = added.map(|(key, _)| key.common_prefix_length(&below)).min();
    let shared = shared.unwrap_or(below.len()).min(below.len());
    if shared == below.len() {
        let inside: Vec<Change> =
            changes.iter().filter(|(key, _)| key.starts_with(&below)).cloned().collect();
        if inside.is_empty() {
            return Ok(Some(Node::Extension { key, child }));
        }
        let node = nodes.get(&below)?;
        let node = apply(nodes, &below, node, &inside)?;
        return prefixed(nodes, path, key, node);
    }
    // Some entry leaves the extension's key after `shared` nibbles: a branch splits it there.
    let split = below.slice(..shared);
    let rest = below.slice(shared.saturating_add(1)..);
    let mut children = Box::<Children>::default();
    let nibble = usize::from(below.get(shared).unwrap_or_default());
    let reference = if rest.is_empty() {
        Some(child)
    } else {
        let shorter = Node::Extension { key: rest, child };
        nodes.put(&below.slice(..=shared), Some(&shorter))
    };
    if let Some(slot) = children.get_mut(nibble) {
        *slot = reference;
    }
    let node = branch(nodes, &split, children, changes)?;
    prefixed(nodes, path, split.slice(path.len()..), node)
}

/// Returns the node at `path`, a branch with these `children`, after `changes`. Changes outside
/// `path` are ignored: they only remove entries that do not exist.
fn branch<S: Snapshot>(
    nodes: &mut Nodes<'_, S>,
    path: &Nibbles,
    mut children: Box<Children>,
    changes: &[Change],
) -> Result<Option<Node>, StoreError> {
    let depth = path.len();
    // Changes are sorted by key, so those below `path` are contiguous.
    let first = changes.partition_point(|(key, _)| key < path);
    let changes = changes.get(first..).unwrap_or_default();
    let inside = changes.partition_point(|(key, _)| key.starts_with(path));
    let changes = changes.get(..inside).unwrap_or_default();
    let nibble = |(key, _): &Change| key.get(depth);
    for group in changes.chunk_by(|one, other| nibble(one) == nibble(other)) {
        let Some((key, _)) = group.first() else { continue };
        let below = key.slice(..=depth);
        let Some(child) = children.get_mut(usize::from(key.get(depth).unwrap_or_default())) else {
            continue;
        };
        let node = if child.is_some() { nodes.get(&below)? } else { None };
        let node = apply(nodes, &below, node, group)?;
        *child = nodes.put(&below, node.as_ref());
    }
    collapse(nodes, path, children)
}

/// Replaces a branch that has only one child, or none.
pub(super) fn collapse<S: Snapshot>(
    nodes: &mut Nodes<'_, S>,
    path: &Nibbles,
    children: Box<Children>,
) -> Result<Option<Node>, StoreError> {
    let mut present = (0_u8..).zip(children.iter()).filter(|(_, child)| child.is_some());
    match (present.next(), present.next()) {
        (None, _) => Ok(None),
        (Some((nibble, _)), None) => {
            let key = Nibbles::from_nibbles([nibble]);
            let node = nodes.get(&path.join(&key))?;
            let node = node.ok_or_else(|| StoreError::damaged("a trie node is missing"))?;
            prefixed(nodes, path, key, Some(node))
        }
        _ => Ok(Some(Node::Branch(children))),
    }
}

/// Returns the node at `path` if the only node below it is `node`, at `path` extended by `key`.
fn prefixed<S: Snapshot>(
    nodes: &mut Nodes<'_, S>,
    path: &Nibbles,
    key: Nibbles,
    node: Option<Node>,
) -> Result<Option<Node>, StoreError> {
    if key.is_empty() {
        return Ok(node);
    }
    let below = path.join(&key);
    Ok(match node {
        None => {
            nodes.put(&below, None);
            None
        }
        Some(Node::Leaf { key: rest, value }) => {
            nodes.put(&below, None);
            Some(Node::Leaf { key: key.join(&rest), value })
        }
        Some(Node::Extension { key: rest, child }) => {
            nodes.put(&below, None);
            Some(Node::Extension { key: key.join(&rest), child })
        }
        Some(branch @ Node::Branch(_)) => {
            let child = nodes.put(&below, Some(&branch));
            child.map(|child| Node::Extension { key, child })
        }
    })
}
