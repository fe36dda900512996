//! What is made of committed transactions while others run.

use super::assembly::GrowingBundle;
use super::block::Block;
use super::bundle::BlockEffects;
use super::error::Rejection;
use super::ledger::EvmLedger;
use super::machine::TxOutput;
use super::mutants::EvmMutant;
use super::receipts::Splitting;
use std::sync::Arc;

/// Outcomes and receipts of the first transactions of a block, and the bundle of what they have left, unless
/// that is made when all have run.
#[derive(Default)]
pub(super) struct Growing {
    bundle: Option<GrowingBundle>,
    split: Splitting,
    mutant: EvmMutant,
}

impl Growing {
    /// Begins with a bundle: of what precedes the transactions of a block, of which there are so many, and of those that
    /// it has already, which are the first of `outcomes`.
    pub(super) fn begin_bundle(
        &mut self,
        effects: &BlockEffects,
        transactions: usize,
        reverts: bool,
        outcomes: &[Result<Arc<TxOutput>, Rejection>],
    ) {
        let mut bundle = GrowingBundle::new(effects, transactions, reverts);
        if self.split.len() == 0 {
            self.split = Splitting::with_capacity(transactions);
        }
        let Some(ran) = outcomes.get(..self.split.len()) else {
            unreachable!("results were split off outcomes that are there")
        };
        bundle.extend(ran);
        (self.bundle, self.mutant) = (Some(bundle), effects.mutant);
    }

    pub(super) const fn has_bundle(&self) -> bool {
        self.bundle.is_some()
    }

    /// The bundle is made when all have run.
    pub(super) fn give_up_bundle(&mut self) {
        self.bundle = None;
    }

    /// How many transactions it has.
    pub(super) const fn transactions(&self) -> usize {
        self.split.len()
    }

    /// Adds what became of the next transactions of `block`.
    pub(super) fn extend(&mut self, block: &Block, results: Vec<Result<Arc<TxOutput>, Rejection>>) {
        let Self { bundle, split, mutant } = self;
        if let Some(bundle) = bundle {
            bundle.extend(&results);
        }
        let transactions = block.transactions.iter().skip(split.len());
        transactions.zip(results).for_each(|(tx, result)| split.add(tx, result, *mutant));
    }

    /// Adds what it does not have of `ledger`.
    pub(super) fn catch_up(&mut self, ledger: &mut EvmLedger) {
        if let Some(bundle) = &mut self.bundle {
            bundle.extend(ledger.outcomes.get(self.split.len()..).unwrap_or_default());
        }
        ledger.split_into(&mut self.split);
    }

    /// Adds the next transactions: what became of them, but for the results, which are in `split`.
    pub(super) fn append(
        &mut self,
        outcomes: &[Result<Arc<TxOutput>, Rejection>],
        split: Splitting,
    ) {
        if let Some(bundle) = &mut self.bundle {
            bundle.extend(outcomes);
        }
        self.split.append(split);
    }

    /// The outcomes and receipts. They are made of what comes later somewhere else.
    pub(super) fn take_split(&mut self) -> Splitting {
        core::mem::take(&mut self.split)
    }

    pub(super) fn into_bundle(self) -> Option<GrowingBundle> {
        self.bundle
    }
}
