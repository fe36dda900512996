//! How the next transactions of a block run.

use super::strategy::{Reason, Strategy};

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
