//! Hands what transactions in order have left to the worker that makes the bundle.

use crate::evm::exec::tx_output::{TxOutcome, TxOutput};
use crate::sync::Sender;
use std::sync::Arc;

/// What the next transactions have left.
#[derive(Debug)]
pub(in crate::evm) struct Fed {
    /// With the places of those who have left anything.
    pub(in crate::evm) left: Vec<(usize, Arc<TxOutput>)>,
    /// The transaction after the last one.
    pub(in crate::evm) end: usize,
}

/// Hands over what is settled.
#[derive(Debug)]
pub(in crate::evm) struct Feed {
    pub(in crate::evm) batches: Sender<Fed>,
    /// Everything below was handed over.
    pub(in crate::evm) end: usize,
    /// Transactions that are handed over at once.
    pub(in crate::evm) batch: usize,
}

impl Feed {
    /// Hands over what has become of transactions, if there are enough of them. Nothing that they
    /// have changed may be missing.
    pub(in crate::evm) fn send(&mut self, outcomes: &[TxOutcome]) {
        let end = outcomes.len();
        if end >= self.end.saturating_add(self.batch) {
            let new = (self.end..).zip(outcomes.iter().skip(self.end));
            let left = |(place, outcome): (usize, &TxOutcome)| {
                Some((place, outcome.as_ref().ok()?.clone()?))
            };
            let left = new.filter_map(left).collect();
            self.end = end;
            // There is room for all of them. Who is not there any more has panicked, and that is
            // found out.
            let _ = self.batches.try_send(Fed { left, end });
        }
    }
}
