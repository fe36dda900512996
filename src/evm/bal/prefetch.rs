//! Prefetches the accounts and slots in a block's own access list. Slow storage answers many reads
//! at once, while a transaction reads one value after the other.

use crate::ids::WorkerId;
use crate::sync::{AtomicU64, Mutex, SeqCst};
use alloy_eip7928::AccountChanges;
use alloy_eip7928::bal::Bal;
use alloy_primitives::map::B256Map;
use alloy_primitives::{Address, B256, U256};
use revm::state::{AccountInfo, Bytecode};
use std::sync::{Arc, OnceLock};

/// Prefetched state before the block, for the accounts and slots in the block's access list.
#[derive(Debug)]
pub(in crate::evm) struct Prefetch {
    list: Arc<Bal>,
    /// Workers from this one on prefetch before they run transactions. Lower workers run
    /// transactions at once, so that an excessive list does not delay them.
    first_prefetcher: WorkerId,
    /// Item number of each account; the items of the account's slots follow.
    first_item: Vec<usize>,
    accounts: Box<[OnceLock<Option<AccountInfo>>]>,
    slots: Box<[OnceLock<U256>]>,
    codes: Mutex<B256Map<Bytecode>>,
    /// The next item that no worker has claimed.
    next: AtomicU64,
}

/// An account or slot to prefetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::evm) enum PrefetchItem {
    Account(Address),
    Slot(Address, U256),
}

impl Prefetch {
    pub(in crate::evm) fn new(list: &Arc<Bal>, first_prefetcher: WorkerId) -> Self {
        let mut items = 0;
        let number = |account: &AccountChanges| {
            let number = items;
            items += 1 + account.storage_changes.len() + account.storage_reads.len();
            number
        };
        let first_item: Vec<usize> = list.iter().map(number).collect();
        Self {
            list: Arc::clone(list),
            first_prefetcher,
            accounts: list.iter().map(|_| OnceLock::new()).collect(),
            slots: (first_item.len()..items).map(|_| OnceLock::new()).collect(),
            first_item,
            codes: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    /// Whether `worker` prefetches before it runs transactions.
    pub(in crate::evm) fn is_prefetcher(&self, worker: WorkerId) -> bool {
        worker >= self.first_prefetcher
    }

    /// Claims the next item. Each item is claimed once.
    pub(in crate::evm) fn claim(&self) -> Option<PrefetchItem> {
        let item = usize::try_from(self.next.fetch_add(1, SeqCst)).unwrap_or(usize::MAX);
        let index =
            self.first_item.partition_point(|first_item| *first_item <= item).checked_sub(1)?;
        let account = self.list.get(index)?;
        let first_item = self.first_item.get(index)?;
        let Some(nth) = (item - first_item).checked_sub(1) else {
            return Some(PrefetchItem::Account(account.address));
        };
        let changes = account.storage_changes.len();
        let slot = match account.storage_changes.get(nth) {
            Some(change) => change.slot,
            None => *account.storage_reads.get(nth.checked_sub(changes)?)?,
        };
        Some(PrefetchItem::Slot(account.address, slot))
    }

    fn account_at(&self, address: &Address) -> Option<(usize, &AccountChanges)> {
        let index = self.list.binary_search_by_key(address, |account| account.address).ok()?;
        Some((index, self.list.get(index)?))
    }

    /// Cell for the account before the block, if the list contains the account.
    pub(in crate::evm) fn account(
        &self,
        address: &Address,
    ) -> Option<&OnceLock<Option<AccountInfo>>> {
        self.accounts.get(self.account_at(address)?.0)
    }

    /// Cell for the slot's value before the block, if the list contains the slot.
    pub(in crate::evm) fn slot(&self, address: &Address, slot: U256) -> Option<&OnceLock<U256>> {
        let (index, account) = self.account_at(address)?;
        let changes = &account.storage_changes;
        let nth = match changes.binary_search_by_key(&slot, |change| change.slot) {
            Ok(nth) => nth,
            Err(_) => changes.len() + account.storage_reads.binary_search(&slot).ok()?,
        };
        // Subtract the account items before this account's slots.
        self.slots.get(self.first_item.get(index)? - index + nth)
    }

    pub(in crate::evm) fn code(&self, hash: &B256) -> Option<Bytecode> {
        self.codes.lock().get(hash).cloned()
    }

    pub(in crate::evm) fn cache_code(&self, hash: B256, code: &Bytecode) {
        self.codes.lock().entry(hash).or_insert_with(|| code.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_eip7928::{BlockAccessIndex, SlotChanges, StorageChange};

    #[test]
    fn each_item_comes_once_and_has_a_place_of_its_own() {
        let slot = |slot: u64| {
            let change = StorageChange::new(BlockAccessIndex::new(1), U256::ONE);
            SlotChanges::new(U256::from(slot), vec![change])
        };
        let account = |byte: u8, changes: &[u64], reads: &[u64]| {
            let mut account = AccountChanges::new(Address::repeat_byte(byte));
            account.storage_changes = changes.iter().copied().map(slot).collect();
            account.storage_reads = reads.iter().copied().map(U256::from).collect();
            account
        };
        let list = vec![
            account(1, &[5, 9], &[2]),
            account(2, &[], &[]),
            account(3, &[], &[2, 5]),
            account(4, &[1], &[]),
        ];
        let prefetch = Prefetch::new(&Arc::new(Bal::new(list)), WorkerId(2));
        let items: Vec<PrefetchItem> = core::iter::from_fn(|| prefetch.claim()).collect();
        assert_eq!(items.len(), 10);
        for (number, item) in items.iter().enumerate() {
            let is_new = match *item {
                PrefetchItem::Account(address) => {
                    let nonce = number as u64;
                    let info = AccountInfo { nonce, ..AccountInfo::default() };
                    prefetch.account(&address).is_some_and(|cell| cell.set(Some(info)).is_ok())
                }
                PrefetchItem::Slot(address, slot) => prefetch
                    .slot(&address, slot)
                    .is_some_and(|cell| cell.set(U256::from(number)).is_ok()),
            };
            assert!(is_new, "{item:?}");
        }
        assert!(prefetch.slot(&Address::repeat_byte(2), U256::from(5)).is_none());
        assert!(prefetch.account(&Address::repeat_byte(9)).is_none());
        assert_eq!(
            [1, 2, 3].map(|worker| prefetch.is_prefetcher(WorkerId(worker))),
            [false, true, true]
        );
    }
}
