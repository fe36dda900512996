//! What one transaction changed, in compact form.
//!
//! revm's `EvmState` holds every account and slot that was loaded; only the changes matter once
//! the transaction is done. They are kept until the bundle is built, so their size counts.

use alloy_primitives::{Address, U256};
use revm::state::{Account, AccountInfo, EvmState};

/// How a transaction changed an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// Touched; balance, nonce, code or slots may differ.
    Changed,
    /// Created: whatever its storage held before is gone.
    Created,
    /// Destroyed by `SELFDESTRUCT`.
    Destroyed,
    /// Touched while empty, and so deleted (EIP-161).
    Emptied,
}

/// A storage slot that a transaction changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotChange {
    /// Which slot.
    pub slot: U256,
    /// Its content before the transaction.
    pub before: U256,
    /// Its content after the transaction.
    pub after: U256,
}

/// An account that a transaction touched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountChange {
    /// Which account.
    pub address: Address,
    /// How.
    pub kind: ChangeKind,
    /// The account before the transaction, without its code as a rule; `None` if there was none.
    pub before: Option<AccountInfo>,
    /// The account after the transaction; `None` if there is none. It has its code where the
    /// transaction changed that.
    pub after: Option<AccountInfo>,
    /// Slots that differ. Of a created account all others are zero.
    pub slots: Vec<SlotChange>,
    /// Whether its code stood beside the account, also if `after` goes without.
    pub(in crate::evm) code: CodeBeside,
    /// Whether the balances are those of the transaction, not of before the block: see `balances`.
    pub(in crate::evm) knows_balance: bool,
}

/// Whether revm had the code beside the account when the transaction was done. The bundle lists the
/// empty code where it stands beside an account that has come about in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::evm) enum CodeBeside {
    /// It had not. Where it was there before, `before` has it: see [`info_before`].
    Unsaid,
    /// It had, as before.
    Known,
    /// It had, and not before: the transaction has loaded it.
    Learnt,
}

impl CodeBeside {
    /// What it is for a loaded account that has `existed` before. Of one that has not revm knows
    /// that there is no code.
    pub(super) fn of(account: &mut Account, existed: bool) -> Self {
        if account.info.code.is_none() {
            return Self::Unsaid;
        }
        match existed && account.original_info_mut().code.is_none() {
            true => Self::Learnt,
            false => Self::Known,
        }
    }

    /// What it is after a second transaction, if no transaction has forgotten it.
    pub(super) const fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::Learnt, _) | (_, Self::Learnt) => Self::Learnt,
            (Self::Known, _) | (_, Self::Known) => Self::Known,
            (Self::Unsaid, Self::Unsaid) => Self::Unsaid,
        }
    }

    /// Whether it stood there.
    pub(in crate::evm) const fn is_known(self) -> bool {
        !matches!(self, Self::Unsaid)
    }
}

/// The accounts of `state` that its transaction touched.
///
/// revm's journal has prepared `state`: before EIP-161 an empty account is marked as created, or
/// no longer touched.
pub(in crate::evm) fn all_changes(state: EvmState) -> Vec<AccountChange> {
    let mut changes = Vec::with_capacity(state.len());
    changes.extend(state.into_iter().filter_map(|(address, account)| change(address, account)));
    changes
}

impl ChangeKind {
    /// How a touched account was changed by the transaction that has loaded it.
    pub(super) fn of(account: &Account) -> Self {
        if account.is_selfdestructed() {
            Self::Destroyed
        } else if account.is_created() {
            Self::Created
        } else if account.is_empty() {
            Self::Emptied
        } else {
            Self::Changed
        }
    }
}

fn change(address: Address, mut account: Account) -> Option<AccountChange> {
    if !account.is_touched() {
        return None;
    }
    let kind = ChangeKind::of(&account);
    let existed = !account.is_loaded_as_not_existing();
    let code = CodeBeside::of(&mut account, existed);
    let before = existed.then(|| info_before(account.original_info_mut(), code));
    let (after, slots) = match kind {
        ChangeKind::Destroyed | ChangeKind::Emptied => (None, Vec::new()),
        ChangeKind::Changed | ChangeKind::Created => {
            let slots = account.changed_storage_slots().map(|(slot, value)| SlotChange {
                slot: *slot,
                before: value.original_value,
                after: value.present_value,
            });
            (Some(info_after(kind, &account.info, before.as_ref())), slots.collect())
        }
    };
    let knows_balance = true;
    Some(AccountChange { address, kind, before, after, slots, code, knows_balance })
}

/// The account before a transaction, without its code - but where revm has forgotten that: it does
/// so with the empty code when a creation at the address fails, and the bundle shows it.
pub(super) fn info_before(original: &AccountInfo, code: CodeBeside) -> AccountInfo {
    let forgotten = original.code.is_some() && code == CodeBeside::Unsaid;
    if forgotten { original.clone() } else { original.copy_without_code() }
}

/// The account after a transaction, with its code where that is new and nowhere else: each copy of
/// a code is counted in one place by all cores. A creation leaves no code where there was the empty
/// one, and that shows in the bundle.
pub(super) fn info_after(
    kind: ChangeKind,
    info: &AccountInfo,
    before: Option<&AccountInfo>,
) -> AccountInfo {
    let before = before.filter(|_| kind != ChangeKind::Created);
    let known = before.is_some_and(|before| before.code_hash == info.code_hash);
    if known { info.copy_without_code() } else { info.clone() }
}
