//! Tracks the lowest index at which an execution that reads from the list differed from the list.
//!
//! Such an execution depends only on the list and on the state before the block, so every execution
//! of an index finds the same difference.

use super::mismatch::AccessListMismatch;
use crate::sync::{AtomicU64, Mutex, SeqCst};
use alloy_eip7928::BlockAccessIndex;

/// The mismatch at the lowest index that is known to differ from the list.
#[derive(Debug)]
pub(super) struct LowestMismatch {
    /// The index of `found`, for comparisons without the lock.
    lowest: AtomicU64,
    found: Mutex<Option<AccessListMismatch>>,
}

impl Default for LowestMismatch {
    fn default() -> Self {
        Self { lowest: AtomicU64::new(u64::MAX), found: Mutex::default() }
    }
}

impl LowestMismatch {
    pub(super) fn note(&self, index: BlockAccessIndex, wrong: &AccessListMismatch) {
        let mut found = self.found.lock();
        if found.as_ref().is_none_or(|found| index.get() < found.index) {
            *found = Some(wrong.clone());
            self.lowest.store(index.get(), SeqCst);
        }
    }

    /// Whether an index below `index` is known to differ.
    pub(super) fn is_below(&self, index: BlockAccessIndex) -> bool {
        self.lowest.load(SeqCst) < index.get()
    }

    pub(super) fn at(&self, index: BlockAccessIndex) -> Option<AccessListMismatch> {
        let found = self.found.lock();
        found.as_ref().filter(|found| found.index == index.get()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;

    #[test]
    fn the_lowest_difference_counts_in_whatever_order_they_are_found() {
        let first = LowestMismatch::default();
        let index = BlockAccessIndex::new;
        let note = |of: u32| {
            first.note(index(of.into()), &AccessListMismatch::unused(of, Address::ZERO, None));
        };
        assert!(!first.is_below(index(9)));
        note(7);
        note(4);
        note(5);
        assert_eq!([3, 4, 5].map(|of| first.is_below(index(of))), [false, false, true]);
        assert!(first.at(index(7)).is_none());
        assert_eq!(first.at(index(4)).map(|wrong| wrong.index), Some(4));
    }
}
