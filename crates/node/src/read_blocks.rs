//! The blocks that were read from the store last.

use crate::stored::StoredBlock;
use alloy_primitives::B256;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Maximum number of blocks that are remembered after they were read from the store.
const BLOCKS: usize = 16;
/// Maximum memory of these blocks, in bytes. The last one is always kept.
const BYTES: usize = 32 << 20;

/// The blocks that were read from the store last. A client that asks for the receipts of an old
/// block one by one does not have its signatures recovered each time.
#[derive(Debug, Default)]
pub(crate) struct ReadBlocks(Mutex<VecDeque<Arc<StoredBlock>>>);

impl ReadBlocks {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<StoredBlock>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, hash: B256) -> Option<Arc<StoredBlock>> {
        self.lock().iter().find(|block| block.hash == hash).cloned()
    }

    pub(crate) fn put(&self, block: Arc<StoredBlock>) {
        let mut blocks = self.lock();
        blocks.push_front(block);
        let mut bytes = 0_usize;
        let kept = blocks.iter().take(BLOCKS).take_while(|block| {
            bytes = bytes.saturating_add(block.bytes());
            bytes <= BYTES
        });
        let kept = kept.count().max(1);
        blocks.truncate(kept);
    }
}
