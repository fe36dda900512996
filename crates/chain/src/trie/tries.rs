//! Decoded trie nodes in memory.
//!
//! Each block changes the nodes near the roots, and often the leaves of the same busy accounts.
//! They stay decoded and linked, so that an update follows pointers instead of searching the store
//! for each node, and decodes only nodes that it reads for the first time.

use super::{
    node::{Child, Node},
    update::Effects,
};
use crate::{DurableBatch, Writes};
use alloy_primitives::{Address, map::AddressMap};
use std::{collections::BTreeMap, mem, sync::Arc};

/// The tries of one state, as far as they are in memory.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// Root of the state trie.
    pub(super) state: Option<Child>,
    /// Roots of storage tries, by the address of their account; `None` for a trie that an update
    /// has emptied.
    pub(super) storage: AddressMap<Option<Child>>,
    /// Number of updates so far.
    updates: u32,
    pub(super) hits: u64,
    pub(super) misses: u64,
    /// About how many bytes of memory the nodes take.
    pub(super) bytes: u64,
}

impl Tries {
    /// Returns the tries that `batch` changes; `root` returns the root of a storage trie.
    fn of(
        &self,
        state: Option<Child>,
        batch: &DurableBatch,
        root: impl FnMut(Address) -> Option<(Address, Option<Child>)>,
    ) -> Self {
        let cleared = batch.accounts.iter().filter(|change| change.cleared);
        let slots = batch.slots.chunk_by(|one, other| one.address == other.address);
        let changed = slots.filter_map(|slots| slots.first()).map(|slot| slot.address);
        let storage = changed.chain(cleared.map(|change| change.address)).filter_map(root);
        Self { state, storage: storage.collect(), updates: self.updates, ..Self::default() }
    }

    /// Moves the tries out that `batch` changes.
    pub(super) fn take(&mut self, batch: &DurableBatch) -> Self {
        let state = self.state.take();
        let mut storage = mem::take(&mut self.storage);
        let taken = self.of(state, batch, |address| storage.remove_entry(&address));
        self.storage = storage;
        taken
    }

    /// Returns copies of the tries that `batch` changes. They share all nodes with these tries; an
    /// update copies the nodes that it changes.
    pub(super) fn share(&self, batch: &DurableBatch) -> Self {
        let root = |address| Some((address, self.storage.get(&address)?.clone()));
        self.of(self.state.clone(), batch, root)
    }

    /// Puts back tries that were taken or shared.
    pub(super) fn put(&mut self, changed: Self) {
        self.state = changed.state;
        for (address, root) in changed.storage {
            // Empty tries are not kept: the store answers quickly that they have no root.
            match root {
                Some(root) => self.storage.insert(address, Some(root)),
                None => self.storage.remove(&address),
            };
        }
        self.updates = changed.updates;
        self.bytes = self.bytes.saturating_add(changed.bytes);
    }

    /// Returns the number of the next update.
    pub(super) fn begin_update(&mut self) -> u32 {
        self.updates = self.updates.saturating_add(1);
        self.updates
    }

    /// Counts the effects of an update, and adds its writes to `writes`.
    pub(super) fn note(&mut self, effects: Effects, writes: &mut Writes) {
        self.hits = self.hits.saturating_add(effects.hits);
        self.misses = self.misses.saturating_add(effects.misses);
        self.bytes = self.bytes.saturating_add(effects.bytes);
        writes.0.extend(effects.writes.0);
    }

    /// Evicts the nodes that have not been used for the longest time, until the others take about
    /// `keep` bytes.
    pub(super) fn evict(&mut self, keep: u64) {
        let by_use = self.measure();
        let (mut kept, mut oldest) = (0_u64, u32::MAX);
        for (used, bytes) in by_use.into_iter().rev() {
            let more = kept.saturating_add(bytes);
            if more > keep {
                break;
            }
            (kept, oldest) = (more, used);
        }
        self.bytes = kept;
        self.state = self.state.take().filter(|root| root.used >= oldest);
        self.storage.retain(|_, root| root.as_ref().is_some_and(|root| root.used >= oldest));
        for root in self.storage.values_mut().flatten().chain(&mut self.state) {
            forget(root, oldest);
        }
    }

    /// Returns the sizes of the nodes in memory, by the number of the update that last used them.
    pub(super) fn measure(&self) -> BTreeMap<u32, u64> {
        let mut by_use = BTreeMap::new();
        for root in self.storage.values().flatten().chain(&self.state) {
            measure(root, &mut by_use);
        }
        by_use
    }
}

/// Adds the sizes of `child` and of the nodes below it to `by_use`.
fn measure(child: &Child, by_use: &mut BTreeMap<u32, u64>) {
    let Some(node) = &child.node else { return };
    let bytes = by_use.entry(child.used).or_default();
    *bytes = bytes.saturating_add(node.bytes());
    match &**node {
        Node::Leaf { .. } => {}
        Node::Extension { child, .. } => measure(child, by_use),
        Node::Branch(children) => children.iter().for_each(|(_, child)| measure(child, by_use)),
    }
}

/// Evicts the nodes below `child` that were last used before the update `oldest`. A node is used at
/// least as late as the nodes below it.
fn forget(child: &mut Child, oldest: u32) {
    let Some(node) = &mut child.node else { return };
    match Arc::make_mut(node) {
        Node::Leaf { .. } => {}
        Node::Extension { child, .. } => forget_old(child, oldest),
        Node::Branch(children) => {
            children.iter_mut().for_each(|(_, child)| forget_old(child, oldest));
        }
    }
}

fn forget_old(child: &mut Child, oldest: u32) {
    if child.used < oldest {
        child.node = None;
    } else {
        forget(child, oldest);
    }
}
