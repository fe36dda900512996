//! Sends the changes of sequential transactions to the worker that builds the bundle.

use crate::evm::exec::tx_output::{TxOutcome, TxOutput};
use crate::sync::Sender;
use std::sync::Arc;

/// Changes of the next transactions, as one message.
#[derive(Debug)]
pub(in crate::evm) struct BundleBatch {
    /// Outputs with the indices of their transactions; transactions without changes have none.
    pub(in crate::evm) outputs: Vec<(usize, Arc<TxOutput>)>,
    /// Index after the last transaction.
    pub(in crate::evm) end: usize,
}

/// Sender of bundle batches, held by the ledger.
#[derive(Debug)]
pub(in crate::evm) struct BundleFeed {
    pub(in crate::evm) batches: Sender<BundleBatch>,
    /// Transactions below this index were sent.
    pub(in crate::evm) end: usize,
    /// Minimum number of transactions per message.
    pub(in crate::evm) batch: usize,
}

impl BundleFeed {
    /// Sends the new outcomes if there are enough. Their changes must be complete.
    pub(in crate::evm) fn send(&mut self, outcomes: &[TxOutcome]) {
        let end = outcomes.len();
        if end >= self.end.saturating_add(self.batch) {
            let new = (self.end..).zip(outcomes.iter().skip(self.end));
            let outputs = |(place, outcome): (usize, &TxOutcome)| {
                Some((place, outcome.as_ref().ok()?.clone()?))
            };
            let outputs = new.filter_map(outputs).collect();
            self.end = end;
            // The channel has room for every batch. If the receiver is gone, its worker has
            // panicked, which is detected elsewhere.
            let _ = self.batches.try_send(BundleBatch { outputs, end });
        }
    }
}
