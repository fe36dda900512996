//! Work after the last commit, which all workers share: builds the bundle and the receipts, and
//! empties the store for the next block.

use super::block::receipts::OutcomesAndReceipts;
use super::bundle::assembly::BundleAssembly;
use super::bundle::block_effects::BlockEffects;
use super::bundle::bucket::Bucket;
use super::bundle::shares::FoldedBucket;
use super::bundle::undo::insert_slot_reverts;
use super::closing_task::{Closing, ClosingInput};
use super::exec::bundle_shards::BundleShards;
use super::exec::location::EvmLocation;
use super::worker_pool::{EmptyStore, WorkerPool};
use crate::mv::Store;
use crate::runtime::{Seat, Task};
use crate::thresholds::{CLOSING_BUCKETS_PER_WORKER, CLOSING_TXS_PER_WORKER, MIN_CLOSING_WAKE_TXS};
use crate::worker::{Interrupt, Point};
use revm::database::BundleState;
use std::sync::Arc;

/// Builds the bundle of a block, with one entry of reverts, its outcomes and its receipts.
pub(super) fn close<'env>(
    mut input: ClosingInput,
    worker_pool: &mut impl WorkerPool<'env>,
) -> (BundleState, OutcomesAndReceipts) {
    let enough = if input.is_sequential { MIN_CLOSING_WAKE_TXS } else { CLOSING_TXS_PER_WORKER };
    let transactions = input.effects.outcomes.len();
    let workers = worker_pool.workers().min(1 + transactions / CLOSING_TXS_PER_WORKER);
    if transactions < enough || workers == 1 {
        return close_sequentially(input, worker_pool);
    }
    let builder = input.builder.take();
    let mut shares = workers * CLOSING_BUCKETS_PER_WORKER;
    if builder.is_some() {
        // A bundle that has grown with the commits contains the parent and needs no buckets.
        input.parent = None;
        shares = 0;
    }
    let (task, done, folding) = Closing::new(input, shares);
    let task = Arc::new(task);
    let own = |seat: Seat<'_>| {
        let bundle = match builder {
            Some(mut builder) => {
                builder.complete(&task.effects());
                // Lets the other workers start on the receipts.
                drop(folding);
                seat.yield_at(Point::Fold);
                builder.finish()
            }
            None => task.close(seat, &done, folding),
        };
        // The caller does all parts that no other worker has started.
        task.build_receipts();
        task.join_reverts();
        task.empty_store();
        task.drop_spent();
        bundle
    };
    let shared: Arc<dyn Task + 'env> = task.clone();
    let mut bundle = worker_pool.run_on(workers, &shared, own);
    // Reverts that were added while another worker joined the others.
    let mut joined = task.joined.lock();
    task.join_into(&mut joined);
    let reverts = core::mem::take(&mut *joined);
    if let Some(last) = bundle.reverts.last_mut().filter(|_| !reverts.is_empty()) {
        *last = reverts;
    }
    let (undone_separately, undone) = core::mem::take(&mut *task.undone_separately.lock());
    if !mutant!(UndoneSlotsLost) {
        insert_slot_reverts(&mut bundle, undone_separately, undone);
    }
    if let Some(store) = task.emptied.lock().take() {
        worker_pool.keep_store(EmptyStore(store));
    }
    (bundle, task.take_receipts())
}

/// Same as [`close`] on the calling thread, for blocks that are too short to share.
fn close_sequentially<'env>(
    input: ClosingInput,
    worker_pool: &mut impl WorkerPool<'env>,
) -> (BundleState, OutcomesAndReceipts) {
    let ClosingInput {
        block, effects, builder, bundle_shards, parent, reverts, store, spent, ..
    } = input;
    // The bundle can reuse the memory of the store and the journal.
    empty_store(store, worker_pool);
    drop(spent);
    let bundle = match builder {
        Some(mut builder) => {
            builder.complete(&effects);
            builder.finish()
        }
        None => whole_bundle(&effects, &bundle_shards, parent, reverts),
    };
    let BlockEffects { outcomes_builder, outcomes, .. } = effects;
    (bundle, outcomes_builder.complete(&block, outcomes))
}

/// Empties the store for the next block, unless a preempted worker still holds it.
pub(super) fn empty_store<'env>(
    store: Arc<Store<EvmLocation>>,
    worker_pool: &mut impl WorkerPool<'env>,
) {
    if let Some(store) = Arc::into_inner(store) {
        worker_pool.keep_store(EmptyStore(store.emptied()));
    }
}

/// Builds the whole bundle of a block at its end, on top of the parent's.
fn whole_bundle(
    effects: &BlockEffects,
    bundle_shards: &BundleShards,
    parent: Option<Arc<BundleState>>,
    reverts: bool,
) -> BundleState {
    let changes = effects.shard_masks.iter().map(|changed| changed.count_ones() as usize);
    let accounts = changes.sum::<usize>().min(2 * effects.shard_masks.len());
    let bucket = Bucket::new(effects, parent.as_deref(), bundle_shards, u64::MAX, accounts);
    let folds = bucket.run();
    if parent.is_none() {
        let mut assembly = BundleAssembly::new(reverts);
        assembly.expect(folds.len());
        assembly.add_folds(folds);
        return assembly.finish();
    }
    // The folds borrow the parent, so it can change only once all folds are finished.
    let (folded, undone) = FoldedBucket::new(u64::MAX, folds, reverts);
    let parent = parent.map(Arc::unwrap_or_clone).unwrap_or_default();
    let mut assembly = BundleAssembly::after(parent, reverts);
    assembly.add_folded(folded);
    assembly.add_reverts(undone);
    assembly.finish()
}
