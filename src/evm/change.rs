//! What one transaction changed, in compact form.
//!
//! revm's `EvmState` holds every account and slot that was loaded; only the changes matter once
//! the transaction is done. They are kept until the bundle is built, so their size counts.

use alloy_primitives::{Address, U256};
use revm::state::{Account, AccountInfo, EvmState};

/// How a transaction changed an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
pub struct AccountChange {
    /// Which account.
    pub address: Address,
    /// How.
    pub kind: ChangeKind,
    /// The account before the transaction; `None` if there was none.
    pub before: Option<AccountInfo>,
    /// The account after the transaction; `None` if there is none.
    pub after: Option<AccountInfo>,
    /// Slots that differ. Of a created account all others are zero.
    pub slots: Vec<SlotChange>,
}

/// The accounts of `state` that its transaction touched.
///
/// revm's journal has prepared `state`: before EIP-161 an empty account is marked as created, or
/// no longer touched.
pub(super) fn changes(state: EvmState) -> Vec<AccountChange> {
    let mut changes = Vec::with_capacity(state.len());
    changes.extend(state.into_iter().filter_map(|(address, account)| change(address, account)));
    changes
}

fn change(address: Address, account: Account) -> Option<AccountChange> {
    if !account.is_touched() {
        return None;
    }
    let kind = if account.is_selfdestructed() {
        ChangeKind::Destroyed
    } else if account.is_created() {
        ChangeKind::Created
    } else if account.is_empty() {
        ChangeKind::Emptied
    } else {
        ChangeKind::Changed
    };
    let before = (!account.is_loaded_as_not_existing()).then(|| account.original_info());
    let (after, slots) = match kind {
        ChangeKind::Destroyed | ChangeKind::Emptied => (None, Vec::new()),
        ChangeKind::Changed | ChangeKind::Created => {
            let slots = account.changed_storage_slots().map(|(slot, value)| SlotChange {
                slot: *slot,
                before: value.original_value,
                after: value.present_value,
            });
            let slots = slots.collect();
            (Some(account.info), slots)
        }
    };
    Some(AccountChange { address, kind, before, after, slots })
}
