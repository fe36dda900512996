//! Accounts that transactions pay without a look at their balances.

use super::location::Account;
use alloy_primitives::Address;
use revm::state::AccountInfo;

/// Accounts that transactions can pay without a look at their balances, as they are before the
/// first one: the beneficiary, and who is paid often. They are few, so each is compared.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct Payees(Vec<(Address, Account)>);

impl Payees {
    pub(in crate::evm) const NONE: &Self = &Self(Vec::new());

    /// Adds the account, which is as `first` tells, if it can be paid like that.
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

    /// The account before the first transaction, if it is one of them.
    pub(super) fn get(&self, address: Address) -> Option<Account> {
        let known = self.0.iter().find(|(payee, _)| *payee == address);
        known.map(|(_, first)| *first)
    }

    /// One of them as it is before the first transaction.
    pub(in crate::evm) fn account(&self, address: Address) -> Option<AccountInfo> {
        self.get(address)?.without_code()
    }

    pub(in crate::evm) fn iter(&self) -> impl Iterator<Item = Address> {
        self.0.iter().map(|(payee, _)| *payee)
    }
}
