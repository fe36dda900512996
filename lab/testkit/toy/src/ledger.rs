//! Keeps the outcomes of a toy block and its room.

use super::location::ToyLocation;
use super::program::{ToyOutput, ToyRejection};
use braid_evm::ids::{Chunk, TxIndex};
use braid_evm::mv::Entry;
use braid_evm::worker::Ledger;
use std::sync::Arc;

/// Entries of one transaction.
pub type ToyEntries = Vec<(ToyLocation, Entry<ToyLocation>)>;

/// What neighbours in a private batch leave: the outcome and the entries of each.
pub type ToyGroup = Vec<(ToyOutcome, ToyEntries)>;

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
    room: u64,
    outcomes: Vec<(TxIndex, ToyOutcome)>,
    /// Entries of transactions that were committed by group.
    left: Vec<(TxIndex, ToyEntries)>,
}

impl ToyLedger {
    /// An empty ledger for transactions that ask for `limits` of `room`.
    #[must_use]
    pub const fn new(limits: Arc<[u64]>, room: u64) -> Self {
        Self { limits, room, outcomes: Vec::new(), left: Vec::new() }
    }

    /// The outcomes so far, each with the transaction that it was said to be of.
    #[must_use]
    pub fn outcomes(&self) -> &[(TxIndex, ToyOutcome)] {
        &self.outcomes
    }

    /// The entries of those transactions from `first` on that were committed by group.
    pub(super) fn left_from(&self, first: TxIndex) -> impl Iterator<Item = &(TxIndex, ToyEntries)> {
        self.left.iter().filter(move |(tx, _)| *tx >= first)
    }

    fn limit(&self, tx: TxIndex) -> u64 {
        self.limits.get(tx.position()).copied().unwrap_or(0)
    }
}

impl Ledger for ToyLedger {
    type Output = ToyOutput;
    type Rejection = ToyRejection;
    type Group = ToyGroup;

    fn admit(&mut self, tx: TxIndex) -> Result<(), ToyRejection> {
        let fits = self.limit(tx) <= self.room;
        if fits { Ok(()) } else { Err(ToyRejection::NoRoom { left: self.room }) }
    }

    fn commit(&mut self, tx: TxIndex, output: ToyOutput) {
        self.room = self.room.saturating_sub(self.limit(tx));
        self.outcomes.push((tx, ToyOutcome::Executed(output)));
    }

    fn skip(&mut self, tx: TxIndex, reason: ToyRejection) {
        self.outcomes.push((tx, ToyOutcome::Skipped(reason)));
    }

    fn is_unprofitable(&self) -> bool {
        false
    }

    fn admits(&mut self, txs: Chunk, _: &ToyGroup) -> bool {
        let mut room = Some(self.room);
        txs.indices().for_each(|tx| room = room.and_then(|room| room.checked_sub(self.limit(tx))));
        room.is_some()
    }

    fn commit_group(&mut self, txs: Chunk, group: ToyGroup) {
        for (tx, (outcome, writes)) in txs.indices().zip(group) {
            match outcome {
                ToyOutcome::Executed(output) => self.commit(tx, output),
                ToyOutcome::Skipped(reason) => self.skip(tx, reason),
            }
            self.left.push((tx, writes));
        }
    }
}
