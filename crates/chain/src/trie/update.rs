//! Updates of a trie, from the root down to the changed entries and back.

use super::{
    EMPTY_ROOT, encode_account,
    node::{Child, Children, Node},
    nodes::Owner,
};
use crate::{AccountRecord, Snapshot, StoreError, Table, Writes};
use alloy_rlp::Decodable;
use alloy_trie::{Nibbles, TrieAccount, nodes::RlpNode};
use std::{collections::HashSet, mem, sync::Arc};

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

/// Writes of an update, and counts of its reads.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Changed nodes, each once.
    pub(super) writes: Writes,
    /// Number of nodes that were in memory.
    pub(super) hits: u64,
    /// Number of nodes that were read from the store.
    pub(super) misses: u64,
    /// Approximate size in memory, in bytes, of the nodes that were read or created.
    pub(super) bytes: u64,
}

impl Effects {
    /// Counts a read from the store.
    fn note_read(&mut self, node: &Node) {
        self.misses = self.misses.saturating_add(1);
        self.bytes = self.bytes.saturating_add(node.bytes());
    }

    pub(super) fn add(&mut self, other: Self) {
        self.writes.0.extend(other.writes.0);
        self.hits = self.hits.saturating_add(other.hits);
        self.misses = self.misses.saturating_add(other.misses);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Update of a trie or of a part of it. It first changes the nodes in memory, and then encodes each
/// changed node once.
#[derive(Debug)]
pub(super) struct Update<'s, S> {
    snapshot: &'s S,
    owner: Owner,
    /// Number of this update.
    number: u32,
    /// Paths at which the store may have a node and memory has none.
    removed: HashSet<Nibbles>,
    effects: Effects,
}

impl<'s, S: Snapshot> Update<'s, S> {
    pub(super) fn new(snapshot: &'s S, owner: Owner, number: u32) -> Self {
        let (removed, effects) = (HashSet::new(), Effects::default());
        Self { snapshot, owner, number, removed, effects }
    }

    /// Returns an update of another part of the same trie, for another thread.
    pub(super) fn beside(&self) -> Self {
        Self::new(self.snapshot, self.owner, self.number)
    }

    /// Takes over the effects of an update of another part of the same trie.
    pub(super) fn merge(&mut self, other: Self) {
        self.removed.extend(other.removed);
        self.effects.add(other.effects);
    }

    /// Returns `root`, or reads the root of the trie from the store if it is not in memory.
    pub(super) fn root(&mut self, root: Option<Child>) -> Result<Option<Child>, StoreError> {
        if root.is_some() {
            return Ok(root);
        }
        let root = self.owner.root(self.snapshot)?;
        if let Some(node) = root.as_ref().and_then(|root| root.node.as_deref()) {
            self.effects.note_read(node);
        }
        Ok(root)
    }

    /// Removes all nodes of the trie from the store.
    pub(super) fn clear(&mut self) -> Result<(), StoreError> {
        let prefix = self.owner.prefix();
        for entry in self.snapshot.scan(Table::Nodes, &prefix) {
            let (key, _) = entry?;
            let path = key.get(prefix.len()..).unwrap_or_default();
            if path.len() > 64 || path.iter().any(|nibble| *nibble > 15) {
                return Err(StoreError::damaged("the path of a trie node"));
            }
            self.removed.insert(Nibbles::from_nibbles(path));
        }
        Ok(())
    }

    /// Takes the node out of `child`, which is at `path`. Reads it from the store if it is not in
    /// memory.
    fn open(&mut self, path: &Nibbles, child: &mut Child) -> Result<Arc<Node>, StoreError> {
        child.used = self.number;
        if let Some(node) = child.node.take() {
            self.effects.hits = self.effects.hits.saturating_add(1);
            return Ok(node);
        }
        let node = self.owner.node(self.snapshot, path)?;
        let node = node.ok_or_else(|| StoreError::damaged("a trie node is missing"))?;
        self.effects.note_read(&node);
        Ok(Arc::new(node))
    }

    /// Returns the child at `path` after `changes`, which must be sorted by key, without
    /// duplicates, and all lie below `path`.
    pub(super) fn apply(
        &mut self,
        path: &Nibbles,
        child: Option<Child>,
        changes: &[Change],
    ) -> Result<Option<Child>, StoreError> {
        let Some(mut child) = child else {
            let node = self.build(path, changes)?;
            return Ok(node.map(|node| Child::changed(RlpNode::default(), node)));
        };
        let node = self.open(path, &mut child)?;
        let node = self.node(path, node, changes)?;
        if node.is_none() {
            self.removed.insert(*path);
        }
        Ok(node.map(|node| Child::changed(child.reference, node)))
    }

