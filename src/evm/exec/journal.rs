//! Extracts one transaction's changes from a journal that several transactions share.
//!
//! revm's journal keeps accounts and slots from one transaction to the next, so a transaction that
//! calls the same contract as the previous one finds it loaded. The journal's state then does not
//! show which transaction made a change; only the journal entries of the current transaction do.
//! They are revm's undo log: each change has an entry, which a revert removes.

use super::change::{AccountChange, ChangeKind, CodeState, SlotChange, info_after, info_before};
use alloy_primitives::{Address, U256, address};
use revm::context::JournalEntry;
use revm::context::journal::JournalInner;
use revm::state::{Account, AccountStatus};
use smallvec::SmallVec;

/// The RIPEMD-160 precompile, which stays touched when the touch is reverted: a bug of 2016 that
/// became a rule (Yellow Paper, appendix K.1).
pub(super) const KEPT_TOUCHED: Address = address!("0000000000000000000000000000000000000003");

/// Returns the current transaction's changes, sorted by address and slot, and whether the next
/// transaction can share the journal. Leaves the journal's accounts as if they had been loaded
/// after the transaction.
///
/// Sharing ends when an account was created, destroyed or left empty: revm treats an account that
/// an *earlier* transaction of the same journal left in this state differently from one that it
/// reads from the database.
pub(super) fn take_changes(journal: &mut JournalInner<JournalEntry>) -> (Vec<AccountChange>, bool) {
    let mut touched: SmallVec<[Address; 8]> = SmallVec::new();
    let mut slots: SmallVec<[(Address, U256); 8]> = SmallVec::new();
    let mut keeps_journal = true;
    for entry in &journal.journal {
        match entry {
            JournalEntry::AccountTouched { address } => touched.push(*address),
            JournalEntry::StorageChanged { address, key, .. } => slots.push((*address, *key)),
            JournalEntry::AccountCreated { .. } => {
                keeps_journal &= mutant!(JournalOutlivesCreated);
            }
            JournalEntry::AccountDestroyed { .. } => {
                keeps_journal &= mutant!(JournalOutlivesDestroyed);
            }
            _ => {}
        }
    }
    touched.push(KEPT_TOUCHED);
    touched.sort_unstable();
    touched.dedup();
    slots.sort_unstable();
    slots.dedup();
    let mut changes = Vec::with_capacity(touched.len());
    for address in touched {
        let Some(account) = journal.state.get_mut(&address).filter(|a| a.is_touched()) else {
            continue;
        };
        let first = slots.partition_point(|(of, _)| *of < address);
        let slots = slots.get(first..).unwrap_or_default();
        let slots = slots.iter().take_while(|(of, _)| *of == address).map(|(_, slot)| slot);
        let change = take_change(address, account, slots);
        keeps_journal &= match change.kind {
            ChangeKind::Changed => true,
            // Touching an account that does not exist changes nothing; calls of precompiles do so
            // all the time.
            ChangeKind::Emptied => change.before.is_none() || mutant!(JournalOutlivesEmptied),
            ChangeKind::Created => mutant!(JournalOutlivesCreated),
            ChangeKind::Destroyed => mutant!(JournalOutlivesDestroyed),
        };
        changes.push(change);
    }
    (changes, keeps_journal)
}

fn take_change<'a>(
    address: Address,
    account: &mut Account,
    slots: impl Iterator<Item = &'a U256>,
) -> AccountChange {
    let kind = ChangeKind::of(account);
    let existed = !account.is_loaded_as_not_existing();
    account.status -= AccountStatus::Touched;
    if kind != ChangeKind::Emptied {
        account.status -= AccountStatus::LoadedAsNotExisting;
    }
    let code = CodeState::of(account, existed);
    let before = existed.then(|| info_before(account.original_info_mut(), code));
    let (after, slots) = match kind {
        ChangeKind::Destroyed | ChangeKind::Emptied => (None, Vec::new()),
        ChangeKind::Changed | ChangeKind::Created => {
            let slots = slots.filter_map(|slot| {
                let value = account.storage.get(slot).filter(|value| value.is_changed())?;
                Some(SlotChange {
                    slot: *slot,
                    before: value.original_value,
                    after: value.present_value,
                })
            });
            (Some(info_after(kind, &account.info, before.as_ref())), slots.collect())
        }
    };
    let knows_balance = true;
    AccountChange { address, kind, before, after, slots, code, knows_balance }
}
