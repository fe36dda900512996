//! The state that a block executes on: the store, overlaid with the blocks not written yet.

use crate::{
    ExecutedBlock, Head, Snapshot, StateReader, StoreError,
    trie::{ChangedNodes, NodeOverlay},
};
use alloy_primitives::{Address, B256, U256};
use braid_evm::StateSource;
use braid_evm::ids::WorkerId;
use revm::{
    DatabaseRef,
    state::{AccountInfo, Bytecode},
};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

/// Changes of blocks that are not written yet, layered over the state in the store. Each worker has
/// a clone; clones share layers and snapshot.
///
/// The store may already hold some of the blocks in `layers`: reading a block's changes from its
/// layer or from the store gives the same values.
#[derive(Clone, Debug)]
pub struct LayeredState<S> {
    /// Newest first.
    layers: Arc<[Arc<ExecutedBlock>]>,
    reader: StateReader<S>,
    /// The nodes of the reader's state that the store lacks, once a proof has needed them.
    nodes: Arc<Mutex<Option<ChangedNodes>>>,
}

impl<S: Snapshot> LayeredState<S> {
    /// Puts `layers`, newest first, over the state of `reader`. That must be the state after the
    /// parent of the oldest layer, or after one of the layers.
    pub(crate) fn new(layers: Arc<[Arc<ExecutedBlock>]>, reader: StateReader<S>) -> Self {
        Self { layers, reader, nodes: Arc::default() }
    }

    /// Returns the last block that the state includes.
    #[must_use]
    pub fn head(&self) -> Head {
        self.layers.first().map_or(self.reader.head(), |newest| newest.head)
    }

    /// Returns the state without the layers after block `number`. If the reader's state already
    /// includes that block, returns the reader without layers, which may include later blocks.
    pub(crate) fn up_to(&self, number: u64) -> Self {
        let is_in_reader = number <= self.reader.head().number;
        let kept = |layer: &&Arc<ExecutedBlock>| !is_in_reader && layer.head.number <= number;
        let layers = self.layers.iter().filter(kept).cloned().collect();
        Self { layers, reader: self.reader.clone(), nodes: Arc::clone(&self.nodes) }
    }

    /// Returns the blocks that are not written yet, newest first.
    #[must_use]
    pub fn layers(&self) -> &[Arc<ExecutedBlock>] {
        &self.layers
    }

    /// Returns the reader of the store, which lacks the blocks that are not written yet.
    pub const fn reader(&self) -> &StateReader<S> {
        &self.reader
    }

    /// Returns the trie nodes of the reader's state. They are computed at most once for all clones.
    /// The chain must have state roots.
    pub(crate) fn nodes(&self) -> Result<NodeOverlay<S>, StoreError> {
        // A poisoned lock is usable: nodes that are missing are computed.
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = match &*nodes {
            Some(changed) => changed.clone(),
            None => {
                let overlay = NodeOverlay::of_head(&self.reader, NonZeroUsize::MIN)?;
                nodes.insert(overlay.into_changed()).clone()
            }
        };
        Ok(NodeOverlay::new(self.reader.snapshot().clone(), changed))
    }
}

impl<S: Snapshot> StateSource for LayeredState<S> {
    type State = Self;

    fn open(&self, _: WorkerId) -> Result<Self, StoreError> {
        Ok(self.clone())
    }
}

