//! Combined changes of several transactions of one journal.
//!
//! When transactions run sequentially and their individual changes are not needed, the journal
//! after several transactions is compared with its state before them. A contract that is called a
//! hundred times then has one change instead of a hundred.

use super::change::{AccountChange, ChangeKind, CodeState, SlotChange, info_after, info_before};
use super::journal::KEPT_TOUCHED;
use super::location::EvmLocation;
use alloy_primitives::{Address, U256, map::AddressMap};
use foldhash::fast::RandomState;
use hashbrown::HashSet;
use revm::context::JournalEntry;
use revm::context::journal::JournalInner;
use revm::state::{Account, AccountInfo, AccountStatus, Bytecode, EvmState, EvmStorageSlot};
use smallvec::SmallVec;
use std::borrow::Cow;

/// Maximum number of transactions in a window. The accounts and slots of so few transactions are
/// still in the processor's cache when the window ends.
const MAX_TRANSACTIONS: usize = 128;

/// The accounts and slots that the last transactions have touched.
#[derive(Debug, Default)]
pub(in crate::evm) struct Window {
    /// Touched accounts, each with its index in `before`.
    touched: AddressMap<usize>,
    before: Vec<Before>,
    written: HashSet<EvmLocation, RandomState>,
    /// The slots in `written`, with their values before the window.
    slots: Vec<(Address, U256, U256)>,
    transactions: usize,
}

/// An account before the window.
#[derive(Debug)]
struct Before {
    address: Address,
    info: Option<AccountInfo>,
    /// Whether its code was loaded when it was touched. revm drops the empty code when a creation
    /// fails, which is not a change.
    code: CodeState,
}

/// An account that the current transaction has touched, as it was before [`touch`](Window::touch).
struct TouchRecord {
    address: Address,
    status: AccountStatus,
    was: WindowEntry,
}

/// The window's record of an account before [`touch`](Window::touch).
enum WindowEntry {
    /// The account was not recorded, before or after.
    None,
    /// The account was recorded for the first time.
    New,
    /// The account was recorded before, with this code state.
    Existing { index: usize, code: CodeState },
}

impl Window {
    /// Number of transactions in the window.
    pub(in crate::evm) const fn len(&self) -> usize {
        self.transactions
    }

    /// Whether the window's changes should be taken now.
    pub(in crate::evm) const fn is_full(&self) -> bool {
        self.transactions >= MAX_TRANSACTIONS
    }

    /// Adds the current transaction if it has only changed accounts, and returns whether it was
    /// added. A transaction that has created, destroyed or emptied an account leaves the window
    /// unchanged: revm's bundle for such an account depends on its history.
    pub(super) fn add(&mut self, journal: &mut JournalInner<JournalEntry>) -> bool {
        let JournalInner { state, journal: entries, .. } = journal;
        let keeps_lives = mutant!(WindowKeepsLives);
        let is_lifecycle = |entry: &JournalEntry| {
            let created = matches!(entry, JournalEntry::AccountCreated { .. });
            created || matches!(entry, JournalEntry::AccountDestroyed { .. })
        };
        if !keeps_lives && entries.iter().any(is_lifecycle) {
            return false;
        }
        let touched = entries.iter().filter_map(|entry| match entry {
            JournalEntry::AccountTouched { address } => Some(*address),
            _ => None,
        });
        let mut taken: SmallVec<[TouchRecord; 8]> = SmallVec::new();
        for address in touched.chain([KEPT_TOUCHED]) {
            // `KEPT_TOUCHED` may occur twice.
            let account = state.get_mut(&address).filter(|account| account.is_touched());
            let Some(account) = account else { continue };
            if !keeps_lives && !is_plain(account) {
                let stays = mutant!(WindowKeepsTouches);
                let taken = taken.into_iter().rev().filter(|_| !stays);
                taken.for_each(|taken| self.undo_touch(taken, state));
                return false;
            }
            taken.push(self.touch(address, account));
        }
        for entry in entries {
            if let JournalEntry::StorageChanged { address, key, had_value } = entry
                && self.written.insert(EvmLocation::Storage(*address, *key))
            {
                self.slots.push((*address, *key, *had_value));
            }
        }
        self.transactions += 1;
        true
    }

    /// Undoes the last [`touch`](Self::touch).
    fn undo_touch(&mut self, taken: TouchRecord, state: &mut EvmState) {
        let TouchRecord { address, status, was } = taken;
        if let Some(account) = state.get_mut(&address) {
            account.status = status;
        }
        match was {
            WindowEntry::None => {}
            WindowEntry::New => {
                self.before.pop();
                self.touched.remove(&address);
            }
            WindowEntry::Existing { index, code } => {
                if let Some(before) = self.before.get_mut(index) {
                    before.code = code;
                }
            }
        }
    }