    /// Returns the node at `path` after `changes`. Changes it in place if nothing else uses it.
    fn node(
        &mut self,
        path: &Nibbles,
        mut node: Arc<Node>,
        changes: &[Change],
    ) -> Result<Option<Arc<Node>>, StoreError> {
        match Arc::make_mut(&mut node) {
            Node::Leaf { key, value } => {
                let entry = path.join(key);
                if let [(changed, new)] = changes
                    && *changed == entry
                {
                    let Some(new) = new else { return Ok(None) };
                    *value = new.over(Some(value))?;
                    return Ok(Some(node));
                }
                let mut all = changes.to_vec();
                match all.binary_search_by_key(&entry, |(key, _)| *key) {
                    Ok(at) => {
                        if let Some((_, Some(new))) = all.get_mut(at) {
                            *new = Value::Bytes(new.over(Some(value))?);
                        }
                    }
                    Err(at) => all.insert(at, (entry, Some(Value::Bytes(mem::take(value))))),
                }
                self.build(path, &all)
            }
            Node::Extension { key, child } => {
                let (key, child) = (*key, mem::take(&mut **child));
                self.extension(path, key, child, changes)
            }
            Node::Branch(children) => {
                self.children(path, children, changes)?;
                if children.len() > 1 {
                    return Ok(Some(node));
                }
                self.collapse(path, mem::take(children))
            }
        }
    }

    /// Builds the node at `path`, below which there were no entries.
    fn build(
        &mut self,
        path: &Nibbles,
        changes: &[Change],
    ) -> Result<Option<Arc<Node>>, StoreError> {
        let mut added = changes.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let (Some((first, value)), last) = (added.next(), added.next_back()) else {
            return Ok(None);
        };
        let Some((last, _)) = last else {
            let key = first.slice(path.len()..);
            return Ok(Some(Arc::new(Node::Leaf { key, value: value.over(None)? })));
        };
        // Keys are sorted, so the common prefix of the first and the last is common to all.
        let shared = first.slice(..first.common_prefix_length(last));
        let branch = self.branch(&shared, Children::default(), changes)?;
        self.prefixed(path, shared.slice(path.len()..), branch)
    }

    fn extension(
        &mut self,
        path: &Nibbles,
        key: Nibbles,
        child: Child,
        changes: &[Change],
    ) -> Result<Option<Arc<Node>>, StoreError> {
        let below = path.join(&key);
        let added = changes.iter().filter(|(_, value)| value.is_some());
        let shared = added.map(|(key, _)| key.common_prefix_length(&below)).min();
        let shared = shared.unwrap_or(below.len()).min(below.len());
        if shared == below.len() {
            let changes = inside(&below, changes);
            if changes.is_empty() {
                return Ok(Some(Arc::new(Node::Extension { key, child: Box::new(child) })));
            }
            let child = self.apply(&below, Some(child), changes)?;
            return self.prefixed(path, key, child);
        }
        // Some entry leaves the extension's key after `shared` nibbles: a branch splits it there.
        let split = below.slice(..shared);
        let rest = below.slice(shared.saturating_add(1)..);
        let child = if rest.is_empty() {
            child
        } else {
            let shorter = Node::Extension { key: rest, child: Box::new(child) };
            Child::changed(RlpNode::default(), Arc::new(shorter))
        };
        let mut children = Children::default();
        children.set(below.get(shared).unwrap_or_default(), Some(child));
        let branch = self.branch(&split, children, changes)?;
        self.prefixed(path, split.slice(path.len()..), branch)
    }

    /// Returns a new branch at `path` that has these `children` before `changes`. Changes outside
    /// `path` are ignored: they only remove entries that do not exist.
    fn branch(
        &mut self,
        path: &Nibbles,
        mut children: Children,
        changes: &[Change],
    ) -> Result<Option<Child>, StoreError> {
        self.children(path, &mut children, inside(path, changes))?;
        let node = match children.len() {
            0 | 1 => self.collapse(path, children)?,
            _ => Some(Arc::new(Node::Branch(children))),
        };
        Ok(node.map(|node| Child::changed(RlpNode::default(), node)))
    }

