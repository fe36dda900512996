//! The state after an earlier block.

use crate::{LayeredState, Snapshot, StateReader, StoreError, Undo, archive};
use alloy_primitives::{Address, B256, U256};
use revm::{
    DatabaseRef,
    state::{AccountInfo, Bytecode},
};
use std::sync::Arc;

/// The state after an earlier block, read from a later state and either the undo records of the
/// blocks in between or the archive. It holds only the snapshot of the later state, so reading many
/// past states does not keep more old data in the store alive.
#[derive(Clone, Debug)]
pub struct PastState<S> {
    /// Number of the last block that the state includes.
    number: u64,
    /// Undo records of later blocks, oldest first. If there are any, `state` has no layers.
    undone: Arc<[Arc<Undo>]>,
    /// Whether the values before later blocks are in the archive. If so, `state` has no layers.
    is_archived: bool,
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
        Ok(Some(Self { number, undone: undone.into(), is_archived: false, state }))
    }

    /// Returns the state after block `number`, which is the head of `state` or earlier, in time that
    /// does not depend on its age: values that later blocks have changed are read from the archive.
    /// Returns `None` if the [archive](StateReader::archived_since) does not have the state, or if
    /// the block is later than the head of `state`.
    ///
    /// # Errors
    /// The store failed.
    pub fn archived(state: &LayeredState<S>, number: u64) -> Result<Option<Self>, StoreError> {
        let head = state.head().number;
        let since = if number < head { state.reader().archived_since()? } else { Some(head) };
        if number > head || since.is_none_or(|since| since > number) {
            return Ok(None);
        }
        let state = state.up_to(number);
        let is_archived = number < state.reader().head().number;
        Ok(Some(Self { number, undone: [].into(), is_archived, state }))
    }

    /// Returns the number of the last block that the state includes.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Whether the state is read from the archive, which has no trie nodes.
    #[must_use]
    pub const fn is_archived(&self) -> bool {
        self.is_archived
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
        let former = match self.is_archived {
            true => archive::account(self.state.reader(), address, self.number)?,
            false => self.undone.iter().find_map(|undo| undo.account(address)),
        };
        match former {
            Some(account) => Ok(account.map(AccountInfo::from)),
            None => self.state.basic_ref(address),
        }
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StoreError> {
        // Codes are never removed from the store.
        self.state.code_by_hash_ref(code_hash)
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, StoreError> {
        let former = match self.is_archived {
            true => archive::slot(self.state.reader(), (address, index), self.number)?,
            false => self.undone.iter().find_map(|undo| undo.slot(address, index)),
        };
        match former {
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