impl<S: Snapshot> DatabaseRef for LayeredState<S> {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        match self.layers.iter().find_map(|layer| layer.changes.account(&address)) {
            Some(account) => Ok(account.info.clone()),
            None => self.reader.basic_ref(address),
        }
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StoreError> {
        match self.layers.iter().find_map(|layer| layer.changes.contracts.get(&code_hash)) {
            Some(code) => Ok(code.clone()),
            None => self.reader.code_by_hash_ref(code_hash),
        }
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, StoreError> {
        for account in self.layers.iter().filter_map(|layer| layer.changes.account(&address)) {
            if let Some(slot) = account.storage.get(&index) {
                return Ok(slot.present_value);
            }
            // A block that created an account does not imply that its other slots are zero: a
            // genesis may set slots at an address without an account.
            if account.was_destroyed() {
                return Ok(U256::ZERO);
            }
        }
        self.reader.storage_ref(address, index)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        match self.layers.iter().find(|layer| layer.head.number == number) {
            Some(layer) => Ok(layer.head.hash),
            None => self.reader.block_hash_ref(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AccountRecord, DurableBatch, Keep, MemoryStore, PastState, StateRoots, commit, create,
        mutants::{Bug, with_bug},
        open,
    };
    use alloy_primitives::{Bytes, KECCAK256_EMPTY, keccak256};
    use proptest::{collection, prelude::*, strategy::ValueTree, test_runner::TestRunner};
    use revm::database::{AccountStatus, BundleAccount, BundleState, states::StorageSlot};
    use std::collections::BTreeMap;

    /// Effect of a block on an account: whether it clears the account first, the nonce afterwards
    /// (`None` destroys the account), and the slots it writes.
    type Act = (bool, Option<u64>, BTreeMap<u64, u64>);
    /// Acts of a block, by account.
    type Acts = BTreeMap<u8, Act>;

    fn acts() -> impl Strategy<Value = Vec<Acts>> {
        let slots = collection::btree_map(0_u64..3, 0_u64..3, 0..3);
        let act = (any::<bool>(), proptest::option::of(0_u64..9), slots);
        collection::vec(collection::btree_map(0_u8..3, act, 0..4), 2..5)
    }

    fn head(number: u64) -> Head {
        Head { number, hash: keccak256(number.to_be_bytes()) }
    }

    fn info(nonce: u64, code: &Bytecode) -> AccountInfo {
        let code_hash = code.hash_slow();
        AccountInfo { nonce, code_hash, code: None, ..AccountInfo::default() }
    }

    fn code(nonce: u64) -> Bytecode {
        Bytecode::new_raw(if nonce == 0 { Vec::new() } else { vec![nonce as u8] }.into())
    }

    /// Makes the block with these acts on the state `before`.
    fn executed(number: u64, acts: &Acts, before: &impl DatabaseRef) -> ExecutedBlock {
        let mut changes = BundleState::default();
        for (index, (cleared, nonce, slots)) in acts {
            let address = Address::repeat_byte(*index);
            let original_info = before.basic_ref(address).ok().flatten();
            // Destroying an account clears it.
            let cleared = *cleared || nonce.is_none();
            let slot = |(slot, value): (&u64, &u64)| {
                let (slot, value) = (U256::from(*slot), U256::from(*value));
                let old = before.storage_ref(address, slot).ok().unwrap_or_default();
                (slot, StorageSlot::new_changed(if cleared { U256::ZERO } else { old }, value))
            };
            let slots = slots.iter().filter(|_| nonce.is_some());
            let status = match (cleared, nonce) {
                (true, None) => AccountStatus::Destroyed,
                (true, Some(_)) => AccountStatus::DestroyedChanged,
                (false, _) if original_info.is_none() => AccountStatus::InMemoryChange,
                (false, _) => AccountStatus::Changed,
            };
            let present = nonce.map(|nonce| info(nonce, &code(nonce)));
            if let Some(nonce) = nonce.filter(|nonce| *nonce > 0) {
                changes.contracts.insert(code(nonce).hash_slow(), code(nonce));
            }
            let storage = slots.map(slot).collect();
            let account = BundleAccount::new(original_info, present, storage, status);
            changes.state.insert(address, account);
        }
        ExecutedBlock {
            head: head(number),
            changes,
            state_root: None,
            receipts: Arc::default(),
            rlp: Bytes::new(),
            header: Bytes::new(),
        }
    }

    /// Reads everything that a block could read.
    fn reads(state: &impl DatabaseRef<Error = StoreError>) -> Vec<String> {
        let mut found = Vec::new();
        for index in 0..3 {
            let address = Address::repeat_byte(index);
            let info = state.basic_ref(address).unwrap();
            let hash = info.as_ref().map_or(KECCAK256_EMPTY, |info| info.code_hash);
            let code = state.code_by_hash_ref(hash).unwrap().original_bytes();
            found.push(format!("{:?} {code}", info.as_ref().map(AccountRecord::from)));
            let slots = (0..3).map(|slot| state.storage_ref(address, U256::from(slot)).unwrap());
            found.push(format!("{:?}", slots.collect::<Vec<_>>()));
        }
        found.extend((0..6).map(|number| state.block_hash_ref(number).unwrap().to_string()));
        found
    }

    proptest! {
        #[test]
        fn layers_read_as_what_is_written(blocks in acts(), written in 0_usize..3) {
            let (store, all) = (MemoryStore::new(), MemoryStore::new());
            let genesis = DurableBatch { head: head(0), ..DurableBatch::default() };
            create(&store, b"{}", &genesis, StateRoots::Disabled).unwrap();
            create(&all, b"{}", &genesis, StateRoots::Disabled).unwrap();
            let (mut layers, mut states) = (Vec::new(), vec![open(&all).unwrap()]);
            for (index, acts) in blocks.iter().enumerate() {
                let block = executed(index as u64 + 1, acts, &open(&all).unwrap());
                let batch = DurableBatch::new(block.head, &block.changes);
                commit(&all, &batch, Keep::default()).unwrap();
                if index < written {
                    commit(&store, &batch, Keep::default()).unwrap();
                }
                // The oldest layer may also be in the store.
                if index + 1 >= written {
                    layers.insert(0, Arc::new(block));
                }
                let layered = LayeredState::new(layers.clone().into(), open(&store).unwrap());
                states.push(open(&all).unwrap());
                // Compare the last state, and each earlier one.
                prop_assert_eq!(reads(&layered), reads(&open(&all).unwrap()));
                for (number, state) in (0_u64..).zip(&states) {
                    let past = PastState::after(&layered, number, |reader, number| {
                        reader.undo(number).map(|undo| undo.map(Arc::new))
                    });
                    prop_assert_eq!(reads(&past.unwrap().unwrap()), reads(state), "{}", number);
                }
            }
        }
    }

    /// Executes the blocks of `acts`, and appends the state after each to `states`.
    fn extend(store: &MemoryStore, acts: &[Acts], keep: Keep, states: &mut Vec<Vec<String>>) {
        for acts in acts {
            let reader = open(store).unwrap();
            let block = executed(reader.head().number + 1, acts, &reader);
            commit(store, &DurableBatch::new(block.head, &block.changes), keep).unwrap();
            states.push(reads(&open(store).unwrap()));
        }
    }

    /// Compares the state after each block with what was read when it was the last one.
    fn compare(store: &MemoryStore, states: &[Vec<String>], since: u64) -> Result<(), String> {
        let state = LayeredState::new([].into(), open(store).unwrap());
        for (number, expected) in (0_u64..).zip(states) {
            let past = PastState::archived(&state, number).unwrap();
            let found = past.as_ref().map(reads);
            let expected = Some(expected).filter(|_| number >= since);
            if found.as_ref() != expected {
                return Err(format!("state {number}: {found:#?}, not {expected:#?}"));
            }
        }
        crate::verify(&open(store).unwrap()).map(drop).map_err(|error| error.to_string())
    }

    /// Executes blocks, of which the first are not in the archive, unwinds some and executes others.
    fn archived(
        blocks: &[Acts],
        before: usize,
        back: usize,
        others: &[Acts],
    ) -> Result<(), String> {
        let store = MemoryStore::new();
        let genesis = DurableBatch { head: head(0), ..DurableBatch::default() };
        create(&store, b"{}", &genesis, StateRoots::Computed).unwrap();
        let mut states = vec![reads(&open(&store).unwrap())];
        let archive = Keep { archive: true, ..Keep::blocks(2) };
        let before = before.min(blocks.len() - 1);
        extend(&store, &blocks[..before], Keep::blocks(2), &mut states);
        extend(&store, &blocks[before..=before], archive, &mut states);
        // The chain stays an archive. Without undo records, none can be unwound.
        extend(&store, &blocks[before + 1..], Keep::blocks(2), &mut states);
        compare(&store, &states, before as u64)?;
        let back = back.min(2).min(blocks.len());
        crate::unwind(&store, back as u64, NonZeroUsize::MIN).unwrap();
        states.truncate(states.len() - back);
        let since = before.min(states.len() - 1) as u64;
        compare(&store, &states, since)?;
        extend(&store, others, Keep::blocks(1), &mut states);
        compare(&store, &states, since)?;
        crate::prune(&store, 0, Some(0)).unwrap();
        extend(&store, blocks, Keep::blocks(0), &mut states);
        compare(&store, &states, since)
    }

    proptest! {
        #[test]
        fn every_state_can_be_read_from_the_archive(
            (blocks, others) in (acts(), acts()),
            before in 0_usize..3,
            back in 0_usize..3,
        ) {
            prop_assert_eq!(archived(&blocks, before, back, &others), Ok(()));
        }
    }

    #[test]
    fn a_wrong_archive_is_noticed() {
        let blocks = (acts(), acts());
        for bug in Bug::ARCHIVE {
            let mut runner = TestRunner::deterministic();
            let is_noticed = (0..100).any(|_| {
                let (blocks, others) = blocks.new_tree(&mut runner).unwrap().current();
                with_bug(Some(bug), || archived(&blocks, 0, 2, &others)).is_err()
            });
            assert!(is_noticed, "{bug:?}");
        }
    }
}
