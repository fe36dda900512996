//! How the next transactions of a block run.

use super::strategy::{Reason, Strategy};
use revm::context::TxEnv;

/// How the next transactions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::evm) struct Choice {
    pub(in crate::evm) strategy: Strategy,
    pub(in crate::evm) reason: Reason,
    /// The first transaction that is not among them.
    pub(in crate::evm) end: usize,
    /// Workers that take part, the caller included.
    pub(in crate::evm) workers: usize,
    /// Transactions of the shortest batch of neighbours.
    pub(in crate::evm) shortest: usize,
    /// The rest of the block runs in order, and another worker may fold what it leaves.
    pub(in crate::evm) is_rest: bool,
    /// What is not tried because it has not paid in earlier blocks.
    pub(super) untried: Tried,
}

/// Strategies that a block is tried with once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::evm) struct Tried {
    pub(super) neighbours: bool,
    pub(super) groups: bool,
}

/// A block whose first transactions have run.
#[derive(Clone, Copy, Debug)]
pub(in crate::evm) struct Rest<'a> {
    pub(in crate::evm) all: &'a [TxEnv],
    pub(in crate::evm) first: usize,
}

impl Rest<'_> {
    pub(super) fn transactions(&self) -> &[TxEnv] {
        self.all.get(self.first..).unwrap_or_default()
    }

    pub(super) const fn left(&self) -> usize {
        self.all.len().saturating_sub(self.first)
    }

    pub(super) const fn choice(&self, strategy: Strategy, reason: Reason) -> Choice {
        let (end, untried) = (self.all.len(), Tried { neighbours: false, groups: false });
        let (workers, shortest, is_rest) = (1, 0, false);
        Choice { strategy, reason, end, workers, shortest, is_rest, untried }
    }

    /// All that is left runs in order.
    pub(super) const fn in_order(&self, reason: Reason) -> Choice {
        Choice { is_rest: true, ..self.choice(Strategy::InOrder, reason) }
    }

    /// The choice for no more than `length` transactions.
    pub(super) fn up_to(&self, length: usize, choice: Choice) -> Choice {
        Choice { end: choice.end.min(self.first.saturating_add(length)), ..choice }
    }
}
