//! The choice of a strategy for the next transactions of a block.

use super::strategy::{Reason, Strategy};
use revm::context::TxEnv;

/// The strategy of the next transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::evm) struct Choice {
    pub(in crate::evm) strategy: Strategy,
    pub(in crate::evm) reason: Reason,
    /// End of the range of transactions, exclusive.
    pub(in crate::evm) end: usize,
    /// Number of workers, including the calling thread.
    pub(in crate::evm) workers: usize,
    /// Minimum number of transactions of a contiguous batch.
    pub(in crate::evm) shortest: usize,
    /// Whether all remaining transactions run sequentially, so that another worker may fold their
    /// changes.
    pub(in crate::evm) runs_to_end: bool,
    /// Strategies that are skipped because they have not paid in earlier blocks.
    pub(super) skipped: Tried,
}

impl Choice {
    /// Whether transactions wait for the conflicts that are predicted from their calls.
    pub(in crate::evm) const fn predicts(&self) -> bool {
        matches!(self.reason, Reason::Contended)
    }
}

/// Strategies that a block tries at most once: contiguous batches and predicted dependencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::evm) struct Tried {
    pub(super) contiguous: bool,
    pub(super) predictions: bool,
}

/// The transactions of a block from `first` on.
#[derive(Clone, Copy, Debug)]
pub(in crate::evm) struct Remaining<'a> {
    pub(in crate::evm) all: &'a [TxEnv],
    pub(in crate::evm) first: usize,
}

impl Remaining<'_> {
    pub(super) fn transactions(&self) -> &[TxEnv] {
        self.all.get(self.first..).unwrap_or_default()
    }

    pub(super) const fn count(&self) -> usize {
        self.all.len().saturating_sub(self.first)
    }

    pub(super) const fn choice(&self, strategy: Strategy, reason: Reason) -> Choice {
        Choice {
            strategy,
            reason,
            end: self.all.len(),
            workers: 1,
            shortest: 0,
            runs_to_end: false,
            skipped: Tried { contiguous: false, predictions: false },
        }
    }

    /// Chooses to run all remaining transactions sequentially.
    pub(super) const fn sequential(&self, reason: Reason) -> Choice {
        Choice { runs_to_end: true, ..self.choice(Strategy::Sequential, reason) }
    }

    /// Limits the choice to at most `length` transactions.
    pub(super) fn up_to(&self, length: usize, choice: Choice) -> Choice {
        Choice { end: choice.end.min(self.first.saturating_add(length)), ..choice }
    }
}
