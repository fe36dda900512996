//! Compares each index of a block with the block's own access list, and answers reads below an
//! index from the list.
//!
//! This is correct by induction: if every lower index matches the list, the state below an index is
//! the listed one, whether it is read from the store or from the list.

use super::accesses::Accesses;
use super::changes::{at_index, count_below, last_below, slot_index};
use super::lowest_mismatch::LowestMismatch;
use super::mismatch::{AccessListError, AccessListMismatch, first_difference};
use crate::ids::TxIndex;
use alloy_eip7928::bal::Bal;
use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use alloy_primitives::map::AddressMap;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use revm::state::{AccountInfo, Bytecode};
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// A well-formed access list, prepared for comparisons and reads.
#[derive(Debug)]
pub(in crate::evm) struct PreparedList {
    list: Arc<Bal>,
    account_indices: AddressMap<u32>,
    /// Number of changes in the list at each index.
    changes: Vec<u32>,
    /// First mark number of each account: see [`AccessRecords`](super::accesses::AccessRecords).
    first_mark: Vec<u32>,
    /// New codes of each account that changes its code. A code is hashed on first read, because a
    /// list may contain more code than the block can pay for.
    codes: AddressMap<Vec<OnceLock<(B256, Bytecode)>>>,
    lowest_mismatch: LowestMismatch,
}

/// A change in the list: the account's index in the high half, and the number of the change in the
/// low half. A single integer sorts faster.
type ListedChange = u64;

fn listed_change(list_index: u32, change: u32) -> ListedChange {
    u64::from(list_index) << 32 | u64::from(change)
}

const BALANCE: u32 = 0;
const NONCE: u32 = 1;
const CODE: u32 = 2;
/// Slots are numbered from here on, in the order of the list.
const FIRST_SLOT: u32 = 3;

impl PreparedList {
    /// Validates `list` for a block of `transactions` transactions; `gas` is the block's gas limit,
    /// if it bounds the length of the list.
    pub(in crate::evm) fn new(
        list: &Arc<Bal>,
        transactions: usize,
        gas: Option<u64>,
    ) -> Result<Self, AccessListError> {
        if let Some(gas) = gas {
            list.validate_gas_limit(gas).map_err(AccessListError::TooLong)?;
        }
        let checked = list.validate_structure(transactions);
        if !mutant!(ListUnvalidated) {
            checked.map_err(AccessListError::Malformed)?;
        }
        let mut prepared = Self {
            list: Arc::clone(list),
            account_indices: AddressMap::with_capacity_and_hasher(list.len(), Default::default()),
            changes: vec![0; transactions.saturating_add(2)],
            first_mark: Vec::with_capacity(list.len() + 1),
            codes: AddressMap::default(),
            lowest_mismatch: LowestMismatch::default(),
        };
        let mut marks = 0;
        for (list_index, account) in (0..).zip(list.iter()) {
            prepared.account_indices.insert(account.address, list_index);
            prepared.first_mark.push(marks);
            marks += 1 + to_u32(account.storage_reads.len());
            for index in indices(account) {
                if let Some(changes) = prepared.changes.get_mut(to_usize(index)) {
                    *changes += 1;
                }
            }
            if !account.code_changes.is_empty() {
                let codes = account.code_changes.iter().map(|_| OnceLock::new());
                prepared.codes.insert(account.address, codes.collect());
            }
        }
        prepared.first_mark.push(marks);
        Ok(prepared)
    }

    /// The access list.
    pub(in crate::evm) const fn list(&self) -> &Arc<Bal> {
        &self.list
    }

    fn account(&self, address: &Address) -> Option<(u32, &AccountChanges)> {
        let list_index = *self.account_indices.get(address)?;
        Some((list_index, self.list.get(list_index as usize)?))
    }

    /// Compares the accesses and changes of `index` with the list. Returns the marks of accessed
    /// items without listed changes: accounts without other entries, and slots that are only read.
    /// For all other items, the comparison of changes shows that they are accessed.
    pub(in crate::evm) fn compare(
        &self,
        index: BlockAccessIndex,
        accesses: &Accesses,
    ) -> Result<Vec<u32>, Box<AccessListMismatch>> {
        let listed = self.changes.get(to_usize(index)).copied().unwrap_or_default();
        match self.marks(index, accesses, listed) {
            Some(marks) => Ok(marks),
            None => Err(Box::new(first_difference(&self.list, index, accesses))),
        }
    }

