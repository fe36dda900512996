//! How a block would run, before it runs.

use super::exec::input::Block;
use super::exec::payees::Payees;
use super::plan::chooser::{StrategyChooser, Totals};
use super::plan::features::{Features, ListUse, Setting};
use super::plan::longest::LongRuns;
use super::plan::progress::SegmentOutcome;
use super::worker_pool::WorkerPool;
use crate::config::Config;
use revm::primitives::hardfork::SpecId;

/// Returns whether sharing the transactions of `block` cannot pay for a caller that commits each of
/// them to its own database. If so, the pool's back-offs advance as if the block had run
/// sequentially.
///
/// Committing a short transaction takes such a caller as long as running it, so short transactions
/// do not run in batches either.
pub(crate) fn runs_sequentially<'env>(
    worker_pool: &mut impl WorkerPool<'env>,
    block: &Block,
    config: &Config,
) -> bool {
    let setting = Setting {
        workers: worker_pool.workers(),
        is_wide: worker_pool.is_wide(),
        shares_journals: config.engine.share_journals
            && block.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON),
        list: ListUse::Nothing,
        is_pool: false,
    };
    let features = Features::of(block, &Payees::default(), config, setting);
    let mut chooser = StrategyChooser::new(features);
    let choice = chooser.choose_first(worker_pool.feedback(), block);
    if !choice.runs_to_end {
        return chooser.features.sequential_reason().is_some();
    }
    let all = block.transactions.len();
    let outcome = SegmentOutcome { first: 0, next: all, all, fell_back: false, has_failed: false };
    let (long_runs, totals) = (LongRuns::default(), Totals::default());
    chooser.learn(worker_pool.feedback(), block, &choice, outcome, long_runs, totals);
    true
}
