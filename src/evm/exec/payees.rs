//! Accounts that transactions pay without reading their balances.

use super::location::Account;
use alloy_primitives::Address;
use revm::state::AccountInfo;

/// Accounts that transactions can pay without reading their balances, in their state before the
/// first transaction: the beneficiary and accounts that are paid often. There are few, so look-ups
/// are linear.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct Payees(Vec<(Address, Account)>);

impl Payees {
    pub(in crate::evm) const NONE: &Self = &Self(Vec::new());

    /// Adds the account if it can be paid without reading its balance. `first`: the account before
    /// the first transaction.
    pub(in crate::evm) fn add(&mut self, address: Address, first: Option<&AccountInfo>) {
        let first = first.map(Account::of).filter(|first| first.is_plain());
        self.0.extend(first.map(|first| (address, first)));
    }

    pub(in crate::evm) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::evm) fn contains(&self, address: Address) -> bool {
        self.get(address).is_some()
    }

    /// The payee's account before the first transaction; `None` if `address` is no payee.
    pub(super) fn get(&self, address: Address) -> Option<Account> {
        let payee = self.0.iter().find(|(payee, _)| *payee == address);
        payee.map(|(_, first)| *first)
    }

    /// The payee's account info before the first transaction; `None` if `address` is no payee.
    pub(in crate::evm) fn account(&self, address: Address) -> Option<AccountInfo> {
        self.get(address)?.without_code()
    }

    pub(in crate::evm) fn iter(&self) -> impl Iterator<Item = Address> {
        self.0.iter().map(|(payee, _)| *payee)
    }
}