    /// Returns the marks of `accesses`, or `None` if they differ from the list, which has `listed`
    /// changes at `index`.
    fn marks(&self, index: BlockAccessIndex, accesses: &Accesses, listed: u32) -> Option<Vec<u32>> {
        let mut marks = Vec::new();
        let mut changed = SmallVec::<[ListedChange; 16]>::new();
        let mut accounts = SmallVec::<[(u32, &AccountChanges); 16]>::new();
        for address in &accesses.accounts {
            let (list_index, account) = self.account(address)?;
            accounts.push((list_index, account));
            if account.is_empty() {
                marks.push(*self.first_mark.get(list_index as usize)?);
            }
        }
        let at = |account_index: &u32| accounts.get(*account_index as usize).copied();
        for (account_index, after) in &accesses.balances {
            let (list_index, account) = at(account_index)?;
            let listed = at_index(&account.balance_changes, index, |it| it.block_access_index)?;
            (listed.post_balance == *after)
                .then(|| changed.push(listed_change(list_index, BALANCE)))?;
        }
        for (account_index, after) in &accesses.nonces {
            let (list_index, account) = at(account_index)?;
            let listed = at_index(&account.nonce_changes, index, |it| it.block_access_index)?;
            (listed.new_nonce == *after).then(|| changed.push(listed_change(list_index, NONCE)))?;
        }
        for (account_index, after) in &accesses.codes {
            let (list_index, account) = at(account_index)?;
            let listed = at_index(&account.code_changes, index, |it| it.block_access_index)?;
            (listed.new_code == *after).then(|| changed.push(listed_change(list_index, CODE)))?;
        }
        for (account_index, slot, after) in &accesses.writes {
            let (list_index, account) = at(account_index)?;
            let nth = slot_index(account, *slot)?;
            let listed = &account.storage_changes.get(nth)?.changes;
            let listed = at_index(listed, index, |it| it.block_access_index)?;
            (listed.new_value == *after)
                .then(|| changed.push(listed_change(list_index, FIRST_SLOT + to_u32(nth))))?;
        }
        for (account_index, slot) in &accesses.reads {
            let (list_index, account) = at(account_index)?;
            match account.storage_reads.binary_search(slot) {
                Ok(read) => {
                    marks.push(self.first_mark.get(list_index as usize)? + 1 + to_u32(read))
                }
                Err(_) => _ = slot_index(account, *slot)?,
            }
        }
        changed.sort_unstable();
        changed.dedup();
        let is_all = changed.len() == listed as usize || mutant!(ClaimMissed);
        is_all.then_some(marks)
    }

    /// Checks that every listed item was accessed, given the `marks` of all indices. Items with
    /// changes have been checked by [`compare`](Self::compare).
    pub(in crate::evm) fn compare_all(
        &self,
        marks: impl Iterator<Item = u32>,
    ) -> Result<(), Box<AccessListMismatch>> {
        if mutant!(UnusedClaimPasses) {
            return Ok(());
        }
        let all = self.first_mark.last().copied().unwrap_or_default();
        let mut seen = vec![false; all as usize];
        for mark in marks {
            if let Some(seen) = seen.get_mut(mark as usize) {
                *seen = true;
            }
        }
        let is_unaccessed = |mark: u32| seen.get(mark as usize) == Some(&false);
        for (account, first) in self.list.iter().zip(&self.first_mark) {
            let end = to_u32(self.changes.len().saturating_sub(1));
            let unused = |slot| Box::new(AccessListMismatch::unused(end, account.address, slot));
            if account.is_empty() && is_unaccessed(*first) {
                return Err(unused(None));
            }
            let reads = (first + 1..).zip(&account.storage_reads);
            if let Some((_, slot)) = reads.into_iter().find(|(mark, _)| is_unaccessed(*mark)) {
                return Err(unused(Some(*slot)));
            }
        }
        Ok(())
    }

