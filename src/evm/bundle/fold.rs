//! Folds all effects of a block on one account into the account's entry in revm's bundle.
//!
//! Follows revm's `CacheState::apply_account_state` and `TransitionAccount::update`, for one
//! account and without a cache of plain state.

use super::folded::{FoldedAccount, keeps_slots, new_code};
use crate::evm::exec::change::{AccountChange, ChangeKind, CodeState, SlotChange};
use crate::evm::fees::reward::Reward;
use alloy_primitives::U256;
use revm::database::states::reverts::AccountInfoRevert;
use revm::database::states::{StorageSlot, TransitionAccount};
use revm::database::{AccountRevert, AccountStatus, BundleAccount, RevertToSlot};
use revm::primitives::StorageKeyMap;
use revm::state::{AccountInfo, Bytecode};
use std::collections::hash_map::Entry;

/// Number of slots of one account above which its final number of slots is extrapolated.
const MANY_SLOTS: usize = 64;

/// Progress of a bundle through the transactions of a block.
#[derive(Clone, Copy)]
pub(super) struct BundleProgress {
    /// Number of transactions that the bundle contains.
    pub(super) seen: usize,
    /// Number of transactions of the block.
    pub(super) all: usize,
}

impl BundleProgress {
    /// Number of items to reserve room for when `more` items are added to `present` ones. Later
    /// items are extrapolated from the transactions so far, because growing moves every item.
    pub(super) fn room(self, present: usize, more: usize) -> usize {
        let expected = present.saturating_mul(self.all) / self.seen.max(1);
        expected.saturating_sub(present).min(8 * present).max(more)
    }
}

/// An account in the middle of a block.
pub(super) struct AccountFold {
    status: AccountStatus,
    info: Option<AccountInfo>,
    /// Status and info before the first change; `None` if there was no change.
    previous: Option<(AccountStatus, Option<AccountInfo>)>,
    storage: StorageKeyMap<StorageSlot>,
    storage_was_destroyed: bool,
}

impl AccountFold {
    /// Creates a fold of an account as it is before the block.
    pub(super) fn before(info: Option<AccountInfo>) -> Self {
        let status = match &info {
            None => AccountStatus::LoadedNotExisting,
            Some(info) if info.is_empty() => AccountStatus::LoadedEmptyEIP161,
            Some(_) => AccountStatus::Loaded,
        };
        Self::loaded(status, info)
    }

    /// Creates a fold of an account as it is in a parent's bundle.
    pub(super) fn after_parent(parent: &BundleAccount) -> Self {
        Self::loaded(parent.status, parent.info.clone())
    }

    /// Creates a fold of an account after its first change.
    pub(super) fn after(change: &AccountChange) -> Self {
        let mut fold = Self::before(change.before.clone());
        fold.reserve_slots(change.slots.len());
        fold.apply(change);
        fold
    }

    /// Reopens an account that [`finish_early`](Self::finish_early) has finished as `account`.
    pub(super) fn reopened(account: BundleAccount) -> Self {
        let BundleAccount { info, original_info, storage, status } = account;
        let before = Self::before(original_info);
        let previous = Some((before.status, before.info));
        Self { status, info, previous, storage, ..before }
    }

    fn loaded(status: AccountStatus, info: Option<AccountInfo>) -> Self {
        let storage = StorageKeyMap::default();
        Self { status, info, previous: None, storage, storage_was_destroyed: false }
    }

    /// Reserves room for `slots` slots.
    pub(super) fn reserve_slots(&mut self, slots: usize) {
        self.storage.reserve(slots);
    }

    /// Reserves room for `more` slots and for later ones, if the account has many.
    pub(super) fn expect_slots(&mut self, more: usize, progress: BundleProgress) {
        let slots = self.storage.len();
        if slots >= MANY_SLOTS && slots + more > self.storage.capacity() {
            self.storage.reserve(progress.room(slots, more));
        }
    }

    /// Applies a change of a transaction or system call.
    pub(super) fn apply(&mut self, change: &AccountChange) {
        match (change.kind, &change.after) {
            (ChangeKind::Changed, Some(info)) => self.change_from(change, info.clone()),
            (ChangeKind::Created, Some(info)) => {
                self.put(self.status.on_created(), info.clone(), &change.slots);
            }
            (ChangeKind::Emptied, _) => self.touch_empty(),
            (ChangeKind::Destroyed, _) | (_, None) => {
                let gone = self.status == AccountStatus::LoadedNotExisting;
                self.remove(self.status.on_selfdestructed(), gone);
            }
        }
    }