    /// Records a touched account, and leaves it as if it had been loaded after the transaction.
    fn touch(&mut self, address: Address, account: &mut Account) -> TouchRecord {
        let status = account.status;
        let existed = !account.is_loaded_as_not_existing();
        account.status -= AccountStatus::Touched;
        if account.is_empty() && !existed {
            // Touching an account that does not exist changes nothing.
            return TouchRecord { address, status, was: WindowEntry::None };
        }
        account.status -= AccountStatus::LoadedAsNotExisting;
        let code = CodeState::of(account, existed);
        let next = self.before.len();
        let index = *self.touched.entry(address).or_insert(next);
        let was = if let Some(before) = self.before.get_mut(index) {
            let was = WindowEntry::Existing { index, code: before.code };
            before.code = before.code.then(code);
            was
        } else {
            let info = existed.then(|| info_before(account.original_info_mut(), code));
            self.before.push(Before { address, info, code });
            WindowEntry::New
        };
        TouchRecord { address, status, was }
    }

    /// Returns the changes of the window's transactions and empties the window. The last
    /// transaction in `journal` must be the window's last one.
    pub(in crate::evm) fn take(&mut self, journal: &EvmState) -> Vec<AccountChange> {
        self.take_with(journal, |account| Cow::Borrowed(&account.info), |slot| slot.present_value)
    }

    /// Same as [`take`](Self::take), for a `journal` that also contains the current transaction,
    /// which is not in the window.
    pub(super) fn take_before_last(
        &mut self,
        journal: &JournalInner<JournalEntry>,
    ) -> Vec<AccountChange> {
        // When a transaction accesses an account or slot, revm records there the transaction and
        // the value before it.
        let current = journal.transaction_id;
        self.take_with(
            &journal.state,
            |account| match account.transaction_id == current {
                true => Cow::Owned(account.original_info()),
                false => Cow::Borrowed(&account.info),
            },
            |slot| match slot.transaction_id == current {
                true => slot.original_value,
                false => slot.present_value,
            },
        )
    }

    fn take_with(
        &mut self,
        journal: &EvmState,
        info: impl Fn(&Account) -> Cow<'_, AccountInfo>,
        value: impl Fn(&EvmStorageSlot) -> U256,
    ) -> Vec<AccountChange> {
        self.transactions = 0;
        let kind = ChangeKind::Changed;
        let change = |Before { address, info: before, code }: Before| {
            let after = journal.get(&address).map(|account| {
                let mut info = info(account);
                if code.is_loaded() && info.code.is_none() {
                    info.to_mut().code = Some(Bytecode::default());
                }
                info_after(kind, &info, before.as_ref())
            });
            AccountChange {
                address,
                kind,
                before,
                after,
                slots: Vec::new(),
                code,
                knows_balance: true,
            }
        };
        let mut changes: Vec<AccountChange> = self.before.drain(..).map(change).collect();
        let mut last: Option<(Address, &Account, &mut AccountChange)> = None;
        for (address, slot, before) in self.slots.drain(..) {
            if last.as_ref().is_none_or(|(of, ..)| *of != address) {
                let index = self.touched.get(&address).copied();
                let change = index.and_then(|index| changes.get_mut(index));
                last =
                    journal.get(&address).zip(change).map(|(account, to)| (address, account, to));
            }
            let Some((_, account, change)) = &mut last else { continue };
            let after = account.storage.get(&slot).map(&value);
            if let Some(after) = after.filter(|after| *after != before)
                && !mutant!(WindowLosesSlots)
            {
                change.slots.push(SlotChange { slot, before, after });
            }
        }
        self.touched.clear();
        self.written.clear();
        changes
    }
}

/// Whether the current transaction has left the account unchanged, or changed it in a way that can
/// be combined with any number of earlier changes.
fn is_plain(account: &mut Account) -> bool {
    if !account.is_touched() {
        return true;
    }
    match ChangeKind::of(account) {
        // Unless revm has dropped a code: see `info_before`.
        ChangeKind::Changed => {
            account.info.code.is_some() || account.original_info_mut().code.is_none()
        }
        ChangeKind::Emptied => account.is_loaded_as_not_existing(),
        ChangeKind::Created | ChangeKind::Destroyed => false,
    }
}
