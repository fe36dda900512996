//! Keeps the outcomes of a toy block and its room.

use super::program::{ToyOutput, ToyRejection};
use crate::ids::TxIndex;
use crate::worker::Ledger;
use std::sync::Arc;

/// What became of a toy transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToyOutcome {
    /// It ran.
    Executed(ToyOutput),
    /// It is left out.
    Skipped(ToyRejection),
}

/// The outcomes, in the order in which they came.
#[derive(Debug)]
pub struct ToyLedger {
    limits: Arc<[u64]>,
    left: u64,
    outcomes: Vec<(TxIndex, ToyOutcome)>,
}

impl ToyLedger {
    /// An empty ledger for transactions that ask for `limits` of `room`.
    #[must_use]
    pub const fn new(limits: Arc<[u64]>, room: u64) -> Self {
        Self { limits, left: room, outcomes: Vec::new() }
    }

    /// The outcomes so far, each with the transaction that it was said to be of.
    #[must_use]
    pub fn outcomes(&self) -> &[(TxIndex, ToyOutcome)] {
        &self.outcomes
    }

    fn limit(&self, tx: TxIndex) -> u64 {
        self.limits.get(tx.position()).copied().unwrap_or(0)
    }
}

impl Ledger for ToyLedger {
    type Output = ToyOutput;
    type Rejection = ToyRejection;

    fn admit(&mut self, tx: TxIndex) -> Result<(), ToyRejection> {
        let fits = self.limit(tx) <= self.left;
        if fits { Ok(()) } else { Err(ToyRejection::NoRoom { left: self.left }) }
    }

    fn commit(&mut self, tx: TxIndex, output: ToyOutput) {
        self.left = self.left.saturating_sub(self.limit(tx));
        self.outcomes.push((tx, ToyOutcome::Executed(output)));
    }

    fn skip(&mut self, tx: TxIndex, reason: ToyRejection) {
        self.outcomes.push((tx, ToyOutcome::Skipped(reason)));
    }
}