    /// Applies a blind credit of a transaction. The account is touched even if the amount is zero.
    pub(super) fn reward(&mut self, reward: Reward) {
        let Some(info) = &mut self.info else {
            if let Some(balance) = reward.apply(None) {
                let info = AccountInfo::from_balance(balance);
                // Before EIP-161, revm's journal marks an empty account as created.
                if balance.is_zero() {
                    self.put(self.status.on_created(), info, &[]);
                } else {
                    self.change(info, &[]);
                }
            }
            return;
        };
        let balance = reward.apply(Some(info.balance)).unwrap_or(info.balance);
        // Only before EIP-161: an existing empty account stays.
        if balance.is_zero() && info.is_empty() {
            return;
        }
        if self.previous.is_some() {
            // Fast path: every transaction takes it for the beneficiary.
            info.balance = balance;
            self.status = self.status.on_changed(info.has_no_code_and_nonce());
        } else {
            let info = AccountInfo { balance, ..info.clone() };
            self.change(info, &[]);
        }
    }

    /// Adds `amount` wei at the end of the block: withdrawals and block rewards.
    pub(super) fn increment(&mut self, amount: u128) {
        let mut info = self.info.clone().unwrap_or_default();
        info.balance = info.balance.saturating_add(U256::from(amount));
        self.settle(info);
    }

    /// Sets the balance to zero (DAO fork).
    pub(super) fn drain(&mut self) {
        let mut info = self.info.clone().unwrap_or_default();
        info.balance = U256::ZERO;
        self.settle(info);
    }

    /// Applies a change from outside the EVM. revm then deletes an empty account, on any fork.
    fn settle(&mut self, info: AccountInfo) {
        if info.is_empty() {
            self.touch_empty();
        } else {
            self.change(info, &[]);
        }
    }

    fn touch_empty(&mut self) {
        let gone = matches!(
            self.status,
            AccountStatus::LoadedNotExisting
                | AccountStatus::Destroyed
                | AccountStatus::DestroyedAgain
        );
        self.remove(self.status.on_touched_empty_post_eip161(), gone);
    }

    /// Applies a change. A change omits unchanged code, which is taken from the fold unless revm
    /// has dropped it.
    fn change_from(&mut self, change: &AccountChange, mut info: AccountInfo) {
        let is_dropped = change.before.as_ref().is_some_and(|before| before.code.is_some());
        let is_first = self.previous.is_none();
        if let Some(old) = self.info.as_mut().filter(|_| !is_dropped)
            && info.code.is_none()
            && info.code_hash == old.code_hash
        {
            // The info that the bundle reverts to keeps its code; any other replaced info does not.
            info.code = if is_first { old.code.clone() } else { old.code.take() };
            // The bundle does not list the code of an account that had no code before the block.
            let lists_code = |(_, first): &(_, Option<AccountInfo>)| {
                first.as_ref().is_none_or(|first| !first.is_empty_code_hash())
            };
            let is_loaded = change.code == CodeState::LoadedByTx
                && info.is_empty_code_hash()
                && !mutant!(CodeLearntUntold);
            if is_loaded && info.code.is_none() && self.previous.as_ref().is_some_and(lists_code) {
                info.code = Some(Bytecode::default());
            }
        }
        self.change(info, &change.slots);
    }

    fn change(&mut self, info: AccountInfo, slots: &[SlotChange]) {
        let blank = self.info.as_ref().is_some_and(AccountInfo::has_no_code_and_nonce);
        self.put(self.status.on_changed(blank), info, slots);
    }

    fn put(&mut self, status: AccountStatus, info: AccountInfo, slots: &[SlotChange]) {
        self.step(Some(info), status);
        for SlotChange { slot, before, after } in slots {
            match self.storage.entry(*slot) {
                Entry::Vacant(entry) => {
                    entry.insert(StorageSlot::new_changed(*before, *after));
                }
                Entry::Occupied(entry) if mutant!(RevertOfSecond) => {
                    *entry.into_mut() = StorageSlot::new_changed(*before, *after);
                }
                // A slot that is back to its value before the block has no change.
                Entry::Occupied(entry) if entry.get().original_value() == *after => {
                    entry.remove();
                }
                Entry::Occupied(entry) => entry.into_mut().present_value = *after,
            }
        }
    }

    fn remove(&mut self, status: AccountStatus, was_gone: bool) {
        if was_gone {
            self.info = None;
            self.status = status;
            return;
        }
        self.step(None, status);
        if mutant!(WipeForgotten) {
            return;
        }
        self.storage.clear();
        self.storage_was_destroyed = true;
    }

    /// Advances to `info` and `status`.
    fn step(&mut self, info: Option<AccountInfo>, status: AccountStatus) {
        let old_info = core::mem::replace(&mut self.info, info);
        let old_status = core::mem::replace(&mut self.status, status);
        if self.previous.is_none() {
            self.previous = Some((old_status, old_info));
        }
    }

