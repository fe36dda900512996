//! Builds outcomes, receipts and bundle of committed transactions while others still run.

use super::block_effects::BlockEffects;
use super::builder::BundleBuilder;
use crate::evm::block::receipts::OutcomesBuilder;
use crate::evm::exec::tx_output::TxOutcome;

/// Outcomes and receipts of the first transactions of a block, and their bundle unless it is built
/// at the end of the block.
#[derive(Default)]
pub(in crate::evm) struct OutputBuilder {
    pub(in crate::evm) bundle: Option<BundleBuilder>,
    pub(in crate::evm) split: OutcomesBuilder,
    /// Number of committed transactions when the last bundle was begun.
    begun_at: usize,
}

impl core::fmt::Debug for OutputBuilder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OutputBuilder").field("bundled", &self.bundled()).finish_non_exhaustive()
    }
}

impl OutputBuilder {
    /// Starts a bundle from the pre-block changes and the `outcomes` committed so far, with room
    /// for `transactions` transactions.
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
        self.bundle = Some(bundle);
    }

    /// Whether a bundle may be begun after `transactions` have committed. Each start processes all
    /// of them again, so a start must come at twice the length of the last one to keep the total
    /// linear.
    pub(in crate::evm) const fn may_begin(&self, transactions: usize) -> bool {
        self.bundle.is_none() && transactions >= 2 * self.begun_at
    }

    /// Drops the bundle; it is built at the end of the block.
    pub(in crate::evm) fn give_up_bundle(&mut self) {
        self.bundle = None;
    }

    /// Number of transactions in the bundle, if there is one.
    pub(in crate::evm) fn bundled(&self) -> Option<usize> {
        self.bundle.as_ref().map(BundleBuilder::transactions)
    }

    /// Adds the transactions of `outcomes` that the bundle does not contain yet.
    pub(in crate::evm) fn bundle_up_to(&mut self, outcomes: &[TxOutcome]) {
        if let Some(bundle) = &mut self.bundle {
            bundle.extend(outcomes.get(bundle.transactions()..).unwrap_or_default());
        }
    }

    /// Adds the next transactions: `outcomes` without results, and the results in `split`. If the
    /// bundle lacks earlier transactions, it does not take these; a later call of `bundle_up_to`
    /// adds all.
    pub(in crate::evm) fn append(&mut self, outcomes: &[TxOutcome], split: OutcomesBuilder) {
        let is_next = |bundle: &&mut BundleBuilder| bundle.transactions() == split.first();
        if let Some(bundle) = self.bundle.as_mut().filter(is_next) {
            bundle.extend(outcomes);
        }
        self.split.append(split);
    }

    /// Moves out the outcomes and receipts, so that another builder can extend and return them.
    pub(in crate::evm) fn take_split(&mut self) -> OutcomesBuilder {
        core::mem::take(&mut self.split)
    }

    pub(in crate::evm) fn into_bundle(self) -> Option<BundleBuilder> {
        self.bundle
    }
}