    /// Records a difference that an execution of `index` found, which read from the list.
    pub(in crate::evm) fn note_mismatch(
        &self,
        index: BlockAccessIndex,
        mismatch: &AccessListMismatch,
    ) {
        self.lowest_mismatch.note(index, mismatch);
    }

    /// Whether an execution of a lower index differed from the list. If so, the listed state below
    /// `index` may be wrong, and results of `index` do not count.
    pub(in crate::evm) fn is_above_mismatch(&self, index: BlockAccessIndex) -> bool {
        self.lowest_mismatch.is_below(index) && !mutant!(RunsBeyondWrong)
    }

    /// The difference that an execution of `index` found, unless a lower index has one. It is final
    /// once everything below `index` matches the list, because the values it read were then right.
    pub(in crate::evm) fn mismatch_at(
        &self,
        index: BlockAccessIndex,
    ) -> Option<AccessListMismatch> {
        self.lowest_mismatch.at(index)
    }

    /// The index below which the list answers reads.
    fn readable_below(&self, mut index: BlockAccessIndex) -> BlockAccessIndex {
        if mutant!(ClaimOfIndexItself) {
            index.increment();
        }
        index
    }

    /// The account below `index`, given the account `before` the block.
    pub(in crate::evm) fn account_below(
        &self,
        index: BlockAccessIndex,
        address: &Address,
        before: Option<AccountInfo>,
    ) -> Option<AccountInfo> {
        let Some((_, account)) = self.account(address) else { return before };
        let index = self.readable_below(index);
        let balance = last_below(&account.balance_changes, index, |it| it.block_access_index);
        let nonce = last_below(&account.nonce_changes, index, |it| it.block_access_index);
        let code = count_below(&account.code_changes, index, |it| it.block_access_index);
        let code = code.checked_sub(1).and_then(|last| {
            let bytes = &account.code_changes.get(last)?.new_code;
            Some(self.codes.get(address)?.get(last)?.get_or_init(|| code_of(bytes)))
        });
        if balance.is_none() && nonce.is_none() && code.is_none() {
            return before;
        }
        let mut info = before.unwrap_or_default();
        if let Some(change) = balance {
            info.balance = change.post_balance;
        }
        if let Some(change) = nonce {
            info.nonce = change.new_nonce;
        }
        if let Some((hash, code)) = code {
            info.code_hash = *hash;
            info.code = Some(code.clone());
        }
        // EIP-161: a changed account that is empty does not exist.
        (!info.is_empty()).then_some(info)
    }

    /// The value of a slot below `index`, if the list has a write of the slot below `index`.
    pub(in crate::evm) fn slot_below(
        &self,
        index: BlockAccessIndex,
        address: &Address,
        slot: U256,
    ) -> Option<U256> {
        let (_, account) = self.account(address)?;
        let index = self.readable_below(index);
        let slot = account.storage_changes.get(slot_index(account, slot)?)?;
        Some(last_below(&slot.changes, index, |it| it.block_access_index)?.new_value)
    }
}

/// Returns a listed code with its hash.
pub(crate) fn code_of(bytes: &Bytes) -> (B256, Bytecode) {
    // Code left by a transaction is never malformed.
    let code = Bytecode::new_raw_checked(bytes.clone());
    (keccak256(bytes), code.unwrap_or_else(|_| Bytecode::new_legacy(bytes.clone())))
}

/// Returns the block access index of a transaction.
pub(in crate::evm) const fn index_of(tx: TxIndex) -> BlockAccessIndex {
    BlockAccessIndex::from_tx_index(tx.0 as u64)
}

fn to_usize(index: BlockAccessIndex) -> usize {
    usize::try_from(index.get()).unwrap_or(usize::MAX)
}

fn to_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Iterates over the indices of all changes of `account`.
fn indices(account: &AccountChanges) -> impl Iterator<Item = BlockAccessIndex> + '_ {
    let slots = account.storage_changes.iter().flat_map(|slot| &slot.changes);
    let balances = account.balance_changes.iter().map(|it| it.block_access_index);
    let nonces = account.nonce_changes.iter().map(|it| it.block_access_index);
    let codes = account.code_changes.iter().map(|it| it.block_access_index);
    slots.map(|it| it.block_access_index).chain(balances).chain(nonces).chain(codes)
}
