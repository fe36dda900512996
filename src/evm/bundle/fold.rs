//! One account through a block: the effects of all transactions folded into what revm's bundle
//! keeps of it.
//!
//! The steps are those of revm's `CacheState::apply_account_state` and
//! `TransitionAccount::update`, for one account, without a cache of its plain state.

use super::folded::{FoldedAccount, keeps_slots, new_code};
use crate::evm::exec::change::{AccountChange, ChangeKind, CodeBeside, SlotChange};
use crate::evm::fees::reward::Reward;
use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use alloy_primitives::U256;
use revm::database::states::reverts::AccountInfoRevert;
use revm::database::states::{StorageSlot, TransitionAccount};
use revm::database::{AccountRevert, AccountStatus, BundleAccount, RevertToSlot};
use revm::primitives::StorageKeyMap;
use revm::state::{AccountInfo, Bytecode};
use std::collections::hash_map::Entry;

/// Slots of one account from which on it pays to guess how many there will be.
const MANY_SLOTS: usize = 64;

/// An account in the middle of a block.
pub(super) struct AccountFold {
    status: AccountStatus,
    info: Option<AccountInfo>,
    /// As it was before the first change; `None` if there was no change.
    previous: Option<(AccountStatus, Option<AccountInfo>)>,
    storage: StorageKeyMap<StorageSlot>,
    storage_was_destroyed: bool,
    mutant: EvmMutant,
}

impl AccountFold {
    /// The account as it is before the block.
    pub(super) fn before(info: Option<AccountInfo>) -> Self {
        let status = match &info {
            None => AccountStatus::LoadedNotExisting,
            Some(info) if info.is_empty() => AccountStatus::LoadedEmptyEIP161,
            Some(_) => AccountStatus::Loaded,
        };
        Self::loaded(status, info)
    }

    /// The account as a parent's bundle leaves it.
    pub(super) fn after_parent(parent: &BundleAccount) -> Self {
        Self::loaded(parent.status, parent.info.clone())
    }

    /// The account after its first change.
    pub(super) fn after(change: &AccountChange, mutant: EvmMutant) -> Self {
        let mut fold = Self::before(change.before.clone()).with_mutant(mutant);
        fold.reserve_slots(change.slots.len());
        fold.apply(change);
        fold
    }

    /// The account that [`finish_early`](Self::finish_early) has made `account` of.
    pub(super) fn resumed(account: BundleAccount, mutant: EvmMutant) -> Self {
        let BundleAccount { info, original_info, storage, status } = account;
        let before = Self::before(original_info).with_mutant(mutant);
        let previous = Some((before.status, before.info));
        Self { status, info, previous, storage, ..before }
    }

    fn loaded(status: AccountStatus, info: Option<AccountInfo>) -> Self {
        let storage = StorageKeyMap::default();
        let mutant = EvmMutant::None;
        Self { status, info, previous: None, storage, storage_was_destroyed: false, mutant }
    }

    /// The same with a seeded bug.
    pub(super) fn with_mutant(mut self, mutant: EvmMutant) -> Self {
        self.mutant = mutant;
        self
    }

    /// Makes room for `slots` slots.
    pub(super) fn reserve_slots(&mut self, slots: usize) {
        self.storage.reserve(slots);
    }

    /// Makes room for `more` slots; where there are many, also for the slots to come if the rest of
    /// the block is like what was `seen` of `all` its transactions: growing moves all of them.
    pub(super) fn expect_slots(&mut self, more: usize, (seen, all): (usize, usize)) {
        let slots = self.storage.len();
        if slots >= MANY_SLOTS && slots + more > self.storage.capacity() {
            let expected = slots.saturating_mul(all) / seen.max(1);
            self.storage.reserve(expected.saturating_sub(slots).min(8 * slots).max(more));
        }
    }

    /// What a transaction, or a system call, changed.
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

    /// A transaction's reward that was deferred: the beneficiary is touched, with or without
    /// an amount.
    pub(super) fn reward(&mut self, reward: Reward) {
        let Some(info) = &mut self.info else {
            if let Some(balance) = reward.apply(None) {
                let info = AccountInfo::from_balance(balance);
                // Before EIP-161 revm's journal marks an empty account as created.
                if balance.is_zero() {
                    self.put(self.status.on_created(), info, &[]);
                } else {
                    self.change(info, &[]);
                }
            }
            return;
        };
        let balance = reward.apply(Some(info.balance)).unwrap_or(info.balance);
        // Only before EIP-161: an empty account that exists keeps existing.
        if balance.is_zero() && info.is_empty() {
            return;
        }
        if self.previous.is_some() {
            // Every transaction of the block comes by here.
            info.balance = balance;
            self.status = self.status.on_changed(info.has_no_code_and_nonce());
        } else {
            let info = AccountInfo { balance, ..info.clone() };
            self.change(info, &[]);
        }
    }

    /// A balance that the end of the block adds: withdrawals, block rewards.
    pub(super) fn increment(&mut self, amount: u128) {
        let mut info = self.info.clone().unwrap_or_default();
        info.balance = info.balance.saturating_add(U256::from(amount));
        self.settle(info);
    }

