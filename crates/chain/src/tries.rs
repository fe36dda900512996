//! The tries of a state that is not the store's: for proofs of earlier states, and for state roots
//! of blocks that are never written.

use crate::{
    DurableBatch, Head, PastState, Snapshot, StoreError,
    trie::{EMPTY_ROOT, NodeOverlay, changes_of, prove_account, prove_slot, state_root},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::TrieAccount;
use revm::database::BundleState;
use std::{mem, num::NonZeroUsize};

/// Proof of an account in the state trie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// Encoded nodes on the path to the account, from the root on.
    pub nodes: Vec<Bytes>,
    /// Storage root of the account; that of an empty storage if there is no account.
    pub storage_root: B256,
}

/// Proof of a slot in an account's storage trie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// Encoded nodes on the path to the slot, from the root on.
    pub nodes: Vec<Bytes>,
    /// Value of the slot; zero if it is not set.
    pub value: U256,
}

/// The state trie and all storage tries of one state: the tries in the store, overlaid with changed
/// nodes in memory.
#[derive(Clone, Debug)]
pub struct StateTries<S> {
    nodes: NodeOverlay<S>,
}

impl<S: Snapshot> StateTries<S> {
    /// Returns the tries of `state`; `None` if the chain has no state roots, or if the state is
    /// [read from the archive](PastState::is_archived).
    ///
    /// # Errors
    /// The store failed.
    pub fn of(state: &PastState<S>) -> Result<Option<Self>, StoreError> {
        let (later, undone) = state.parts();
        let reader = later.reader();
        if reader.state_root()?.is_none() || state.is_archived() {
            return Ok(None);
        }
        let mut tries = Self { nodes: later.nodes()? };
        // Newest first. The store may already hold some of the layers.
        let layers = later.layers().iter().rev();
        for layer in layers.filter(|layer| layer.head.number > reader.head().number) {
            tries.apply(&layer.changes)?;
        }
        if !undone.is_empty() {
            // From the reader's state back to the one before these blocks.
            let mut back = changes_of(reader, undone)?;
            for change in &mut back.accounts {
                mem::swap(&mut change.before, &mut change.after);
            }
            for change in &mut back.slots {
                mem::swap(&mut change.before, &mut change.after);
            }
            tries.update(&back)?;
        }
        Ok(Some(tries))
    }

    /// Returns the state root.
    ///
    /// # Errors
    /// The store failed.
    pub fn root(&self) -> Result<B256, StoreError> {
        state_root(&self.nodes)
    }

    /// Applies the changes of a block or of a transaction, and returns the new state root.
    ///
    /// # Errors
    /// The store failed.
    pub fn apply(&mut self, changes: &BundleState) -> Result<B256, StoreError> {
        self.update(&DurableBatch::new(Head::default(), changes))
    }

    fn update(&mut self, batch: &DurableBatch) -> Result<B256, StoreError> {
        self.nodes.update(batch, NonZeroUsize::MIN)
    }

    /// Proves the account at `address`, or that there is none.
    ///
    /// # Errors
    /// The store failed.
    pub fn prove_account(&self, address: Address) -> Result<AccountProof, StoreError> {
        let (nodes, account) = prove_account(&self.nodes, keccak256(address))?;
        let account = account.map(|account| TrieAccount::decode(&mut &*account)).transpose();
        let account = account.map_err(|_| StoreError::damaged("an account of the state trie"))?;
        let storage_root = account.map_or(EMPTY_ROOT, |account| account.storage_root);
        Ok(AccountProof { nodes, storage_root })
    }

    /// Proves the value of a slot of `address`, or that it is not set.
    ///
    /// # Errors
    /// The store failed.
    pub fn prove_slot(&self, address: Address, slot: U256) -> Result<SlotProof, StoreError> {
        let slot = keccak256(slot.to_be_bytes::<32>());
        let (nodes, value) = prove_slot(&self.nodes, keccak256(address), slot)?;
        let value = value.map(|value| U256::decode(&mut &*value)).transpose();
        let value = value.map_err(|_| StoreError::damaged("a slot of a storage trie"))?;
        Ok(SlotProof { nodes, value: value.unwrap_or_default() })
    }
}
