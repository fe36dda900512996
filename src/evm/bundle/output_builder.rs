//! What is made of committed transactions while others run, or at once.

use super::block_effects::BlockEffects;
use super::builder::BundleBuilder;
use crate::evm::block::receipts::OutcomesBuilder;
use crate::evm::exec::input::Block;
use crate::evm::exec::tx_output::TxOutcome;
use crate::evm::mutants::{EvmMutant, is_evm_mutant};

/// Outcomes and receipts of the first transactions of a block, and the bundle of what they have
/// left, unless that is made when all have run.
#[derive(Default)]
pub(in crate::evm) struct OutputBuilder {
    pub(in crate::evm) bundle: Option<BundleBuilder>,
    pub(in crate::evm) split: OutcomesBuilder,
    /// Transactions that were committed when a bundle was begun last.
    begun_at: usize,
    mutant: EvmMutant,
}

impl core::fmt::Debug for OutputBuilder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OutputBuilder").field("bundled", &self.bundled()).finish_non_exhaustive()
    }
}

impl OutputBuilder {
    /// Starts the bundle from the pre-block changes and the `outcomes` committed so far; reserves
    /// room for `transactions`.
    pub(in crate::evm) fn begin_bundle(
        &mut self,
        effects: &BlockEffects,
        transactions: usize,
        reverts: bool,
        outcomes: &[TxOutcome],
    ) {
        let mut bundle = BundleBuilder::new(effects, transactions, reverts);
        if self.split.end() == 0 {
            self.split = OutcomesBuilder::with_capacity(0, transactions);
        }
        bundle.extend(outcomes);
        self.begun_at = outcomes.len();
        (self.bundle, self.mutant) = (Some(bundle), effects.mutant);
    }

    /// Whether a bundle may be begun when `transactions` have been committed. Each beginning takes up
    /// all of these: where bundles are given up again and again, only ever later beginnings keep the
    /// whole linear.
    pub(in crate::evm) const fn may_begin(&self, transactions: usize) -> bool {
        self.bundle.is_none() && transactions >= 2 * self.begun_at
    }

    /// The bundle is made when all have run.
    pub(in crate::evm) fn give_up_bundle(&mut self) {
        self.bundle = None;
    }

    /// How many transactions are in the bundle, if it has one.
    pub(in crate::evm) fn bundled(&self) -> Option<usize> {
        self.bundle.as_ref().map(BundleBuilder::transactions)
    }

    /// The first transaction that is not in the bundle, or whose result is not there. `None` if
    /// there is no bundle.
    pub(in crate::evm) fn complete_up_to(&self) -> Option<usize> {
        self.bundled().map(|bundled| bundled.min(self.split.end()))
    }

    /// Adds what became of transactions of `block` from `first` on, if it is not there. Their
    /// results are not in `outcomes` any more then.
    pub(in crate::evm) fn extend(
        &mut self,
        block: &Block,
        first: usize,
        outcomes: &mut [TxOutcome],
    ) {
        let Self { bundle, split, mutant, .. } = self;
        if let Some(bundle) = bundle {
            let known = bundle.transactions().saturating_sub(first);
            if is_evm_mutant!(*mutant, LaneUnfolded) {
                bundle.extend_up_to(first + outcomes.len(), core::iter::empty());
            } else {
                bundle.extend(outcomes.get(known..).unwrap_or_default());
            }
        }
        let known = split.end();
        let transactions = block.transactions.iter().skip(known);
        let outcomes = outcomes.iter_mut().skip(known.saturating_sub(first));
        transactions.zip(outcomes).for_each(|(tx, outcome)| split.take(tx, outcome, *mutant));
    }

    /// Puts into the bundle what became of those of `outcomes` that are not there.
    pub(in crate::evm) fn bundle_up_to(&mut self, outcomes: &[TxOutcome]) {
        if let Some(bundle) = &mut self.bundle {
            bundle.extend(outcomes.get(bundle.transactions()..).unwrap_or_default());
        }
    }

    /// Adds the next transactions: what became of them, but for the results, which are in `split`.
    /// If others before them are not in the bundle yet, these are added with them.
    pub(in crate::evm) fn append(&mut self, outcomes: &[TxOutcome], split: OutcomesBuilder) {
        let is_next = |bundle: &&mut BundleBuilder| bundle.transactions() == split.first();
        if let Some(bundle) = self.bundle.as_mut().filter(is_next) {
            bundle.extend(outcomes);
        }
        self.split.append(split);
    }

    /// The outcomes and receipts: what comes next is added to them somewhere else, and given back.
    pub(in crate::evm) fn take_split(&mut self) -> OutcomesBuilder {
        core::mem::take(&mut self.split)
    }

    pub(in crate::evm) fn into_bundle(self) -> Option<BundleBuilder> {
        self.bundle
    }
}
