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
use revm::state::{Account, EvmState, TransactionId};
use smallvec::SmallVec;

/// An access.
type Access = (Address, Option<U256>);

/// Records what one transaction accesses.
#[derive(Debug)]
pub(in crate::evm) struct Recorder {
    /// What was or may be reverted, and what may have been accessed.
    noted: SmallVec<[Access; 2]>,
    /// Number of the journal's first entries that are in `noted`. Without it a frame that ends
    /// within others would be noted once for each of them.
    noted_to: usize,
    /// What the last transaction has accessed: its room is used again.
    accesses: Accesses,
    mutant: EvmMutant,
}

impl Recorder {
    pub(in crate::evm) fn new(mutant: EvmMutant) -> Self {
        let accesses = Accesses::default();
        Self { noted: SmallVec::new_const(), noted_to: 0, accesses, mutant }
    }

    /// A transaction begins.
    pub(in crate::evm) fn begin(&mut self) {
        self.noted.clear();
        self.noted_to = 0;
    }

    /// Notes what may have been accessed: it counts if revm has marked it.
    pub(in crate::evm) fn note(&mut self, address: Address, slot: Option<U256>) {
        self.noted.push((address, slot));
    }

    /// Notes what the entries of `journal` have accessed, as the last ones may be reverted now.
    /// Those of frames around them are noted, too, so that each is noted once.
    pub(in crate::evm) fn note_entries(&mut self, journal: &JournalInner<JournalEntry>) {
        if is_evm_mutant!(self.mutant, RevertedAccessLost) {
            return;
        }
        let entries = journal.journal.get(self.noted_to..).unwrap_or_default();
        self.noted.extend(entries.iter().filter_map(access));
        self.noted_to = journal.journal.len();
    }

    /// Has to be told of the entries that are left in `journal` before others follow them, once
    /// some that were noted may have been reverted.
    pub(in crate::evm) fn keep_entries(&mut self, left: usize) {
        self.noted_to = self.noted_to.min(left);
    }

    /// What the transaction in hand has accessed, which is over. `precompiles`: all of them that
    /// it has brought into `journal`, and maybe others.
    pub(in crate::evm) fn take(
        &mut self,
        journal: &mut JournalInner<JournalEntry>,
        precompiles: &[Address],
    ) -> &Accesses {
        self.look(journal, precompiles);
        self.begin();
        &self.accesses
    }

    /// What the transaction in hand has accessed so far.
    pub(in crate::evm) fn look(
        &mut self,
        journal: &mut JournalInner<JournalEntry>,
        precompiles: &[Address],
    ) -> &Accesses {
        let JournalInner { state, journal: entries, transaction_id, warm_addresses, .. } = journal;
        let entries = entries.get(self.noted_to..).unwrap_or_default();
        let precompiles = match is_evm_mutant!(self.mutant, PrecompileUnlisted) {
            true => &[],
            false => precompiles,
        };
        self.accesses.restart();
        let accesses = &mut self.accesses;
        let mut taking = Taking { state, transaction: *transaction_id, accesses };
        taking.add(self.noted.iter().copied());
        taking.add(entries.iter().filter_map(access));
        taking.add(precompiles.iter().map(|address| (*address, None)));
        if !is_evm_mutant!(self.mutant, ListedSlotLost) {
            for (address, slots) in warm_addresses.access_list() {
                let slots = slots.iter().map(|slot| (*address, Some(*slot)));
                taking.add(core::iter::once((*address, None)).chain(slots));
            }
        }
        &self.accesses
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
    accesses: &'j mut Accesses,
}

impl Taking<'_> {
    /// Adds those of `all` that the transaction has accessed. Often the next one is of the same
    /// account.
    fn add(&mut self, all: impl Iterator<Item = Access>) {
        let Self { state, transaction, accesses } = self;
        let mut at: Option<(Address, &mut Account)> = None;
        for (address, slot) in all {
            if at.as_ref().is_none_or(|(of, _)| *of != address) {
                at = state.get_mut(&address).map(|account| (address, account));
            }
            let Some((_, account)) = &mut at else { continue };
            match slot {
                None if account.transaction_id == *transaction => {
                    add_account(accesses, address, account);
                }
                None => {}
                Some(key) => {
                    let slot = account.storage.get(&key);
                    let value = slot.filter(|slot| slot.transaction_id == *transaction);
                    if let Some(value) = value {
                        accesses.add_slot(address, key, value, account);
                    }
                }
            }
        }
    }
}

fn add_account(accesses: &mut Accesses, address: Address, account: &mut Account) {
    if !account.is_touched() {
        accesses.accounts.push(address);
        return;
    }
    // A copy of it would count its code, in one place for all cores.
    let before = match account.is_changed() {
        true => Original::of(account.original_info_mut()),
        false => Original::of(&account.info),
    };
    accesses.add_account(address, account, before);
}

#[cfg(test)]
mod tests {
    use super::*;
    use revm::state::EvmStorageSlot;

    const HOT: Address = Address::repeat_byte(1);

    /// Warms `slots` slots of an account, as a transaction does that reads them.
    fn read(journal: &mut JournalInner<JournalEntry>, slots: core::ops::Range<u64>) {
        let account = journal.state.entry(HOT).or_insert_with(|| {
            journal.journal.push(JournalEntry::AccountWarmed { address: HOT });
            Account::default()
        });
        for slot in slots.map(U256::from) {
            let id = TransactionId::ZERO;
            account.storage.insert(slot, EvmStorageSlot::new(U256::ZERO, id));
            journal.journal.push(JournalEntry::StorageWarmed { key: slot, address: HOT });
        }
    }

    /// Forty constructors end one within the other, and each notes what it may lose.
    #[test]
    fn what_the_innermost_frame_accesses_is_noted_once() {
        let mut journal = JournalInner::new();
        let mut recorder = Recorder::new(EvmMutant::None);
        read(&mut journal, 0..1_000);
        for _ in 0..40 {
            recorder.note_entries(&journal);
            recorder.keep_entries(journal.journal.len());
        }
        assert_eq!(recorder.noted.len(), 1_001);
        // The last one fails, and what follows it is accessed as well.
        journal.journal.truncate(1);
        recorder.keep_entries(1);
        read(&mut journal, 1_000..1_010);
        let accesses = recorder.take(&mut journal, &[]);
        assert_eq!(accesses.reads.len(), 1_010);
        assert_eq!(recorder.noted_to, 0);
    }
}
