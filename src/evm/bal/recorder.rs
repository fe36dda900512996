//! Extracts one transaction's accesses from a journal that earlier transactions may have used.
//!
//! revm journals accesses: the first time a transaction meets an account or slot, it adds an entry.
//! When a call fails, its entries are reverted although the accesses still count, so the recorder
//! notes them before the revert. Accounts and slots that are warm from the beginning get no entry
//! when loaded; revm marks them with the transaction's id instead.

use super::accesses::{Accesses, Original};
use alloy_primitives::{Address, U256};
use revm::context::JournalEntry;
use revm::context::journal::JournalInner;
use revm::state::{Account, EvmState, TransactionId};
use smallvec::SmallVec;

/// An accessed account, or a slot of it.
type Access = (Address, Option<U256>);

/// Records the accesses of one transaction.
#[derive(Debug)]
pub(in crate::evm) struct Recorder {
    /// Accesses that were or may be reverted, and possible accesses.
    noted: SmallVec<[Access; 2]>,
    /// Number of leading journal entries already in `noted`. Without it, entries in nested frames
    /// would be noted once per enclosing frame.
    noted_to: usize,
    /// Accesses of the last transaction; the allocation is reused.
    accesses: Accesses,
}

impl Recorder {
    pub(in crate::evm) fn new() -> Self {
        let accesses = Accesses::default();
        Self { noted: SmallVec::new_const(), noted_to: 0, accesses }
    }

    /// Starts a transaction.
    pub(in crate::evm) fn begin(&mut self) {
        self.noted.clear();
        self.noted_to = 0;
    }

    /// Notes a possible access; it counts if revm marked it with the transaction.
    pub(in crate::evm) fn note(&mut self, address: Address, slot: Option<U256>) {
        self.noted.push((address, slot));
    }

    /// Notes the accesses in the entries of `journal`, because the last of them may be reverted
    /// next. Entries of enclosing frames are included, so that each entry is noted only once.
    pub(in crate::evm) fn note_entries(&mut self, journal: &JournalInner<JournalEntry>) {
        if mutant!(RevertedAccessLost) {
            return;
        }
        let entries = journal.journal.get(self.noted_to..).unwrap_or_default();
        self.noted.extend(entries.iter().filter_map(access));
        self.noted_to = journal.journal.len();
    }

    /// Must be called with the number of entries `left` in the journal after a possible revert of
    /// noted entries, before new entries follow.
    pub(in crate::evm) fn keep_entries(&mut self, left: usize) {
        self.noted_to = self.noted_to.min(left);
    }

    /// Returns the accesses of the current transaction, and ends it. `precompiles` must contain
    /// every precompile that the transaction loaded into `journal`, and may contain others.
    pub(in crate::evm) fn take(
        &mut self,
        journal: &mut JournalInner<JournalEntry>,
        precompiles: &[Address],
    ) -> &Accesses {
        self.look(journal, precompiles);
        self.begin();
        &self.accesses
    }

    /// Returns the accesses of the current transaction so far.
    pub(in crate::evm) fn look(
        &mut self,
        journal: &mut JournalInner<JournalEntry>,
        precompiles: &[Address],
    ) -> &Accesses {
        let JournalInner { state, journal: entries, transaction_id, warm_addresses, .. } = journal;
        let entries = entries.get(self.noted_to..).unwrap_or_default();
        let precompiles = match mutant!(PrecompileUnlisted) {
            true => &[],
            false => precompiles,
        };
        self.accesses.restart();
        let accesses = &mut self.accesses;
        let mut taking = Taking { state, transaction: *transaction_id, accesses };
        taking.add(self.noted.iter().copied());
        taking.add(entries.iter().filter_map(access));
        taking.add(precompiles.iter().map(|address| (*address, None)));
        if !mutant!(ListedSlotLost) {
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

/// Looks up accesses in the journal.
struct Taking<'j> {
    state: &'j mut EvmState,
    transaction: TransactionId,
    accesses: &'j mut Accesses,
}

impl Taking<'_> {
    /// Adds the accesses in `all` that the transaction made. Consecutive ones often share an
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
    // Cloning the account would change its code's reference count, which all cores share.
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

    /// Forty nested constructors end one after the other; each notes the entries it may lose.
    #[test]
    fn what_the_innermost_frame_accesses_is_noted_once() {
        let mut journal = JournalInner::new();
        let mut recorder = Recorder::new();
        read(&mut journal, 0..1_000);
        for _ in 0..40 {
            recorder.note_entries(&journal);
            recorder.keep_entries(journal.journal.len());
        }
        assert_eq!(recorder.noted.len(), 1_001);
        // The last constructor fails, and later accesses are recorded as well.
        journal.journal.truncate(1);
        recorder.keep_entries(1);
        read(&mut journal, 1_000..1_010);
        let accesses = recorder.take(&mut journal, &[]);
        assert_eq!(accesses.reads.len(), 1_010);
        assert_eq!(recorder.noted_to, 0);
    }
}
