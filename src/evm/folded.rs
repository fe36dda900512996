//! What an account comes to in the bundle of a block.

use super::change::{AccountChange, ChangeKind};
use alloy_primitives::B256;
use revm::bytecode::Bytecode;
use revm::database::states::reverts::AccountInfoRevert;
use revm::database::{AccountRevert, AccountStatus, BundleAccount};
use revm::primitives::StorageKeyMap;
use revm::state::AccountInfo;

/// An account's part of the bundle.
pub(super) struct FoldedAccount {
    pub(super) account: BundleAccount,
    pub(super) revert: AccountRevert,
    pub(super) contract: Option<(B256, Bytecode)>,
}

impl FoldedAccount {
    /// What comes of `change` if nothing else happens to the account and the change is as plain as most are:
    /// neither slots nor code. The same as by way of an [`AccountFold`](super::fold::AccountFold), which is large,
    /// and moved about.
    #[inline]
    pub(super) fn plain(change: &AccountChange) -> Option<Self> {
        let (ChangeKind::Changed, Some(info), []) = (change.kind, &change.after, &*change.slots)
        else {
            return None;
        };
        let before = change.before.as_ref();
        if before.is_some_and(|before| before.is_empty() || before == info)
            || new_code(Some(info), before).is_some()
        {
            return None;
        }
        let (previous_status, to_previous) = match before {
            None => (AccountStatus::LoadedNotExisting, AccountInfoRevert::DeleteIt),
            Some(info) => (AccountStatus::Loaded, AccountInfoRevert::RevertTo(info.clone())),
        };
        let blank = before.is_some_and(AccountInfo::has_no_code_and_nonce);
        let account = BundleAccount {
            info: Some(info.clone()),
            original_info: before.cloned(),
            storage: StorageKeyMap::default(),
            status: previous_status.on_changed(blank),
        };
        let storage = StorageKeyMap::default();
        let wipe_storage = false;
        let revert = AccountRevert { account: to_previous, storage, previous_status, wipe_storage };
        Some(Self { account, revert, contract: None })
    }
}

/// The code of `info`, if it is there and another one than before.
pub(super) fn new_code<'a>(
    info: Option<&'a AccountInfo>,
    before: Option<&AccountInfo>,
) -> Option<(B256, &'a Bytecode)> {
    let info =
        info.filter(|info| before.is_none_or(|before| before.code_hash != info.code_hash))?;
    Some((info.code_hash, info.code.as_ref()?))
}