    /// The DAO fork takes the whole balance.
    pub(super) fn drain(&mut self) {
        let mut info = self.info.clone().unwrap_or_default();
        info.balance = U256::ZERO;
        self.settle(info);
    }

    /// A change from outside the EVM: revm deletes what is left empty, on any fork.
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

    /// A change comes without a code that it did not change, unless that was forgotten.
    fn change_from(&mut self, change: &AccountChange, mut info: AccountInfo) {
        let forgotten = change.before.as_ref().is_some_and(|before| before.code.is_some());
        let is_first = self.previous.is_none();
        if let Some(old) = self.info.as_mut().filter(|_| !forgotten)
            && info.code.is_none()
            && info.code_hash == old.code_hash
        {
            // What is replaced needs no code; what the bundle reverts to does.
            info.code = if is_first { old.code.clone() } else { old.code.take() };
            // Of an account that had no code before the block the bundle does not tell it.
            let is_told = |(_, first): &(_, Option<AccountInfo>)| {
                first.as_ref().is_none_or(|first| !first.is_empty_code_hash())
            };
            let is_learnt = change.code == CodeBeside::Learnt
                && info.is_empty_code_hash()
                && !is_evm_mutant!(self.mutant, CodeLearntUntold);
            if is_learnt && info.code.is_none() && self.previous.as_ref().is_some_and(is_told) {
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
                Entry::Occupied(entry) if is_evm_mutant!(self.mutant, RevertOfSecond) => {
                    *entry.into_mut() = StorageSlot::new_changed(*before, *after);
                }
                // Back to what it was before the block: no change at all.
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
        if is_evm_mutant!(self.mutant, WipeForgotten) {
            return;
        }
        self.storage.clear();
        self.storage_was_destroyed = true;
    }

    /// Moves on to `info` and `status`.
    fn step(&mut self, info: Option<AccountInfo>, status: AccountStatus) {
        let old_info = core::mem::replace(&mut self.info, info);
        let old_status = core::mem::replace(&mut self.status, status);
        if self.previous.is_none() {
            self.previous = Some((old_status, old_info));
        }
    }

    /// All of the block's changes to the account, in revm's type.
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

    /// The account's part of a new bundle; `None` if nothing happened to it. `apart`: what undoes
    /// its slots is made apart, if they have only changed.
    pub(super) fn finish(self, apart: bool) -> Option<FoldedAccount> {
        if self.is_plain() {
            return self.finish_changed(apart);
        }
        let transition = self.into_transition()?;
        let contract = transition.has_new_contract();
        let contract = contract.map(|(hash, code)| (hash, code.clone()));
        let account = transition.present_bundle_account();
        let revert = transition.create_revert()?;
        Some(FoldedAccount { account, revert, contract, is_undone_apart: false })
    }

    /// The account's part of a bundle that has it already, as `parent`; `None` if nothing happened
    /// to it. Its slots are only the block's, if [`keeps_slots`] says so.
    pub(super) fn finish_after(self, parent: &BundleAccount) -> Option<FoldedAccount> {
        let transition = self.into_transition()?;
        let contract = transition.has_new_contract();
        let contract = contract.map(|(hash, code)| (hash, code.clone()));
        let storage = match keeps_slots(transition.status) {
            true => StorageKeyMap::default(),
            false => parent.storage.clone(),
        };
        let BundleAccount { info, original_info, status, .. } = parent;
        let (info, original_info) = (info.clone(), original_info.clone());
        let mut account = BundleAccount { info, original_info, storage, status: *status };
        let revert = account.update_and_create_revert(transition).unwrap_or_default();
        Some(FoldedAccount { account, revert, contract, is_undone_apart: false })
    }

    /// The same as `finish` for an account to which more may happen, if what it comes to tells what
    /// has happened so far.
    ///
    /// # Errors
    /// The account itself, if it does not.
    pub(super) fn finish_early(self) -> Result<FoldedAccount, Box<Self>> {
        let is_changed = self.previous.as_ref().is_some_and(|(_, info)| *info != self.info)
            || self.storage.values().any(StorageSlot::is_changed);
        if !self.is_plain() || !is_changed {
            return Err(Box::new(self));
        }
        match self.finish_changed(false) {
            Some(folded) => Ok(folded),
            None => unreachable!("it has changed"),
        }
    }

    /// Whether it was loaded and changed, as almost all are.
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

    /// What `BundleAccount::update_and_create_revert` comes to for a plain account, without copying
    /// its slots.
    fn finish_changed(self, apart: bool) -> Option<FoldedAccount> {
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
        let is_undone_apart = apart && storage.values().any(StorageSlot::is_changed);
        let mut slots = StorageKeyMap::default();
        if !is_undone_apart {
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
        if revert.is_empty() && !is_undone_apart {
            return None;
        }
        let account = BundleAccount { info, original_info, storage, status };
        Some(FoldedAccount { account, revert, contract, is_undone_apart })
    }
}
