//! One account through a block: the effects of all transactions folded into what revm's bundle
//! keeps of it.
//!
//! The steps are those of revm's `CacheState::apply_account_state` and
//! `TransitionAccount::update`, for one account, without a cache of its plain state.

use super::change::{AccountChange, ChangeKind, SlotChange};
use super::location::Reward;
use alloy_primitives::{B256, U256};
use revm::bytecode::Bytecode;
use revm::database::states::{StorageSlot, TransitionAccount};
use revm::database::{AccountRevert, AccountStatus, BundleAccount};
use revm::state::AccountInfo;
use std::collections::hash_map::Entry;

/// What one account ends up as in the bundle.
pub(super) struct FoldedAccount {
    pub(super) account: BundleAccount,
    pub(super) revert: AccountRevert,
    pub(super) contract: Option<(B256, Bytecode)>,
}

/// An account in the middle of a block.
pub(super) struct AccountFold {
    status: AccountStatus,
    info: Option<AccountInfo>,
    transition: Option<TransitionAccount>,
}

impl AccountFold {
    /// The account as it is before the block.
    pub(super) fn before(info: Option<AccountInfo>) -> Self {
        let status = match &info {
            None => AccountStatus::LoadedNotExisting,
            Some(info) if info.is_empty() => AccountStatus::LoadedEmptyEIP161,
            Some(_) => AccountStatus::Loaded,
        };
        Self { status, info, transition: None }
    }

    /// The account as a parent's bundle leaves it.
    pub(super) fn after_parent(parent: &BundleAccount) -> Self {
        Self { status: parent.status, info: parent.info.clone(), transition: None }
    }

    /// What a transaction, or a system call, changed.
    pub(super) fn apply(&mut self, change: &AccountChange) {
        match (change.kind, &change.after) {
            (ChangeKind::Changed, Some(info)) => {
                self.change_from(change.before.as_ref(), info.clone(), &change.slots)
            }
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

    /// A transaction's reward that was set aside: the beneficiary is touched, with or without
    /// an amount.
    pub(super) fn reward(&mut self, reward: Reward) {
        let Some(mut info) = self.info.clone() else {
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
        info.balance = reward.apply(Some(info.balance)).unwrap_or(info.balance);
        // Only before EIP-161: an empty account that exists keeps existing.
        if !info.is_empty() {
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
    fn change_from(
        &mut self,
        before: Option<&AccountInfo>,
        mut info: AccountInfo,
        slots: &[SlotChange],
    ) {
        let forgotten = before.is_some_and(|before| before.code.is_some());
        if let Some(old) = self.info.as_ref().filter(|_| !forgotten)
            && info.code.is_none()
            && info.code_hash == old.code_hash
        {
            info.code = old.code.clone();
        }
        self.change(info, slots);
    }

    fn change(&mut self, info: AccountInfo, slots: &[SlotChange]) {
        let blank = self.info.as_ref().is_some_and(AccountInfo::has_no_code_and_nonce);
        self.put(self.status.on_changed(blank), info, slots);
    }

    fn put(&mut self, status: AccountStatus, info: AccountInfo, slots: &[SlotChange]) {
        let transition = self.step(Some(info), status);
        for SlotChange { slot, before, after } in slots {
            match transition.storage.entry(*slot) {
                Entry::Vacant(entry) => {
                    entry.insert(StorageSlot::new_changed(*before, *after));
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
        let transition = self.step(None, status);
        transition.storage.clear();
        transition.storage_was_destroyed = true;
    }

    /// Moves on to `info` and `status`, and notes it in the transition over the block.
    fn step(&mut self, info: Option<AccountInfo>, status: AccountStatus) -> &mut TransitionAccount {
        let previous_info = core::mem::replace(&mut self.info, info.clone());
        let previous_status = core::mem::replace(&mut self.status, status);
        let transition = self.transition.get_or_insert_with(|| TransitionAccount {
            previous_info,
            previous_status,
            ..TransitionAccount::default()
        });
        transition.info = info;
        transition.status = status;
        transition
    }

    /// All of the block's changes to the account, for a bundle that has it already.
    pub(super) fn into_transition(self) -> Option<TransitionAccount> {
        self.transition
    }

    /// The account's part of a new bundle; `None` if nothing happened to it.
    pub(super) fn finish(self) -> Option<FoldedAccount> {
        let transition = self.transition?;
        let contract = transition.has_new_contract().map(|(hash, code)| (hash, code.clone()));
        if matches!(transition.status, AccountStatus::Changed | AccountStatus::InMemoryChange) {
            // Bringing the account before the block up to date gives the one after it, without a
            // copy of its slots.
            let mut account = BundleAccount {
                info: transition.previous_info.clone(),
                original_info: transition.previous_info.clone(),
                storage: Default::default(),
                status: transition.previous_status,
            };
            let revert = account.update_and_create_revert(transition)?;
            return Some(FoldedAccount { account, revert, contract });
        }
        let account = transition.present_bundle_account();
        let revert = transition.create_revert()?;
        Some(FoldedAccount { account, revert, contract })
    }
}
