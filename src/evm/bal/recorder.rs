//! Takes what a transaction has accessed from a journal that others may have used before it.
//!
//! revm notes each access: an account or slot that a transaction meets for the first time has an
//! entry in the journal. Where a call fails its entries are reverted, but what was accessed stays
//! accessed; so they are noted here before that. What is warm from the beginning has no entry when
//! it is loaded; there revm has marked the account or slot itself with the transaction.

use super::accesses::{Accesses, Original};
use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use alloy_primitives::{Address, U256};
use revm::context::JournalEntry;
use revm::context::journal::JournalInner;
use revm::state::{EvmState, TransactionId};
use smallvec::SmallVec;

/// An access.
type Access = (Address, Option<U256>);

/// Records what one transaction accesses.
#[derive(Debug)]
pub(in crate::evm) struct Recorder {
    /// What was reverted, and what may have been accessed.
    noted: SmallVec<[Access; 2]>,
    mutant: EvmMutant,
}

impl Recorder {
    pub(in crate::evm) const fn new(mutant: EvmMutant) -> Self {
        Self { noted: SmallVec::new_const(), mutant }
    }

    /// Notes what may have been accessed: it counts if revm has marked it.
    pub(in crate::evm) fn note(&mut self, address: Address, slot: Option<U256>) {
        self.noted.push((address, slot));
    }

    /// Notes what the last entries of `journal`, from `first` on, have accessed. They may be
    /// reverted.
    pub(in crate::evm) fn note_entries(
        &mut self,
        journal: &JournalInner<JournalEntry>,
        first: usize,
    ) {
        let entries = journal.journal.get(first..).unwrap_or_default();
        if !is_evm_mutant!(self.mutant, RevertedAccessLost) {
            self.noted.extend(entries.iter().filter_map(access));
        }
    }

    /// What the transaction in hand has accessed. `pays`: it is a payment, so that it has
    /// accessed no precompile but those that are noted.
    pub(in crate::evm) fn take(
        &mut self,
        journal: &mut JournalInner<JournalEntry>,
        pays: bool,
    ) -> Accesses {
        let JournalInner { state, journal: entries, transaction_id, warm_addresses, .. } = journal;
        let is_slot = |entry: &&JournalEntry| matches!(entry, JournalEntry::StorageWarmed { .. });
        let slots = entries.iter().filter(is_slot).count();
        let is_account =
            |entry: &&JournalEntry| matches!(entry, JournalEntry::AccountWarmed { .. });
        let accounts = entries.iter().filter(is_account).count();
        // Most accounts that are called have slots that are read, between those of others.
        let accesses = Accesses::with_room(accounts + slots.min(accounts), slots);
        let mut taking = Taking { state, transaction: *transaction_id, accesses };
        let noted = self.noted.drain(..).chain(entries.iter().filter_map(access));
        noted.for_each(|access| taking.add(access));
        let precompiles = warm_addresses.precompiles().iter().filter(|_| !pays);
        precompiles.for_each(|address| taking.add((*address, None)));
        if !is_evm_mutant!(self.mutant, ListedSlotLost) {
            for (address, slots) in warm_addresses.access_list() {
                taking.add((*address, None));
                slots.iter().for_each(|slot| taking.add((*address, Some(*slot))));
            }
        }
        taking.accesses
    }
}

fn access(entry: &JournalEntry) -> Option<Access> {
    match entry {
        JournalEntry::AccountWarmed { address } => Some((*address, None)),
        JournalEntry::StorageWarmed { address, key } => Some((*address, Some(*key))),
        _ => None,
    }
}

/// Accesses that are looked up in the journal.
struct Taking<'j> {
    state: &'j mut EvmState,
    transaction: TransactionId,
    accesses: Accesses,
}

impl Taking<'_> {
    /// Adds what the transaction has accessed, if it has.
    fn add(&mut self, (address, slot): Access) {
        let Some(account) = self.state.get_mut(&address) else { return };
        match slot {
            None if account.transaction_id == self.transaction => {
                // A copy of it would count its code, in one place for all cores.
                let before = match account.is_changed() {
                    true => Original::of(account.original_info_mut()),
                    false => Original::of(&account.info),
                };
                self.accesses.add_account(address, account, before);
            }
            None => {}
            Some(key) => {
                let slot = account.storage.get(&key);
                let is_accessed =
                    |slot: &&revm::state::EvmStorageSlot| slot.transaction_id == self.transaction;
                if let Some(value) = slot.filter(is_accessed) {
                    self.accesses.add_slot(address, key, value, account);
                }
            }
        }
    }
}
