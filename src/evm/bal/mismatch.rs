//! Differences between a block's own access list and its execution.

use super::accesses::Accesses;
use super::changes::{at_index, slot_index};
use alloy_eip7928::{
    AccountChanges, BlockAccessIndex, BlockAccessListGasError, BlockAccessListValidationError,
};
use alloy_primitives::{Address, Bytes, U256};
use core::fmt;
use std::collections::BTreeMap;

/// What is wrong with the access list of a block (EIP-7928).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessListError {
    /// Wrong order, duplicates, empty entries, or indices that the block does not have. No
    /// transaction was executed.
    #[error("the access list is malformed: {0}")]
    Malformed(BlockAccessListValidationError),
    /// The list has more items than the block's gas limit allows (from Amsterdam). No transaction
    /// was executed.
    #[error("the access list is too long: {0}")]
    TooLong(BlockAccessListGasError),
    /// The execution differs from the list. Reports the lowest differing index, and there the
    /// lowest address.
    #[error("the access list is wrong: {0}")]
    Mismatch(Box<AccessListMismatch>),
}

/// A difference between an access list and the execution.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessListMismatch {
    /// Block access index: 0 before the transactions, 1 to n for the transactions, n + 1 after
    /// them. A listed item that was never accessed is reported at n + 1.
    pub index: u64,
    /// The account that differs.
    pub address: Address,
    /// The part of the account that differs.
    pub field: AccountField,
    /// The listed access; `None` if the list lacks the account, the slot or the change.
    pub listed: Option<Access>,
    /// The executed access; `None` if the item was not accessed, or not changed.
    pub executed: Option<Access>,
}

/// A part of an account in an access list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AccountField {
    /// The account itself, whichever part changed.
    Account,
    /// The balance in wei.
    Balance,
    /// The nonce.
    Nonce,
    /// The code.
    Code,
    /// A storage slot.
    Slot(U256),
}

/// An access to a part of an account at one index.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Accessed without a change.
    Unchanged,
    /// Balance, nonce or slot changed to this value.
    Value(U256),
    /// The code changed to these bytes.
    Code(Bytes),
}

impl AccessListMismatch {
    /// Creates the difference for a listed account or slot that was never accessed; `end` is the
    /// index after the transactions.
    pub(super) const fn unused(end: u32, address: Address, slot: Option<U256>) -> Self {
        let field = match slot {
            Some(slot) => AccountField::Slot(slot),
            None => AccountField::Account,
        };
        let listed = Some(Access::Unchanged);
        Self { index: end as u64, address, field, listed, executed: None }
    }
}

impl fmt::Display for AccessListMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, address, field, listed, executed } = self;
        let of = |access: &Option<Access>| match access {
            None => "nothing".to_owned(),
            Some(access) => access.to_string(),
        };
        let listed = of(listed);
        let executed = of(executed);
        write!(f, "index {index}, account {address}{field}: listed {listed}, executed {executed}")
    }
}

impl core::error::Error for AccessListMismatch {}

impl fmt::Display for AccountField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => Ok(()),
            Self::Balance => f.write_str(", balance"),
            Self::Nonce => f.write_str(", nonce"),
            Self::Code => f.write_str(", code"),
            Self::Slot(slot) => write!(f, ", slot {slot:#x}"),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("an access without a change"),
            Self::Value(value) => write!(f, "{value:#x}"),
            Self::Code(code) if code.len() <= 32 => write!(f, "{code}"),
            Self::Code(code) => write!(f, "{} bytes of code", code.len()),
        }
    }
}

/// The accesses at one index.
type Step = BTreeMap<(Address, AccountField), Access>;

/// Returns the lowest difference between `list` and `accesses` at `index`. There must be one.
pub(super) fn first_difference(
    list: &[AccountChanges],
    index: BlockAccessIndex,
    accesses: &Accesses,
) -> AccessListMismatch {
    let executed = executed(accesses);
    let listed = listed(list, index);
    let listed_access = |key: &(Address, AccountField)| {
        let (address, field) = *key;
        // Accounts and slots without a change have no index in the list: any index may access them.
        let has_no_index = matches!(field, AccountField::Account | AccountField::Slot(_));
        let is_accessed = executed.contains_key(key) && has_no_index;
        let elsewhere = is_accessed && is_listed(list, address, field);
        listed.get(key).cloned().or_else(|| elsewhere.then_some(Access::Unchanged))
    };
    let keys = executed.keys().chain(listed.keys());
    let differing = keys.filter(|key| listed_access(key).as_ref() != executed.get(key));
    let first = differing.min().copied().unwrap_or((Address::ZERO, AccountField::Account));
    let (address, field) = first;
    AccessListMismatch {
        index: index.get(),
        address,
        field,
        listed: listed_access(&first),
        executed: executed.get(&first).cloned(),
    }
}

fn executed(accesses: &Accesses) -> Step {
    let mut step = Step::new();
    let address = |index: &u32| accesses.accounts.get(*index as usize).copied().unwrap_or_default();
    for account in &accesses.accounts {
        step.insert((*account, AccountField::Account), Access::Unchanged);
    }
    for (account_index, slot) in &accesses.reads {
        step.insert((address(account_index), AccountField::Slot(*slot)), Access::Unchanged);
    }
    for (account_index, balance) in &accesses.balances {
        step.insert((address(account_index), AccountField::Balance), Access::Value(*balance));
    }
    for (account_index, nonce) in &accesses.nonces {
        step.insert(
            (address(account_index), AccountField::Nonce),
            Access::Value(U256::from(*nonce)),
        );
    }
    for (account_index, code) in &accesses.codes {
        step.insert((address(account_index), AccountField::Code), Access::Code(code.clone()));
    }
    for (account_index, slot, value) in &accesses.writes {
        step.insert((address(account_index), AccountField::Slot(*slot)), Access::Value(*value));
    }
    step
}

/// Returns the changes in `list` at `index`.
fn listed(list: &[AccountChanges], index: BlockAccessIndex) -> Step {
    let mut step = Step::new();
    for account in list {
        let mut add_change = |field, access: Option<Access>| {
            step.extend(access.map(|access| ((account.address, field), access)));
        };
        let balance = at_index(&account.balance_changes, index, |it| it.block_access_index);
        add_change(AccountField::Balance, balance.map(|it| Access::Value(it.post_balance)));
        let nonce = at_index(&account.nonce_changes, index, |it| it.block_access_index);
        add_change(AccountField::Nonce, nonce.map(|it| Access::Value(U256::from(it.new_nonce))));
        let code = at_index(&account.code_changes, index, |it| it.block_access_index);
        add_change(AccountField::Code, code.map(|it| Access::Code(it.new_code.clone())));
        for slot in &account.storage_changes {
            let change = at_index(&slot.changes, index, |it| it.block_access_index);
            add_change(AccountField::Slot(slot.slot), change.map(|it| Access::Value(it.new_value)));
        }
    }
    step
}

/// Whether `list` contains the account, or the slot, at any index.
fn is_listed(list: &[AccountChanges], address: Address, field: AccountField) -> bool {
    let account = list.binary_search_by_key(&address, |it| it.address).ok();
    let Some(account) = account.and_then(|index| list.get(index)) else { return false };
    match field {
        AccountField::Slot(slot) => {
            slot_index(account, slot).is_some() || account.storage_reads.contains(&slot)
        }
        _ => true,
    }
}
