//! Payments to accounts whose balances the transaction has not read (blind credits).

use super::EvmView;
use crate::evm::exec::change::AccountChange;
use crate::evm::exec::location::{EvmLocation, EvmValue, MAX_BLIND_CREDIT};
use crate::evm::exec::stopped::ViewStopped;
use crate::mv::Origin;
use alloy_primitives::{Address, U256};
use revm::DatabaseRef;
use revm::state::AccountInfo;
use smallvec::SmallVec;

/// Blind credits: recipients and amounts in wei.
pub(in crate::evm) type Payments = SmallVec<[(Address, U256); 1]>;

impl<D: DatabaseRef> EvmView<'_, D> {
    /// Marks the balance of a payee as read; called before the transaction reads or changes it.
    pub(super) fn mark_payee_read(&mut self, payee: Address) {
        if self.is_balance_unread(payee) && !mutant!(PaymentLookedAt) {
            self.inner.stop_on_mismatch(Origin::Base);
            // The balance stays unread: payments of earlier transactions in the journal are taken
            // later.
            if !mutant!(LookForgetsPayment) {
                return;
            }
        }
        self.balances.mark_read(payee);
    }

    /// Announces a payment of `amount` to `address`. An amount above [`MAX_BLIND_CREDIT`] counts as
    /// a read of the balance.
    pub(in crate::evm::exec) fn announce_payment(&mut self, address: Address, amount: U256) {
        if self.inner.is_sequential() {
            return;
        }
        if !self.payees.contains(address) || amount > MAX_BLIND_CREDIT {
            self.mark_balance_read(address);
        }
    }

    /// Marks the balance of each payee that `may_be` accepts as read: the transaction may change
    /// its nonce and code, which a blind credit cannot express.
    pub(in crate::evm::exec) fn mark_payees_read(&mut self, may_be: impl Fn(Address) -> bool) {
        let is_missed = mutant!(PayeeUncounted);
        for payee in self.payees.iter().filter(|payee| may_be(*payee) && !is_missed) {
            self.mark_balance_read(payee);
        }
    }

    /// Announces a creation at `address`: a payee without a nonce does not prevent it.
    pub(in crate::evm::exec) fn announce_creation(&mut self, address: Address) {
        if self.payees.contains(address) && !mutant!(CreationUncounted) {
            self.mark_balance_read(address);
        }
    }

    /// Moves blind credits out of `changes` and returns them.
    pub(in crate::evm) fn take_payments(&mut self, changes: &mut Vec<AccountChange>) -> Payments {
        let mut payments = Payments::new();
        if self.inner.is_sequential() {
            return payments;
        }
        for payee in self.payees.iter().filter(|payee| self.is_balance_unread(*payee)) {
            let at = changes.iter().position(|change| change.address == payee);
            let Some(AccountChange { before, after, .. }) = at.map(|at| changes.swap_remove(at))
            else {
                continue;
            };
            let [before, after] = [before, after].map(|info| info.map(|info| info.balance));
            // The balance has only grown: every deduction reads it first.
            let paid = after.unwrap_or_default().saturating_sub(before.unwrap_or_default());
            if !mutant!(PaymentLost) {
                payments.push((payee, paid));
            }
        }
        payments
    }

    /// Stops the run if the `payments` of one transaction to an account add up to more than
    /// [`MAX_BLIND_CREDIT`].
    pub(in crate::evm::exec) fn check_payments(&mut self, payments: &Payments) {
        if payments.iter().any(|(_, paid)| *paid > MAX_BLIND_CREDIT) {
            self.inner.stop_on_mismatch(Origin::Base);
        }
    }

    /// Loads a payee for a transaction that only pays it or reads its code: the account before the
    /// first transaction, whatever its current balance. `None` if the account must be read.
    pub(super) fn load_unread_payee(
        &mut self,
        address: Address,
    ) -> Result<Option<AccountInfo>, ViewStopped> {
        if self.inner.is_over_final() {
            return Ok(None);
        }
        let Some(first) = self.payees.get(address) else { return Ok(None) };
        if !self.balances.may_stay_unread(address) {
            return Ok(None);
        }
        let location = EvmLocation::Balance(address);
        self.inner.store_base(&location, EvmValue::Balance(first.balance));
        let (_, from) = self.inner.read_from(&location)?;
        if from != Origin::Base {
            return Ok(None);
        }
        self.balances.insert_unread(address, first.balance, first.balance);
        Ok(first.without_code())
    }
}
