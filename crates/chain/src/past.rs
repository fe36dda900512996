//! The state after an earlier block.

use crate::{LayeredState, Snapshot, StateReader, StoreError, Undo};
use alloy_primitives::{Address, B256, U256};
use revm::{
    DatabaseRef,
    state::{AccountInfo, Bytecode},
};
use std::sync::Arc;

/// The state after an earlier block, read from a later state and the undo records of the blocks in
/// between. It holds only the snapshot of the later state, so reading many past states does not
/// keep more old data in the store alive.
#[derive(Clone, Debug)]
pub struct PastState<S> {
    /// Number of the last block that the state includes.
    number: u64,
    /// Undo records of later blocks, oldest first. If there are any, `state` has no layers.
    undone: Arc<[Arc<Undo>]>,
    state: LayeredState<S>,
}

impl<S: Snapshot> PastState<S> {
    /// Returns the state after block `number`, which is the head of `state` or earlier. `undo`
    /// returns the undo record of a block by its number, from a cache or from the
    /// [reader](StateReader::undo); it is called for the newest block first. Returns `None` if an
    /// undo record is missing, or if the block is later than the head of `state`.
    ///
    /// # Errors
    /// Returns the errors of `undo`.
    pub fn after<E>(
        state: &LayeredState<S>,
        number: u64,
        mut undo: impl FnMut(&StateReader<S>, u64) -> Result<Option<Arc<Undo>>, E>,
    ) -> Result<Option<Self>, E> {
        if number > state.head().number {
            return Ok(None);
        }
        let (state, mut undone) = (state.up_to(number), Vec::new());
        let later = number.saturating_add(1)..=state.reader().head().number;
        for number in later.rev() {
            let Some(record) = undo(state.reader(), number)? else { return Ok(None) };
            undone.push(record);
        }
        undone.reverse();
        Ok(Some(Self { number, undone: undone.into(), state }))
    }
}

impl<S: Snapshot> PastState<S> {
    /// Returns the later state, and the undo records of later blocks, oldest first.
    pub(crate) fn parts(&self) -> (&LayeredState<S>, &[Arc<Undo>]) {
        (&self.state, &self.undone)
    }
}

impl<S: Snapshot> DatabaseRef for PastState<S> {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        match self.undone.iter().find_map(|undo| undo.account(address)) {
            Some(account) => Ok(account.map(AccountInfo::from)),
            None => self.state.basic_ref(address),
        }
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StoreError> {
        // Codes are never removed from the store.
        self.state.code_by_hash_ref(code_hash)
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, StoreError> {
        match self.undone.iter().find_map(|undo| undo.slot(address, index)) {
            Some(value) => Ok(value),
            None => self.state.storage_ref(address, index),
        }
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        match number <= self.number {
            true => self.state.block_hash_ref(number),
            false => Ok(B256::ZERO),
        }
    }
}
