//! The last blocks with their transactions and receipts, in memory. Older ones are in the store.

use crate::stored::StoredBlock;
use alloy_primitives::B256;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// The last blocks, without a gap, bounded by their number and by their size.
#[derive(Debug)]
pub(crate) struct History {
    /// The block that the chain began with, which is always known.
    first: Option<Arc<StoredBlock>>,
    /// The oldest block in the store when the node was opened, or the next one if there was none; or
    /// the oldest one since, if the blocks are limited by their size.
    oldest_stored: u64,
    blocks: VecDeque<Arc<StoredBlock>>,
    by_hash: HashMap<B256, u64>,
    transactions: HashMap<B256, (u64, usize)>,
    bytes: usize,
    max_blocks: usize,
    max_bytes: usize,
}

impl History {
    pub(crate) fn new(max_blocks: u64, max_bytes: usize) -> Self {
        Self {
            first: None,
            oldest_stored: 0,
            blocks: VecDeque::new(),
            by_hash: HashMap::new(),
            transactions: HashMap::new(),
            bytes: 0,
            // The last block is always kept.
            max_blocks: usize::try_from(max_blocks).unwrap_or(usize::MAX).max(1),
            max_bytes,
        }
    }

    /// Adds the next block, and removes the oldest ones while there are too many.
    pub(crate) fn push(&mut self, block: Arc<StoredBlock>) {
        let number = block.number();
        if self.blocks.back().is_some_and(|last| last.number().checked_add(1) != Some(number)) {
            (self.blocks, self.by_hash, self.transactions, self.bytes) = Default::default();
        }
        self.by_hash.insert(block.hash, number);
        let hashes = block.transactions.iter().map(|it| *it.hash()).enumerate();
        self.transactions.extend(hashes.map(|(index, hash)| (hash, (number, index))));
        self.bytes = self.bytes.saturating_add(block.bytes());
        self.blocks.push_back(block);
        while self.blocks.len() > self.max_blocks
            || (self.bytes > self.max_bytes && self.blocks.len() > 1)
        {
            let Some(old) = self.blocks.pop_front() else { break };
            self.forget(&old);
        }
    }

    /// Forgets the blocks before `oldest`, which the store has removed, except the last block.
    pub(crate) fn remove_before(&mut self, oldest: u64) {
        self.oldest_stored = self.oldest_stored.max(oldest);
        while self.blocks.len() > 1
            && let Some(old) = self.blocks.pop_front_if(|block| block.number() < oldest)
        {
            self.forget(&old);
        }
    }

    /// Returns the maximum number of blocks.
    pub(crate) const fn max_blocks(&self) -> u64 {
        self.max_blocks as u64
    }

    /// Removes the blocks after `number`.
    pub(crate) fn truncate(&mut self, number: u64) {
        while let Some(block) = self.blocks.pop_back_if(|block| block.number() > number) {
            self.forget(&block);
        }
    }

    /// Removes what is kept for a block that has left `blocks`.
    fn forget(&mut self, block: &StoredBlock) {
        self.by_hash.remove(&block.hash);
        for transaction in &block.transactions {
            // On a development chain, a later block may have it again.
            if self.transactions.get(transaction.hash()).is_some_and(|it| it.0 == block.number()) {
                self.transactions.remove(transaction.hash());
            }
        }
        self.bytes = self.bytes.saturating_sub(block.bytes());
    }

    /// Returns the number of the oldest block that is kept, in memory or in the store.
    pub(crate) fn oldest_kept(&self) -> Option<u64> {
        let in_memory = self.oldest()?;
        // Since the node was opened, later blocks have replaced the oldest ones.
        let last = self.blocks.back()?.number();
        let oldest =
            self.oldest_stored.max(last.saturating_add(1).saturating_sub(self.max_blocks()));
        // The first block is not in the store, and is always there.
        let is_second = |first: &Arc<StoredBlock>| first.number().checked_add(1) == Some(oldest);
        let oldest = oldest.saturating_sub(u64::from(self.first.as_ref().is_some_and(is_second)));
        Some(oldest.min(in_memory))
    }

    /// Returns the number of the oldest block in memory.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.blocks.front().map(|block| block.number())
    }

    /// Sets the block that the chain began with, and the oldest other block in the store, or the
    /// next block if there is none.
    pub(crate) fn begin(&mut self, first: Option<Arc<StoredBlock>>, oldest: u64) {
        (self.first, self.oldest_stored) = (first, oldest);
    }

    /// Returns the block that the chain began with, if it is known.
    pub(crate) fn first(&self) -> Option<&Arc<StoredBlock>> {
        self.first.as_ref()
    }

    pub(crate) fn by_number(&self, number: u64) -> Option<Arc<StoredBlock>> {
        if let Some(first) = self.first.as_ref().filter(|first| first.number() == number) {
            return Some(Arc::clone(first));
        }
        let index = number.checked_sub(self.oldest()?)?;
        self.blocks.get(usize::try_from(index).ok()?).cloned()
    }

    pub(crate) fn by_hash(&self, hash: &B256) -> Option<Arc<StoredBlock>> {
        if let Some(first) = self.first.as_ref().filter(|first| first.hash == *hash) {
            return Some(Arc::clone(first));
        }
        self.by_number(*self.by_hash.get(hash)?)
    }

    /// Returns the block that contains a transaction, and the transaction's index in it.
    pub(crate) fn transaction(&self, hash: &B256) -> Option<(Arc<StoredBlock>, usize)> {
        let (number, index) = self.transactions.get(hash)?;
        Some((self.by_number(*number)?, *index))
    }
}