    /// Converts the fold into revm's type for the block's changes to an account.
    fn into_transition(self) -> Option<TransitionAccount> {
        let Self { status, info, previous, storage, storage_was_destroyed, .. } = self;
        let (previous_status, previous_info) = previous?;
        let account = TransitionAccount {
            info,
            status,
            previous_info,
            previous_status,
            storage,
            storage_was_destroyed,
        };
        Some(account)
    }

    /// Returns the account's entry in a new bundle; `None` if nothing happened to the account.
    /// `undo_separately`: the slot reverts are computed separately, if slots only changed.
    pub(super) fn finish(self, undo_separately: bool) -> Option<FoldedAccount> {
        if self.is_plain() {
            return self.finish_changed(undo_separately);
        }
        let transition = self.into_transition()?;
        let contract = transition.has_new_contract();
        let contract = contract.map(|(hash, code)| (hash, code.clone()));
        let account = transition.present_bundle_account();
        let revert = transition.create_revert()?;
        Some(FoldedAccount { account, revert, contract, is_undone_separately: false })
    }

    /// Returns the account's entry for a bundle that contains the account as `parent`; `None` if
    /// nothing happened to it. The entry has only the block's slots, if [`keeps_slots`] holds.
    pub(super) fn finish_after(self, parent: &BundleAccount) -> Option<FoldedAccount> {
        let transition = self.into_transition()?;
        let contract = transition.has_new_contract();
        let contract = contract.map(|(hash, code)| (hash, code.clone()));
        let storage = match keeps_slots(transition.status) {
            true => StorageKeyMap::default(),
            false => parent.storage.clone(),
        };
        let mut account = BundleAccount {
            info: parent.info.clone(),
            original_info: parent.original_info.clone(),
            storage,
            status: parent.status,
        };
        let revert = account.update_and_create_revert(transition).unwrap_or_default();
        Some(FoldedAccount { account, revert, contract, is_undone_separately: false })
    }

    /// Same as [`finish`](Self::finish), for an account that may change again.
    ///
    /// # Errors
    /// Returns the account itself if its entry would not show all changes so far.
    pub(super) fn finish_early(self) -> Result<FoldedAccount, Box<Self>> {
        let is_changed = self.previous.as_ref().is_some_and(|(_, info)| *info != self.info)
            || self.storage.values().any(StorageSlot::is_changed);
        if !self.is_plain() || !is_changed {
            return Err(Box::new(self));
        }
        match self.finish_changed(false) {
            Some(folded) => Ok(folded),
            None => unreachable!("the account has changed"),
        }
    }

    /// Whether the account was loaded and then only changed, as nearly all accounts are.
    fn is_plain(&self) -> bool {
        matches!(
            (self.status, self.previous.as_ref().map(|(status, _)| *status)),
            (AccountStatus::Changed, Some(AccountStatus::Loaded))
                | (
                    AccountStatus::InMemoryChange,
                    Some(
                        AccountStatus::Loaded
                            | AccountStatus::LoadedEmptyEIP161
                            | AccountStatus::LoadedNotExisting
                    ),
                )
        )
    }

    /// Same as [`finish`](Self::finish) for a plain account: returns the result of
    /// `BundleAccount::update_and_create_revert` without copying slots.
    fn finish_changed(self, undo_separately: bool) -> Option<FoldedAccount> {
        let Self { status, info, previous, storage, .. } = self;
        let (previous_status, original_info) = previous?;
        let contract = new_code(info.as_ref(), original_info.as_ref());
        let contract = contract.map(|(hash, code)| (hash, code.clone()));
        let to_previous = match &original_info {
            None if previous_status == AccountStatus::LoadedNotExisting => {
                AccountInfoRevert::DeleteIt
            }
            previous if *previous == info => AccountInfoRevert::DoNothing,
            previous => AccountInfoRevert::RevertTo(previous.clone().unwrap_or_default()),
        };
        let is_undone_separately = undo_separately && storage.values().any(StorageSlot::is_changed);
        let mut slots = StorageKeyMap::default();
        if !is_undone_separately {
            let changed = storage.iter().filter(|(_, slot)| slot.is_changed());
            let undone =
                |(at, slot): (&_, &StorageSlot)| (*at, RevertToSlot::Some(slot.original_value()));
            slots.reserve(storage.len());
            slots.extend(changed.map(undone));
        }
        let revert = AccountRevert {
            account: to_previous,
            storage: slots,
            previous_status,
            wipe_storage: false,
        };
        if revert.is_empty() && !is_undone_separately {
            return None;
        }
        let account = BundleAccount { info, original_info, storage, status };
        Some(FoldedAccount { account, revert, contract, is_undone_separately })
    }
}
