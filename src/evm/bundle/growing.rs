//! What is made of committed transactions while others run, or at once.

use super::assembly::GrowingBundle;
use super::block_effects::BlockEffects;
use crate::evm::block::receipts::Splitting;
use crate::evm::exec::input::Block;
use crate::evm::exec::tx_output::Fate;
use crate::evm::mutants::EvmMutant;

/// Outcomes and receipts of the first transactions of a block, and the bundle of what they have
/// left, unless that is made when all have run.
#[derive(Default)]
pub(in crate::evm) struct Growing {
    pub(in crate::evm) bundle: Option<GrowingBundle>,
    pub(in crate::evm) split: Splitting,
    mutant: EvmMutant,
}

impl core::fmt::Debug for Growing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Growing").field("bundled", &self.bundled()).finish_non_exhaustive()
    }
}

impl Growing {
    /// Starts the bundle from the pre-block changes and the `outcomes` committed so far; reserves
    /// room for `transactions`.
    pub(in crate::evm) fn begin_bundle(
        &mut self,
        effects: &BlockEffects,
        transactions: usize,
        reverts: bool,
        outcomes: &[Fate],
    ) {
        let mut bundle = GrowingBundle::new(effects, transactions, reverts);
        if self.split.end() == 0 {
            self.split = Splitting::with_capacity(0, transactions);
        }
        bundle.extend(outcomes);
        (self.bundle, self.mutant) = (Some(bundle), effects.mutant);
    }

    pub(in crate::evm) const fn has_bundle(&self) -> bool {
        self.bundle.is_some()
    }

    /// The bundle is made when all have run.
    pub(in crate::evm) fn give_up_bundle(&mut self) {
        self.bundle = None;
    }

    /// How many transactions are in the bundle, if it has one.
    pub(in crate::evm) fn bundled(&self) -> Option<usize> {
        self.bundle.as_ref().map(GrowingBundle::transactions)
    }

    /// Adds what became of the next transactions of `block`: those that are not in the bundle.
    /// Results that it has need not be there.
    pub(in crate::evm) fn extend(&mut self, block: &Block, results: Vec<Fate>) {
        let Self { bundle, split, mutant } = self;
        let mut first = split.end();
        if let Some(bundle) = bundle {
            first = bundle.transactions();
            bundle.extend(&results);
        }
        debug_assert!(first <= split.end(), "whatever is in the bundle has its result");
        let transactions = block.transactions.iter().skip(split.end());
        let results = results.into_iter().skip(split.end().saturating_sub(first));
        transactions.zip(results).for_each(|(tx, result)| split.add(tx, result, *mutant));
    }

    /// Puts into the bundle what became of those of `outcomes` that are not there.
    pub(in crate::evm) fn bundle_up_to(&mut self, outcomes: &[Fate]) {
        if let Some(bundle) = &mut self.bundle {
            bundle.extend(outcomes.get(bundle.transactions()..).unwrap_or_default());
        }
    }

    /// Adds the next transactions: what became of them, but for the results, which are in `split`.
    /// If others before them are not in the bundle yet, these are added with them.
    pub(in crate::evm) fn append(&mut self, outcomes: &[Fate], split: Splitting) {
        let is_next = |bundle: &&mut GrowingBundle| bundle.transactions() == split.first();
        if let Some(bundle) = self.bundle.as_mut().filter(is_next) {
            bundle.extend(outcomes);
        }
        self.split.append(split);
    }

    /// The outcomes and receipts: what comes next is added to them somewhere else, and given back.
    pub(in crate::evm) fn take_split(&mut self) -> Splitting {
        core::mem::take(&mut self.split)
    }

    pub(in crate::evm) fn into_bundle(self) -> Option<GrowingBundle> {
        self.bundle
    }
}
