//! Hands the changes of sequential transactions to the worker that builds the bundle.

use crate::evm::exec::tx_output::{TxOutcome, TxOutput};
use crate::sync::Sender;
use std::sync::Arc;

/// Changes of the next transactions.
#[derive(Debug)]
pub(in crate::evm) struct Fed {
    /// Outputs with their indices; transactions without changes are left out.
    pub(in crate::evm) left: Vec<(usize, Arc<TxOutput>)>,
    /// Index after the last transaction.
    pub(in crate::evm) end: usize,
}

/// Sending side, held by the ledger.
#[derive(Debug)]
pub(in crate::evm) struct Feed {
    pub(in crate::evm) batches: Sender<Fed>,
    /// Transactions below this index were sent.
    pub(in crate::evm) end: usize,
    /// Minimum number of transactions per message.
    pub(in crate::evm) batch: usize,
}

impl Feed {
    /// Sends the new outcomes, once there are enough of them. Their changes must be complete.
    pub(in crate::evm) fn send(&mut self, outcomes: &[TxOutcome]) {
        let end = outcomes.len();
        if end >= self.end.saturating_add(self.batch) {
            let new = (self.end..).zip(outcomes.iter().skip(self.end));
            let left = |(place, outcome): (usize, &TxOutcome)| {
                Some((place, outcome.as_ref().ok()?.clone()?))
            };
            let left = new.filter_map(left).collect();
            self.end = end;
            // The channel has room for every batch. If the receiver is gone its worker has
            // panicked, which is detected elsewhere.
            let _ = self.batches.try_send(Fed { left, end });
        }
    }
}
