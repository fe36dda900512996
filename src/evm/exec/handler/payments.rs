//! Balance reads of the transaction itself, and surcharges.

use super::BlockHandler;
use crate::evm::exec::context::EvmContext;
use crate::evm::exec::stopped::ViewStopped;
use alloy_primitives::TxKind;
use revm::DatabaseRef;
use revm::context::result::{EVMError, InvalidTransaction};
use revm::context::{Cfg, Transaction};
use revm::context_interface::JournalTr;
use revm::context_interface::either::Either;
use revm::context_interface::journaled_state::account::JournaledAccountTr;

impl<'a, D: DatabaseRef> BlockHandler<'_, 'a, D> {
    /// Announces the balances that the transaction itself reads or changes.
    pub(super) fn announce_balance_reads(&self, context: &mut EvmContext<'a, D>) {
        let tx = context.tx;
        let view = context.journaled_state.db_mut();
        view.mark_balance_read(tx.caller());
        if let TxKind::Call(to) = tx.kind()
            && !tx.value().is_zero()
        {
            view.announce_payment(to, tx.value());
        }
        // Any account may have signed an authorization whose signer is not recovered yet.
        for authorization in &tx.authorization_list {
            view.mark_payees_read(|payee| match authorization {
                Either::Left(_) => true,
                Either::Right(recovered) => recovered.authority() == Some(payee),
            });
        }
    }

    /// Deducts the surcharge, if any, from the sender.
    pub(super) fn deduct_surcharge(
        &self,
        context: &mut EvmContext<'a, D>,
    ) -> Result<(), EVMError<ViewStopped>> {
        let Some(surcharge) = &self.block_context.extensions.surcharge else { return Ok(()) };
        let amount = surcharge.amount(context.tx);
        if amount.is_zero() || context.cfg.is_fee_charge_disabled() {
            return Ok(());
        }
        let mut sender = context.journaled_state.load_account_mut(context.tx.caller())?.data;
        if !sender.decr_balance(amount) {
            let balance = Box::new(*sender.balance());
            return Err(
                InvalidTransaction::LackOfFundForMaxFee { fee: Box::new(amount), balance }.into()
            );
        }
        self.surcharge.set(Some(amount));
        Ok(())
    }

    /// Credits the surcharge to its receiver, unless it is a blind credit.
    pub(super) fn credit_surcharge(
        &self,
        context: &mut EvmContext<'a, D>,
    ) -> Result<(), EVMError<ViewStopped>> {
        let Some(surcharge) = &self.block_context.extensions.surcharge else { return Ok(()) };
        let receiver = surcharge.receiver();
        let loaded = context.journaled_state.evm_state().contains_key(&receiver)
            && !mutant!(SurchargeAlwaysDeferred);
        if (!self.block_context.has_blind_surcharges || loaded)
            && let Some(amount) = self.surcharge.take()
        {
            context.journaled_state.db_mut().mark_balance_read(receiver);
            context.journaled_state.load_account_mut(receiver)?.incr_balance(amount);
        }
        Ok(())
    }
}
