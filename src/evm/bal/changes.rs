//! Look-ups in the sorted changes of an access list.

use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use alloy_primitives::U256;

/// Index of `slot` in the storage changes of `account`.
pub(super) fn slot_index(account: &AccountChanges, slot: U256) -> Option<usize> {
    account.storage_changes.binary_search_by_key(&slot, |it| it.slot).ok()
}

/// The change at `index`.
pub(super) fn at_index<C>(
    changes: &[C],
    index: BlockAccessIndex,
    of: impl Fn(&C) -> BlockAccessIndex,
) -> Option<&C> {
    changes.get(changes.binary_search_by_key(&index, of).ok()?)
}

/// Number of changes below `index`.
pub(super) fn count_below<C>(
    changes: &[C],
    index: BlockAccessIndex,
    of: impl Fn(&C) -> BlockAccessIndex,
) -> usize {
    changes.partition_point(|change| of(change) < index)
}

/// The last change below `index`.
pub(super) fn last_below<C>(
    changes: &[C],
    index: BlockAccessIndex,
    of: impl Fn(&C) -> BlockAccessIndex,
) -> Option<&C> {
    changes.get(count_below(changes, index, of).checked_sub(1)?)
}
