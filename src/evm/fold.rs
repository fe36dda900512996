//! One account through a block: the effects of all transactions folded into what revm's bundle
//! keeps of it.
//!
//! The steps are those of revm's `CacheState::apply_account_state` and
//! `TransitionState::add_transition`, for one account, without a cache of its plain state.

use super::location::Reward;
use alloy_primitives::{B256, U256};
use revm::bytecode::Bytecode;
use revm::database::states::{StorageSlot, TransitionAccount};
use revm::database::{AccountRevert, AccountStatus, BundleAccount};
use revm::state::{Account, AccountInfo, EvmStorage};
use std::borrow::Cow;

type Step<'a> = TransitionAccount<Option<Cow<'a, EvmStorage>>>;

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

    /// The account as the first transaction that touched it found it.
    pub(super) fn before_first(account: &Account) -> Self {
        let existed = !account.is_loaded_as_not_existing();
        Self::before(existed.then(|| account.original_info()))
    }

    /// The account as a parent's bundle leaves it.
    pub(super) fn after_parent(parent: &BundleAccount) -> Self {
        Self { status: parent.status, info: parent.info.clone(), transition: None }
    }

    /// What a transaction, or a system call, left of the account.
    pub(super) fn apply(&mut self, account: &Account) {
        if !account.is_touched() {
            return;
        }
        if account.is_selfdestructed() {
            let gone = self.status == AccountStatus::LoadedNotExisting;
            self.remove(self.status.on_selfdestructed(), gone);
        } else if account.is_created() {
            let status = self.status.on_created();
            self.put(status, account.info.clone(), Some(&account.storage));
        } else if account.is_empty() {
            let gone = matches!(
                self.status,
                AccountStatus::LoadedNotExisting
                    | AccountStatus::Destroyed
                    | AccountStatus::DestroyedAgain
            );
            self.remove(self.status.on_touched_empty_post_eip161(), gone);
        } else {
            self.change(account.info.clone(), Some(&account.storage));
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
                    self.put(self.status.on_created(), info, None);
                } else {
                    self.change(info, None);
                }
            }
            return;
        };
        info.balance = reward.apply(Some(info.balance)).unwrap_or(info.balance);
        // Only before EIP-161: an empty account that exists keeps existing.
        if !info.is_empty() {
            self.change(info, None);
        }
    }

    /// A balance that the end of the block adds: withdrawals, block rewards.
    pub(super) fn increment(&mut self, amount: u128) {
        let mut info = self.info.clone().unwrap_or_default();
        info.balance = info.balance.saturating_add(U256::from(amount));
        self.change(info, None);
    }

    /// The DAO fork takes the whole balance, and returns it.
    pub(super) fn drain(&mut self) -> u128 {
        let mut info = self.info.clone().unwrap_or_default();
        let balance = core::mem::take(&mut info.balance);
        self.change(info, None);
        balance.saturating_to()
    }

    fn change(&mut self, info: AccountInfo, storage: Option<&EvmStorage>) {
        let blank = self.info.as_ref().is_some_and(AccountInfo::has_no_code_and_nonce);
        self.put(self.status.on_changed(blank), info, storage);
    }

    fn put(&mut self, status: AccountStatus, info: AccountInfo, storage: Option<&EvmStorage>) {
        let previous_info = self.info.replace(info);
        let previous_status = core::mem::replace(&mut self.status, status);
        self.step(TransitionAccount {
            info: self.info.clone(),
            status,
            previous_info,
            previous_status,
            storage: storage.map(Cow::Borrowed),
            storage_was_destroyed: false,
        });
    }

    fn remove(&mut self, status: AccountStatus, was_gone: bool) {
        let previous_info = self.info.take();
        let previous_status = core::mem::replace(&mut self.status, status);
        if was_gone {
            return;
        }
        self.step(TransitionAccount {
            info: None,
            status,
            previous_info,
            previous_status,
            storage: None,
            storage_was_destroyed: true,
        });
    }

    fn step(&mut self, step: Step<'_>) {
        match &mut self.transition {
            Some(transition) => transition.update(step),
            None => self.transition = Some(step.map_storage(changed_slots)),
        }
    }

    /// All of the block's changes to the account, for a bundle that has it already.
    pub(super) fn into_transition(self) -> Option<TransitionAccount> {
        self.transition
    }

    /// The account's part of a new bundle; `None` if nothing happened to it.
    pub(super) fn finish(self) -> Option<FoldedAccount> {
        let transition = self.transition?;
        let contract = transition.has_new_contract().map(|(hash, code)| (hash, code.clone()));
        let account = transition.present_bundle_account();
        let revert = transition.create_revert()?;
        Some(FoldedAccount { account, revert, contract })
    }
}

fn changed_slots(
    storage: Option<Cow<'_, EvmStorage>>,
) -> revm::database::states::StorageWithOriginalValues {
    let storage = storage.as_deref().into_iter().flatten();
    let changed = storage.filter(|(_, slot)| slot.is_changed());
    changed
        .map(|(key, slot)| {
            (*key, StorageSlot::new_changed(slot.original_value, slot.present_value))
        })
        .collect()
}
