//! The state after an earlier block.

use crate::{LayeredState, Snapshot, StateReader, StoreError, Undo};
use alloy_primitives::{Address, B256, U256};
use revm::{
    DatabaseRef,
    state::{AccountInfo, Bytecode},
};
use std::sync::Arc;

/// The state after an earlier block, read from that after a later one and the undo records of the blocks
/// between them. It has the snapshot of the later state and no other one, so a node that reads many
/// keeps no more in the store from being removed.
#[derive(Clone, Debug)]
pub struct PastState<S> {
    /// The block after which the state is.
    number: u64,
    /// Undo records of later blocks, oldest first. Where there are any, `state` has no layers.
    undone: Arc<[Arc<Undo>]>,
    state: LayeredState<S>,
}

impl<S: Snapshot> PastState<S> {
    /// The state after block `number`: the head of `state`, or an earlier block. `undo` gives the undo
    /// record of the block with a number, as the reader [has it](StateReader::undo) unless it was kept; it is
    /// asked for the newest one first. `None` if one of them is not there, or for a later block.
    ///
    /// # Errors
    /// As `undo`.
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

impl<S: Snapshot> DatabaseRef for PastState<S> {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        match self.undone.iter().find_map(|undo| undo.account(address)) {
            Some(account) => Ok(account.map(AccountInfo::from)),
            None => self.state.basic_ref(address),
        }
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StoreError> {
        // A code stays in the store.
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
