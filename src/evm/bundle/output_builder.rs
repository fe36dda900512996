//! Builds outcomes, receipts and bundle of committed transactions while later ones still run.

use super::block_effects::BlockEffects;
use super::builder::BundleBuilder;
use crate::evm::block::receipts::OutcomesBuilder;
use crate::evm::exec::tx_output::TxOutcome;

/// Outcomes and receipts of the first transactions of a block, and their bundle unless it is built
/// at the end of the block.
#[derive(Default)]
pub(in crate::evm) struct OutputBuilder {
    pub(in crate::evm) bundle: Option<BundleBuilder>,
    pub(in crate::evm) outcomes_builder: OutcomesBuilder,
    /// Number of committed transactions when the last bundle was started.
    started_at: usize,
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
        if self.outcomes_builder.end() == 0 {
            self.outcomes_builder = OutcomesBuilder::with_capacity(0, transactions);
        }
        bundle.extend(outcomes);
        self.started_at = outcomes.len();
        self.bundle = Some(bundle);
    }

    /// Whether a bundle may be started after `transactions` transactions have committed. Each start
    /// processes all of them again, so their number must double between starts to keep the total
    /// linear.
    pub(in crate::evm) const fn may_begin(&self, transactions: usize) -> bool {
        self.bundle.is_none() && transactions >= 2 * self.started_at
    }

    /// Drops the bundle, which is then built at the end of the block.
    pub(in crate::evm) fn drop_bundle(&mut self) {
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

    /// Adds the next transactions: `outcomes` without results, and the results in
    /// `outcomes_builder`. If the bundle lacks earlier transactions, these are not added to it; a
    /// later call of `bundle_up_to` adds all.
    pub(in crate::evm) fn append(
        &mut self,
        outcomes: &[TxOutcome],
        outcomes_builder: OutcomesBuilder,
    ) {
        let is_next =
            |bundle: &&mut BundleBuilder| bundle.transactions() == outcomes_builder.first();
        if let Some(bundle) = self.bundle.as_mut().filter(is_next) {
            bundle.extend(outcomes);
        }
        self.outcomes_builder.append(outcomes_builder);
    }

    /// Moves out the builder of the outcomes and receipts.
    pub(in crate::evm) fn take_outcomes_builder(&mut self) -> OutcomesBuilder {
        core::mem::take(&mut self.outcomes_builder)
    }

    pub(in crate::evm) fn into_bundle(self) -> Option<BundleBuilder> {
        self.bundle
    }
}
