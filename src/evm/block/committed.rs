//! A committed transaction, as the caller hears of it.

use crate::evm::exec::change::AccountChange;
use crate::evm::exec::rejection::Rejection;
use crate::evm::exec::tx_output::TxOutput;
use crate::ids::TxIndex;
use alloy_primitives::U256;
use core::ops::ControlFlow;
use revm::context::result::ExecutionResult;
use std::sync::Arc;

/// Called on the caller's thread after each commit.
pub(crate) type OnCommit<'f> = &'f mut dyn FnMut(Committed) -> ControlFlow<()>;

/// Lends `on_commit` to a part of the block.
pub(in crate::evm) fn lend<'s>(on_commit: &'s mut Option<OnCommit<'_>>) -> Option<OnCommit<'s>> {
    match on_commit {
        Some(on_commit) => Some(&mut **on_commit),
        None => None,
    }
}

/// A committed transaction, as the caller hears of it while later ones still run.
///
/// It is final within this block. In validate mode a later transaction may still make
/// the whole block invalid.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Which transaction.
    pub tx: TxIndex,
    /// Gas used by the block up to and including it, after refunds.
    pub cumulative_gas_used: u64,
    pub(in crate::evm) outcome: Result<Arc<TxOutput>, Rejection>,
}

impl Committed {
    /// Result of its execution; `None` if it was skipped.
    #[must_use]
    pub fn result(&self) -> Option<&ExecutionResult> {
        self.outcome.as_ref().ok().map(|output| &output.result)
    }

    /// Why it was skipped (build mode only).
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        self.outcome.as_ref().err()
    }

    /// Accounts that it touched, with what it changed; empty if it was skipped. What the
    /// beneficiary gets may be apart: see [`reward`](Self::reward).
    #[must_use]
    pub fn changes(&self) -> &[AccountChange] {
        self.outcome.as_ref().map_or(&[], |output| &output.changes)
    }

    /// Wei that the receiver of surcharges gets on top of [`changes`](Self::changes), if it is not
    /// in there. See [`Surcharge`](crate::Surcharge).
    #[must_use]
    pub fn surcharge(&self) -> Option<U256> {
        self.outcome.as_ref().ok()?.deferred.surcharges.first().copied()
    }

    /// Wei that the beneficiary gets on top of [`changes`](Self::changes), if that is not in there:
    /// the reward, and what the transaction has paid to it beside the fees, as one sum. So it is
    /// not the revenue from fees. The account counts as touched even if this is zero.
    #[must_use]
    pub fn reward(&self) -> Option<U256> {
        self.outcome.as_ref().ok()?.deferred.rewards.first().copied()
    }
}
