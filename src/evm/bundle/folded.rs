//! Bundle entries of single accounts.

use crate::evm::exec::change::{AccountChange, ChangeKind};
use alloy_primitives::{Address, B256};
use revm::bytecode::Bytecode;
use revm::database::states::reverts::AccountInfoRevert;
use revm::database::{AccountRevert, AccountStatus, BundleAccount};
use revm::primitives::StorageKeyMap;
use revm::state::AccountInfo;

/// The revert of a block's changes to an account.
pub(in crate::evm) type AccountReverted = (Address, AccountRevert);

/// An account's entry in the bundle.
pub(in crate::evm) struct FoldedAccount {
    pub(super) account: BundleAccount,
    /// Revert of the block's changes; without slots if they are computed separately.
    pub(super) revert: AccountRevert,
    pub(super) contract: Option<(B256, Bytecode)>,
    /// Whether the slot reverts are missing because they are computed separately.
    pub(super) is_undone_separately: bool,
}

impl FoldedAccount {
    /// Whether the block's reverts contain the account.
    pub(super) fn is_reverted(&self) -> bool {
        self.is_undone_separately || !self.revert.is_empty()
    }

    /// Returns the entry of an account whose only effect is `change`, if the change is a plain one,
    /// as most are: without slots and new code. Equals the result of an
    /// [`AccountFold`](super::fold::AccountFold), which is large and costly to move.
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
        Some(Self { account, revert, contract: None, is_undone_separately: false })
    }
}

/// Whether an account of this status keeps the slots from before the block that the block has not
/// changed. For all other statuses the storage was destroyed.
pub(super) const fn keeps_slots(status: AccountStatus) -> bool {
    matches!(status, AccountStatus::Changed | AccountStatus::InMemoryChange)
}

/// Returns the code of `info`, if it is present and differs from the code before.
pub(super) fn new_code<'a>(
    info: Option<&'a AccountInfo>,
    before: Option<&AccountInfo>,
) -> Option<(B256, &'a Bytecode)> {
    let info =
        info.filter(|info| before.is_none_or(|before| before.code_hash != info.code_hash))?;
    Some((info.code_hash, info.code.as_ref()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::bundle::fold::AccountFold;
    use crate::evm::exec::change::{CodeState, SlotChange};
    use alloy_primitives::{Address, U256};

    fn codes(folded: &FoldedAccount) -> [Option<&Bytecode>; 3] {
        let FoldedAccount { account, revert, .. } = folded;
        let reverted = match &revert.account {
            AccountInfoRevert::RevertTo(info) => Some(info),
            AccountInfoRevert::DoNothing | AccountInfoRevert::DeleteIt => None,
        };
        [account.info.as_ref(), account.original_info.as_ref(), reverted]
            .map(|info| info.and_then(|info| info.code.as_ref()))
    }

    /// Plain changes have the same entries as folds.
    #[test]
    fn plain_changes_come_to_the_same_as_all_others() {
        let info = |balance: u64, nonce, code: Option<Bytecode>| {
            let info = AccountInfo::from_balance(U256::from(balance)).with_nonce(nonce);
            match code {
                Some(code) if !code.is_empty() => info.with_code(code),
                code => AccountInfo { code, ..info },
            }
        };
        let mut infos = vec![None];
        for (balance, nonce) in [(0, 0), (0, 1), (7, 0), (7, 1), (8, 1)] {
            for code in [None, Some(Bytecode::default()), Some(Bytecode::new_raw([0].into()))] {
                infos.push(Some(info(balance, nonce, code)));
            }
        }
        let slot = SlotChange { slot: U256::ONE, before: U256::ZERO, after: U256::ONE };
        let kinds = [ChangeKind::Changed, ChangeKind::Created, ChangeKind::Destroyed];
        let mut plain = 0;
        let mut others = 0;
        for kind in kinds.into_iter().chain([ChangeKind::Emptied]) {
            for (before, after) in
                infos.iter().flat_map(|before| infos.iter().map(move |after| (before, after)))
            {
                for slots in [Vec::new(), vec![slot]] {
                    let change = AccountChange {
                        address: Address::ZERO,
                        kind,
                        before: before.clone(),
                        after: after.clone(),
                        slots,
                        code: CodeState::Loaded,
                        knows_balance: true,
                    };
                    let Some(found) = FoldedAccount::plain(&change) else {
                        others += 1;
                        continue;
                    };
                    plain += 1;
                    let fold = || AccountFold::after(&change);
                    for expected in [fold().finish(false), fold().finish_early().ok()] {
                        let expected = expected.expect("something has changed");
                        // Equal infos may differ in whether they hold their code.
                        assert_eq!(codes(&found), codes(&expected), "{change:?}");
                        assert_eq!(found.account, expected.account, "{change:?}");
                        assert_eq!(found.revert, expected.revert, "{change:?}");
                        assert_eq!(found.contract, expected.contract, "{change:?}");
                    }
                }
            }
        }
        assert!(plain > 50 && others > plain, "{plain}, {others}");
    }
}
