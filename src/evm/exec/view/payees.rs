//! Payments to accounts whose balances the transaction does not know.

use super::EvmView;
use crate::evm::exec::change::AccountChange;
use crate::evm::exec::location::{EvmLocation, EvmValue, MOST_PAID};
use crate::evm::exec::stopped::ViewStopped;
use crate::evm::mutants::is_evm_mutant;
use crate::mv::Origin;
use alloy_primitives::{Address, U256};
use revm::DatabaseRef;
use revm::state::AccountInfo;
use smallvec::SmallVec;

/// Who was paid how much, in wei.
pub(in crate::evm) type Payments = SmallVec<[(Address, U256); 1]>;

impl<D: DatabaseRef> EvmView<'_, D> {
    /// The transaction is about to look at what a payee owns, or to change it.
    pub(super) fn count_payee(&mut self, payee: Address) {
        if self.is_unseen(payee) && !is_evm_mutant!(self.mutant, PaymentLookedAt) {
            self.inner.give_up(Origin::Base);
            // It stays unseen: what earlier transactions of the journal have paid is taken later.
            if !is_evm_mutant!(self.mutant, LookForgetsPayment) {
                return;
            }
        }
        self.balances.count(payee);
    }

    /// The transaction is about to pay `amount` to `address`. More than there is shows.
    pub(in crate::evm::exec) fn count_payment(&mut self, address: Address, amount: U256) {
        if self.inner.is_in_order() {
            return;
        }
        if !self.payees.contains(address) || amount > MOST_PAID {
            self.count_balance(address);
        }
    }

    /// A transaction comes that changes nonce and code of an account: if it `may_be` a payee, that
    /// is no payment.
    pub(in crate::evm::exec) fn count_payees(&mut self, may_be: impl Fn(Address) -> bool) {
        let is_missed = is_evm_mutant!(self.mutant, PayeeUncounted);
        for payee in self.payees.iter().filter(|payee| may_be(*payee) && !is_missed) {
            self.count_balance(payee);
        }
    }

    /// A contract is about to be created at `address`: a payee without nonce does not prevent that.
    pub(in crate::evm::exec) fn count_creation(&mut self, address: Address) {
        if self.payees.contains(address) && !is_evm_mutant!(self.mutant, CreationUncounted) {
            self.count_balance(address);
        }
    }

    /// What was paid to accounts at whose balances no transaction of the journal has looked: it is
    /// none of its `changes` any more.
    pub(in crate::evm) fn take_payments(&mut self, changes: &mut Vec<AccountChange>) -> Payments {
        let mut payments = Payments::new();
        if self.inner.is_in_order() {
            return payments;
        }
        for payee in self.payees.iter().filter(|payee| self.is_unseen(*payee)) {
            let at = changes.iter().position(|change| change.address == payee);
            let Some(AccountChange { before, after, .. }) = at.map(|at| changes.swap_remove(at))
            else {
                continue;
            };
            let [before, after] = [before, after].map(|info| info.map(|info| info.balance));
            // It has only been paid: whatever takes from it looks first.
            let paid = after.unwrap_or_default().saturating_sub(before.unwrap_or_default());
            if !is_evm_mutant!(self.mutant, PaymentLost) {
                payments.push((payee, paid));
            }
        }
        payments
    }

    /// One transaction has paid this, in several calls perhaps. More than there is shows.
    pub(in crate::evm::exec) fn check_payments(&mut self, payments: &Payments) {
        if payments.iter().any(|(_, paid)| *paid > MOST_PAID) {
            self.inner.give_up(Origin::Base);
        }
    }

    /// A payee for a transaction that only pays it, or asks for its code: as it is before the first
    /// transaction, but for what it owns by now. `None` if that cannot be told.
    pub(super) fn unseen_payee(
        &mut self,
        address: Address,
    ) -> Result<Option<AccountInfo>, ViewStopped> {
        if self.inner.is_over_final() {
            return Ok(None);
        }
        let Some(first) = self.payees.get(address) else { return Ok(None) };
        if !self.balances.may_go_unseen(address) {
            return Ok(None);
        }
        let location = EvmLocation::Balance(address);
        self.inner.know_base(&location, EvmValue::Balance(first.balance));
        let (_, from) = self.inner.read_from(&location)?;
        if from != Origin::Base {
            return Ok(None);
        }
        self.balances.leave_unseen(address, first.balance, first.balance);
        Ok(first.without_code())
    }
}
