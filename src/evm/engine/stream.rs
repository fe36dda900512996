//! Streams commits to the caller.

use crate::evm::block::committed::{Committed, FeeReceivers};
use crate::evm::exec::block_context::BlockContext;
use crate::evm::exec::change::{AccountChange, ChangeKind, CodeState};
use crate::evm::exec::rejection::Rejection;
use crate::evm::exec::tx_output::TxOutput;
use crate::ids::TxIndex;
use crate::sync::Sender;
use alloy_primitives::map::AddressMap;
use revm::state::AccountInfo;
use std::sync::Arc;

/// The channel to the caller, if commits are streamed.
#[derive(Debug, Default)]
pub(super) struct Stream {
    sender: Option<Sender<Committed>>,
    /// Current accounts of the payees: the stream turns each blind credit to a payee into a change.
    payees: AddressMap<AccountInfo>,
    receivers: FeeReceivers,
}

impl Stream {
    /// Creates a stream without a receiver.
    pub(super) fn new(block_context: &BlockContext) -> Self {
        let payee = |payee| Some((payee, block_context.payees.account(payee)?));
        let payees = block_context.other_payees().filter_map(payee).collect();
        let receivers = FeeReceivers::of(block_context);
        Self { sender: None, payees, receivers }
    }

    /// Sets the receiver of further commits.
    pub(super) fn set(&mut self, sender: Option<Sender<Committed>>) {
        self.sender = sender;
    }

    pub(super) const fn has_receiver(&self) -> bool {
        self.sender.is_some()
    }

    /// Sends the outcome of `tx`, which commits next.
    pub(super) fn send(
        &mut self,
        tx: TxIndex,
        cumulative_gas_used: u64,
        outcome: Result<Arc<TxOutput>, Rejection>,
    ) {
        let Some(sender) = &self.sender else { return };
        let outcome = outcome.map(|output| with_payments(&mut self.payees, output));
        let receivers = self.receivers;
        if sender.try_send(Committed { tx, cumulative_gas_used, outcome, receivers }).is_err() {
            // The caller has stopped listening.
            self.sender = None;
        }
    }
}

/// Returns `output` with its blind credits as changes of the `payees`.
fn with_payments(payees: &mut AddressMap<AccountInfo>, output: Arc<TxOutput>) -> Arc<TxOutput> {
    if payees.is_empty() {
        return output;
    }
    for change in &output.changes {
        if let Some(payee) = payees.get_mut(&change.address) {
            *payee = change.after.clone().unwrap_or_default();
        }
    }
    if output.credits.payments.is_empty() || mutant!(PaymentUntold) {
        return output;
    }
    let mut streamed = TxOutput {
        result: output.result.clone(),
        ..TxOutput::combined(output.changes.clone(), output.shard_mask, output.credits.clone())
    };
    for (address, paid) in streamed.credits.payments.drain(..) {
        let Some(payee) = payees.get_mut(&address) else { continue };
        let before = Some(payee.clone());
        // The sum does not overflow: see `MAX_BLIND_CREDIT`.
        payee.balance = payee.balance.saturating_add(paid);
        streamed.changes.push(AccountChange {
            address,
            kind: ChangeKind::Changed,
            before,
            after: Some(payee.clone()),
            slots: Vec::new(),
            code: CodeState::LoadedByTx,
            knows_balance: true,
        });
    }
    Arc::new(streamed)
}
