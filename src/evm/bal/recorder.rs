//! Extracts one transaction's accesses from a journal that earlier transactions may have used.
//!
//! revm journals accesses: the first time that a transaction accesses an account or slot, it adds
//! an entry. When a call fails, its entries are reverted although the accesses still count, so the
//! recorder notes them before the revert. Accounts and slots that are warm from the beginning have
//! no entry; revm only marks them with the transaction's id.

use super::accesses::{Accesses, AccountFields};
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
    /// Accesses that revm has reverted or may revert, and possible accesses.
    noted: SmallVec<[Access; 2]>,
    /// Number of leading journal entries that are in `noted`. Without it, entries of nested frames
    /// would be noted once per enclosing frame.
    noted_entries: usize,
    /// Accesses of the last transaction; the allocation is reused.
    accesses: Accesses,
}

impl Recorder {
    pub(in crate::evm) fn new() -> Self {
        let accesses = Accesses::default();
        Self { noted: SmallVec::new_const(), noted_entries: 0, accesses }
    }

    /// Starts a transaction.
    pub(in crate::evm) fn begin(&mut self) {
        self.noted.clear();
        self.noted_entries = 0;
    }

    /// Notes a possible access, which counts if revm has marked it with the transaction's id.
    pub(in crate::evm) fn note(&mut self, address: Address, slot: Option<U256>) {
        self.noted.push((address, slot));
    }

    /// Notes the accesses in the entries of `journal`, the last of which may be reverted next.
    /// Includes the entries of enclosing frames, so that each entry is noted only once.
    pub(in crate::evm) fn note_entries(&mut self, journal: &JournalInner<JournalEntry>) {
        if mutant!(RevertedAccessLost) {
            return;
        }
        let entries = journal.journal.get(self.noted_entries..).unwrap_or_default();
        self.noted.extend(entries.iter().filter_map(access));
        self.noted_entries = journal.journal.len();
    }

    /// Records that the journal has `length` entries. Must be called after each possible revert of
    /// noted entries, before new entries follow.
    pub(in crate::evm) fn truncate_entries(&mut self, length: usize) {
        self.noted_entries = self.noted_entries.min(length);
    }

    /// Returns the accesses of the current transaction, and ends its recording. `precompiles` must
    /// contain every precompile that the transaction loaded into `journal`, and may contain others.
    pub(in crate::evm) fn take(
        &mut self,
        journal: &mut JournalInner<JournalEntry>,
        precompiles: &[Address],
    ) -> &Accesses {
        self.accesses_so_far(journal, precompiles);
        self.begin();
        &self.accesses
    }

    /// Returns the accesses of the current transaction so far.
    pub(in crate::evm) fn accesses_so_far(
        &mut self,
        journal: &mut JournalInner<JournalEntry>,
        precompiles: &[Address],
    ) -> &Accesses {
        let JournalInner { state, journal: entries, transaction_id, warm_addresses, .. } = journal;
        let entries = entries.get(self.noted_entries..).unwrap_or_default();
        let precompiles = match mutant!(PrecompileUnlisted) {
            true => &[],
            false => precompiles,
        };
        self.accesses.clear();
        let accesses = &mut self.accesses;
        let mut collector = AccessCollector { state, transaction: *transaction_id, accesses };
        collector.add(self.noted.iter().copied());
        collector.add(entries.iter().filter_map(access));
        collector.add(precompiles.iter().map(|address| (*address, None)));
        if !mutant!(ListedSlotLost) {
            for (address, slots) in warm_addresses.access_list() {
                let slots = slots.iter().map(|slot| (*address, Some(*slot)));
                collector.add(core::iter::once((*address, None)).chain(slots));
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

/// Looks up accesses in the journal and adds them to `accesses`.
struct AccessCollector<'j> {
    state: &'j mut EvmState,
    transaction: TransactionId,
    accesses: &'j mut Accesses,
}

impl AccessCollector<'_> {
    /// Adds the accesses in `all` that the transaction made. Consecutive accesses often have the
    /// same account.
    fn add(&mut self, all: impl Iterator<Item = Access>) {
        let Self { state, transaction, accesses } = self;
        let mut last: Option<(Address, &mut Account)> = None;
        for (address, slot) in all {
            if last.as_ref().is_none_or(|(of, _)| *of != address) {
                last = state.get_mut(&address).map(|account| (address, account));
            }
            let Some((_, account)) = &mut last else { continue };
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
        true => AccountFields::of(account.original_info_mut()),
        false => AccountFields::of(&account.info),
    };
    accesses.add_account(address, account, before);
}

#[cfg(test)]
mod tests {
    use super::*;
    use revm::state::EvmStorageSlot;

    const HOT: Address = Address::repeat_byte(1);

    /// Warms `slots` of an account, like a transaction that reads them.
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

    /// Forty nested constructors end one after the other, each of which notes the entries.
    #[test]
    fn what_the_innermost_frame_accesses_is_noted_once() {
        let mut journal = JournalInner::new();
        let mut recorder = Recorder::new();
        read(&mut journal, 0..1_000);
        for _ in 0..40 {
            recorder.note_entries(&journal);
            recorder.truncate_entries(journal.journal.len());
        }
        assert_eq!(recorder.noted.len(), 1_001);
        // The last constructor fails, and later accesses are recorded as well.
        journal.journal.truncate(1);
        recorder.truncate_entries(1);
        read(&mut journal, 1_000..1_010);
        let accesses = recorder.take(&mut journal, &[]);
        assert_eq!(accesses.reads.len(), 1_010);
        assert_eq!(recorder.noted_entries, 0);
    }
}
