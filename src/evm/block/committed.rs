//! Committed transactions, as streamed to the caller.

use super::commit::{account_of, add_reward};
use crate::evm::exec::block_context::BlockContext;
use crate::evm::exec::change::AccountChange;
use crate::evm::exec::rejection::Rejection;
use crate::evm::exec::tx_output::TxOutput;
use crate::ids::TxIndex;
use alloy_primitives::{Address, U256};
use core::ops::ControlFlow;
use revm::context::result::ExecutionResult;
use revm::primitives::hardfork::SpecId;
use revm::state::{AccountInfo, EvmState};
use std::sync::Arc;

/// Callback that is called on the caller's thread after each commit.
pub(crate) type OnCommit<'f> = &'f mut dyn FnMut(Committed) -> ControlFlow<()>;

/// Reborrows `on_commit` for one part of the block.
pub(in crate::evm) fn reborrow<'s>(
    on_commit: &'s mut Option<OnCommit<'_>>,
) -> Option<OnCommit<'s>> {
    match on_commit {
        Some(on_commit) => Some(&mut **on_commit),
        None => None,
    }
}

/// A committed transaction, streamed to the caller while later transactions still run.
///
/// A commit is final within its block. If the block is not being built, a later transaction may
/// still make the whole block invalid.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The transaction's index in the block.
    pub tx: TxIndex,
    /// Gas used by the block up to and including this transaction, after refunds.
    pub cumulative_gas_used: u64,
    pub(in crate::evm) outcome: Result<Arc<TxOutput>, Rejection>,
    pub(in crate::evm) receivers: FeeReceivers,
}

/// Receivers of the fees of a block.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::evm) struct FeeReceivers {
    beneficiary: Address,
    surcharged: Option<Address>,
    spec: SpecId,
}

impl FeeReceivers {
    pub(in crate::evm) fn of(context: &BlockContext) -> Self {
        let surcharge = context.extensions.surcharge.as_ref();
        Self {
            beneficiary: context.block.env.beneficiary,
            surcharged: surcharge.map(|surcharge| surcharge.receiver()),
            spec: context.block.cfg.spec,
        }
    }
}

impl Committed {
    /// Result of the execution; `None` if the transaction was skipped.
    #[must_use]
    pub fn result(&self) -> Option<&ExecutionResult> {
        self.outcome.as_ref().ok().map(|output| &output.result)
    }

    /// Why the transaction was skipped, in a block that was built.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        self.outcome.as_ref().err()
    }

    /// Accounts that the transaction touched, with their changes; empty if it was skipped. The
    /// beneficiary's credit may be separate: see [`reward`](Self::reward).
    #[must_use]
    pub fn changes(&self) -> &[AccountChange] {
        self.outcome.as_ref().map_or(&[], |output| &output.changes)
    }

    /// Wei credited to the surcharge receiver on top of [`changes`](Self::changes); `None` if
    /// `changes` contains it. See [`Surcharge`](crate::Surcharge).
    #[must_use]
    pub fn surcharge(&self) -> Option<U256> {
        self.outcome.as_ref().ok()?.credits.surcharges.first().copied()
    }

    /// Wei credited to the beneficiary on top of [`changes`](Self::changes); `None` if `changes`
    /// contains it. The amount is the sum of the fee reward and any other payment of the
    /// transaction to the beneficiary, so it is not the fee revenue. The account counts as touched
    /// even if the amount is zero.
    #[must_use]
    pub fn reward(&self) -> Option<U256> {
        self.outcome.as_ref().ok()?.credits.rewards.first().copied()
    }

    /// Returns all state changes of the transaction: [`changes`](Self::changes), with
    /// [`reward`](Self::reward) and [`surcharge`](Self::surcharge) as changes of their receivers.
    /// The changes are complete, for instance to compute a state root, and in the form that revm's
    /// `DatabaseCommit::commit` takes.
    ///
    /// `before` reads an account as it was before this transaction. It is called for at most two
    /// accounts, the receivers of the fees, and only if they are not in `changes`. An account has
    /// its code if the transaction deployed it.
    ///
    /// # Errors
    /// Returns any error of `before`.
    pub fn state<E>(
        &self,
        mut before: impl FnMut(Address) -> Result<Option<AccountInfo>, E>,
    ) -> Result<EvmState, E> {
        let mut state = self.state_without_fees();
        let FeeReceivers { beneficiary, surcharged, spec } = self.receivers;
        for (receiver, amount) in
            [(surcharged, self.surcharge()), (Some(beneficiary), self.reward())]
        {
            if let (Some(receiver), Some(amount)) = (receiver, amount) {
                add_reward(&mut state, receiver, amount, before(receiver)?, spec);
            }
        }
        Ok(state)
    }

    /// Returns the state changes of the transaction without separate fees.
    pub(in crate::evm) fn state_without_fees(&self) -> EvmState {
        self.changes().iter().map(|change| (change.address, account_of(change))).collect()
    }
}