    /// Applies `changes` to the children of the branch at `path`. All of them must lie below it.
    fn children(
        &mut self,
        path: &Nibbles,
        children: &mut Children,
        changes: &[Change],
    ) -> Result<(), StoreError> {
        for (nibble, group) in by_nibble(path.len(), changes) {
            let child = children.get_mut(nibble).map(mem::take);
            let child = self.apply(&below(path, nibble), child, group)?;
            children.set(nibble, child);
        }
        Ok(())
    }

    /// Returns the node that replaces a branch at `path` that has only one child left, or none.
    fn collapse(
        &mut self,
        path: &Nibbles,
        children: Children,
    ) -> Result<Option<Arc<Node>>, StoreError> {
        let Some((nibble, child)) = children.into_first() else { return Ok(None) };
        self.prefixed(path, Nibbles::from_nibbles([nibble]), Some(child))
    }

    /// Returns the node at `path` if the only node below it is `child`, at `path` extended by
    /// `key`.
    fn prefixed(
        &mut self,
        path: &Nibbles,
        key: Nibbles,
        child: Option<Child>,
    ) -> Result<Option<Arc<Node>>, StoreError> {
        let Some(mut child) = child else { return Ok(None) };
        if key.is_empty() {
            return Ok(child.node);
        }
        let below = path.join(&key);
        let node = self.open(&below, &mut child)?;
        let node = match &*node {
            Node::Leaf { key: rest, value } => {
                Node::Leaf { key: key.join(rest), value: value.clone() }
            }
            Node::Extension { key: rest, child } => {
                Node::Extension { key: key.join(rest), child: child.clone() }
            }
            Node::Branch(_) => {
                child.node = Some(node);
                return Ok(Some(Arc::new(Node::Extension { key, child: Box::new(child) })));
            }
        };
        self.removed.insert(below);
        Ok(Some(Arc::new(node)))
    }

    /// Encodes `child`, which is at `path`, and all nodes below it that have changed.
    pub(super) fn encode(&mut self, path: &Nibbles, child: &mut Child) {
        let Child { node: Some(node), changed: true, .. } = child else { return };
        match Arc::make_mut(node) {
            Node::Leaf { .. } => {}
            Node::Extension { key, child } => self.encode(&path.join(key), child),
            Node::Branch(children) => {
                for (nibble, child) in children.iter_mut().filter(|(_, child)| child.changed) {
                    self.encode(&below(path, nibble), child);
                }
            }
        }
        let bytes = node.encode();
        if child.reference.is_empty() {
            self.effects.bytes = self.effects.bytes.saturating_add(node.bytes());
        }
        child.reference = RlpNode::from_rlp(&bytes);
        child.used = self.number;
        child.changed = false;
        self.removed.remove(path);
        self.effects.writes.put(Table::Nodes, self.owner.key(path), bytes);
    }

    /// Ends the update of a whole trie, and returns its effects.
    pub(super) fn end(self) -> Effects {
        let Self { owner, removed, mut effects, .. } = self;
        let mut removed: Vec<_> = removed.into_iter().collect();
        removed.sort_unstable();
        for path in removed {
            effects.writes.remove(Table::Nodes, owner.key(&path));
        }
        effects
    }
}

/// Returns the path of the child at `nibble` of the branch at `path`.
pub(super) fn below(path: &Nibbles, nibble: u8) -> Nibbles {
    let mut below = *path;
    below.push(nibble);
    below
}

/// Returns the changes below `path`, which are contiguous because they are sorted by key.
fn inside<'c>(path: &Nibbles, changes: &'c [Change]) -> &'c [Change] {
    let first = changes.partition_point(|(key, _)| key < path);
    let changes = changes.get(first..).unwrap_or_default();
    let inside = changes.partition_point(|(key, _)| key.starts_with(path));
    changes.get(..inside).unwrap_or_default()
}

/// Groups changes by the nibble at `depth` of their keys.
pub(super) fn by_nibble(depth: usize, changes: &[Change]) -> impl Iterator<Item = (u8, &[Change])> {
    let nibble = move |(key, _): &Change| key.get(depth);
    let groups = changes.chunk_by(move |one, other| nibble(one) == nibble(other));
    groups.filter_map(move |group| Some((group.first().and_then(nibble)?, group)))
}
