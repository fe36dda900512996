//! State changes of one transaction, in compact form.
//!
//! revm's `EvmState` holds every loaded account and slot, but after the transaction only the
//! changes matter. They are kept until the bundle is built, so they should be small.

use alloy_primitives::{Address, U256};
use revm::state::{Account, AccountInfo, EvmState};

/// How a transaction changed an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// Touched; balance, nonce, code or slots may differ.
    Changed,
    /// Created: its previous storage is gone.
    Created,
    /// Destroyed by `SELFDESTRUCT`.
    Destroyed,
    /// Touched while empty, and therefore deleted (EIP-161).
    Emptied,
}

/// A storage slot that a transaction changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotChange {
    /// The slot's key.
    pub slot: U256,
    /// Value before the transaction.
    pub before: U256,
    /// Value after the transaction.
    pub after: U256,
}

/// An account that a transaction touched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountChange {
    /// The account's address.
    pub address: Address,
    /// The kind of change.
    pub kind: ChangeKind,
    /// The account before the transaction, usually without its code; `None` if it did not exist.
    pub before: Option<AccountInfo>,
    /// The account after the transaction; `None` if it does not exist. Contains the code if the
    /// transaction changed it.
    pub after: Option<AccountInfo>,
    /// Changed slots. All other slots of a created account are zero.
    pub slots: Vec<SlotChange>,
    /// Whether revm had loaded the code, even if `after` omits it.
    pub(in crate::evm) code: CodeState,
    /// Whether `before` and `after` have the actual balances. If false, the transaction has not
    /// read the balance, and both have the one from before the block: see `balances`.
    pub(in crate::evm) knows_balance: bool,
}

/// Whether revm had the account's code loaded when the transaction ended. The bundle lists the
/// empty code of an account created in the block only if it was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::evm) enum CodeState {
    /// Not loaded. If it was loaded before the transaction, `before` contains it: see
    /// [`info_before`].
    NotLoaded,
    /// Loaded, before and after.
    Loaded,
    /// Loaded by the transaction.
    LoadedByTx,
}

impl CodeState {
    /// State of the code of a loaded account. `existed`: whether the account existed before the
    /// transaction; if it did not, revm knows that it has no code.
    pub(super) fn of(account: &mut Account, existed: bool) -> Self {
        if account.info.code.is_none() {
            return Self::NotLoaded;
        }
        match existed && account.original_info_mut().code.is_none() {
            true => Self::LoadedByTx,
            false => Self::Loaded,
        }
    }

    /// Combined state of two consecutive transactions, neither of which has dropped the code.
    pub(super) const fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::LoadedByTx, _) | (_, Self::LoadedByTx) => Self::LoadedByTx,
            (Self::Loaded, _) | (_, Self::Loaded) => Self::Loaded,
            (Self::NotLoaded, Self::NotLoaded) => Self::NotLoaded,
        }
    }

    /// Whether the code was loaded.
    pub(in crate::evm) const fn is_loaded(self) -> bool {
        !matches!(self, Self::NotLoaded)
    }
}

/// Returns the changes of the accounts in `state` that the transaction touched.
///
/// `state` must come from revm's journal, which, before EIP-161, marks an empty account as created
/// or as no longer touched.
pub(in crate::evm) fn all_changes(state: EvmState) -> Vec<AccountChange> {
    let mut changes = Vec::with_capacity(state.len());
    changes.extend(state.into_iter().filter_map(|(address, account)| change(address, account)));
    changes
}

impl ChangeKind {
    /// Kind of change of a touched account by the transaction that loaded it.
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
    let code = CodeState::of(&mut account, existed);
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

/// Returns the account before a transaction, without its code unless revm has dropped that code.
/// revm drops the empty code when a creation at the address fails, and this shows in the bundle.
pub(super) fn info_before(original: &AccountInfo, code: CodeState) -> AccountInfo {
    let is_dropped = original.code.is_some() && code == CodeState::NotLoaded;
    if is_dropped { original.clone() } else { original.copy_without_code() }
}

/// Returns the account after a transaction, with its code only if the code is new: cloning code
/// changes a reference count that all cores share. A creation over an empty code leaves no code,
/// and this shows in the bundle.
pub(super) fn info_after(
    kind: ChangeKind,
    info: &AccountInfo,
    before: Option<&AccountInfo>,
) -> AccountInfo {
    let before = before.filter(|_| kind != ChangeKind::Created);
    let known = before.is_some_and(|before| before.code_hash == info.code_hash);
    if known { info.copy_without_code() } else { info.clone() }
}
