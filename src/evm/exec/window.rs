//! Combined changes of several transactions of one journal.
//!
//! When transactions run sequentially and their individual changes are not needed, it is enough to
//! compare the journal after several transactions with its state before them: a contract that is
//! called a hundred times is then one change instead of a hundred.

use super::change::{AccountChange, ChangeKind, CodeBeside, SlotChange, info_after, info_before};
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

/// Maximum number of combined transactions: the accounts and slots that they have touched are then
/// still in the processor's cache.
const MOST_TAKEN_TOGETHER: usize = 128;

/// Accounts and slots that the last transactions have touched.
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
    /// Whether its code was loaded when it was touched: revm drops the empty code where a creation
    /// fails, and that is not a change.
    code: CodeBeside,
}

/// An account touched by the current transaction, as it was before it was added to the window.
struct Taken {
    address: Address,
    status: AccountStatus,
    was: AccountBefore,
}

/// The window's record of an account before [`touch`](Window::touch).
enum AccountBefore {
    /// No record, neither before nor after.
    Nothing,
    New,
    Known {
        place: usize,
        code: CodeBeside,
    },
}

impl Window {
    /// Number of transactions in the window.
    pub(in crate::evm) const fn len(&self) -> usize {
        self.transactions
    }

    /// Whether its changes should be taken now.
    pub(in crate::evm) const fn is_full(&self) -> bool {
        self.transactions >= MOST_TAKEN_TOGETHER
    }

    /// Adds the current transaction if it has only changed accounts, and returns whether it has
    /// been added. A transaction that has created, destroyed or emptied an account is refused and
    /// leaves the window unchanged: revm's bundle for such an account depends on its history.
    pub(super) fn add(&mut self, journal: &mut JournalInner<JournalEntry>) -> bool {
        let JournalInner { state, journal: entries, .. } = journal;
        let keeps_lives = mutant!(WindowKeepsLives);
        let is_life = |entry: &JournalEntry| {
            let created = matches!(entry, JournalEntry::AccountCreated { .. });
            created || matches!(entry, JournalEntry::AccountDestroyed { .. })
        };
        if !keeps_lives && entries.iter().any(is_life) {
            return false;
        }
        let touched = entries.iter().filter_map(|entry| match entry {
            JournalEntry::AccountTouched { address } => Some(*address),
            _ => None,
        });
        let mut taken: SmallVec<[Taken; 8]> = SmallVec::new();
        for address in touched.chain([KEPT_TOUCHED]) {
            // The account that stays touched may come twice.
            let account = state.get_mut(&address).filter(|account| account.is_touched());
            let Some(account) = account else { continue };
            if !keeps_lives && !is_plain(account) {
                let stays = mutant!(WindowKeepsTouches);
                let taken = taken.into_iter().rev().filter(|_| !stays);
                taken.for_each(|taken| self.give_back(taken, state));
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
    fn give_back(&mut self, taken: Taken, state: &mut EvmState) {
        let Taken { address, status, was } = taken;
        if let Some(account) = state.get_mut(&address) {
            account.status = status;
        }
        match was {
            AccountBefore::Nothing => {}
            AccountBefore::New => {
                self.before.pop();
                self.touched.remove(&address);
            }
            AccountBefore::Known { place, code } => {
                if let Some(before) = self.before.get_mut(place) {
                    before.code = code;
                }
            }
        }
    }

    /// Records a touched account, and leaves it as if it had been loaded after the transaction.
    fn touch(&mut self, address: Address, account: &mut Account) -> Taken {
        let status = account.status;
        let existed = !account.is_loaded_as_not_existing();
        account.status -= AccountStatus::Touched;
        if account.is_empty() && !existed {
            // Touching an account that does not exist changes nothing.
            return Taken { address, status, was: AccountBefore::Nothing };
        }
        account.status -= AccountStatus::LoadedAsNotExisting;
        let code = CodeBeside::of(account, existed);
        let next = self.before.len();
        let place = *self.touched.entry(address).or_insert(next);
        let was = if let Some(before) = self.before.get_mut(place) {
            let was = AccountBefore::Known { place, code: before.code };
            before.code = before.code.and(code);
            was
        } else {
            let info = existed.then(|| info_before(account.original_info_mut(), code));
            self.before.push(Before { address, info, code });
            AccountBefore::New
        };
        Taken { address, status, was }
    }

    /// Takes the changes of the window's transactions and empties the window. The last transaction
    /// in `journal` must be the window's last one.
    pub(in crate::evm) fn take(&mut self, journal: &EvmState) -> Vec<AccountChange> {
        self.take_as(journal, |account| Cow::Borrowed(&account.info), |slot| slot.present_value)
    }

    /// Like [`take`](Self::take), when `journal` also contains the current transaction, which is
    /// not in the window.
    pub(super) fn take_before_last(
        &mut self,
        journal: &JournalInner<JournalEntry>,
    ) -> Vec<AccountChange> {
        // When revm loads an account or slot, or finds it loaded, it records the transaction and
        // the value before it.
        let in_hand = journal.transaction_id;
        self.take_as(
            &journal.state,
            |account| match account.transaction_id == in_hand {
                true => Cow::Owned(account.original_info()),
                false => Cow::Borrowed(&account.info),
            },
            |slot| match slot.transaction_id == in_hand {
                true => slot.original_value,
                false => slot.present_value,
            },
        )
    }

    fn take_as(
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
                if code.is_known() && info.code.is_none() {
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
                let place = self.touched.get(&address).copied();
                let change = place.and_then(|place| changes.get_mut(place));
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
        // Except where revm has dropped a code: see `info_before`.
        ChangeKind::Changed => {
            account.info.code.is_some() || account.original_info_mut().code.is_none()
        }
        ChangeKind::Emptied => account.is_loaded_as_not_existing(),
        ChangeKind::Created | ChangeKind::Destroyed => false,
    }
}
