//! The transactions of a block as a workload of the engine.

use super::batches::{EvmBatches, SegmentSetting};
use super::group::BatchGroup;
use super::sequential::SequentialRunner;
use crate::evm::bal::prefetch::Prefetch;
use crate::evm::exec::activity::DatabaseActivity;
use crate::evm::exec::base::{BlockBase, DbError, Overlay, StateSource};
use crate::evm::exec::block_context::BlockContext;
use crate::evm::exec::location::EvmLocation;
use crate::evm::exec::machine::EvmMachine;
use crate::evm::exec::rejection::Rejection;
use crate::evm::exec::tx_output::TxOutput;
use crate::evm::exec::view::EvmView;
use crate::evm::fees::reward::Reward;
use crate::ids::WorkerId;
use crate::mv::Store;
use crate::worker::{CancellationToken, Context, Workload};
use revm::DatabaseRef;
use std::sync::Arc;

/// The transactions of a block over a source of state.
pub(in crate::evm) struct EvmWorkload<S> {
    pub(in crate::evm) block_context: Arc<BlockContext>,
    pub(in crate::evm) source: Arc<S>,
    pub(in crate::evm) overlay: Arc<Overlay>,
    /// Prefetched state of the accounts and slots in the block's access list, if it is prefetched.
    pub(in crate::evm) prefetch: Option<Arc<Prefetch>>,
    /// Tracks which workers are inside the database.
    pub(in crate::evm) activity: Arc<DatabaseActivity>,
    /// Set by [`for_segment`](Self::for_segment).
    segment: SegmentSetting,
    /// Ends the block early when cancelled.
    pub(in crate::evm) cancel: Option<CancellationToken>,
}

impl<S: StateSource> EvmWorkload<S> {
    pub(in crate::evm) fn new(
        block_context: BlockContext,
        source: S,
        overlay: Arc<Overlay>,
        activity: Arc<DatabaseActivity>,
    ) -> Self {
        Self {
            block_context: Arc::new(block_context),
            source: Arc::new(source),
            overlay,
            prefetch: None,
            activity,
            segment: SegmentSetting::default(),
            cancel: None,
        }
    }

    /// Returns the workload of a segment, which shares everything else with this one.
    pub(in crate::evm) fn for_segment(&self, segment: SegmentSetting) -> Self {
        Self {
            block_context: Arc::clone(&self.block_context),
            source: Arc::clone(&self.source),
            overlay: Arc::clone(&self.overlay),
            prefetch: self.prefetch.clone(),
            activity: Arc::clone(&self.activity),
            segment,
            cancel: self.cancel.clone(),
        }
    }

    /// Whether the caller has cancelled the block.
    pub(in crate::evm) fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// Returns the block context for mutation. Clones it if a preempted worker still holds it.
    pub(in crate::evm) fn block_context_mut(&mut self) -> &mut BlockContext {
        Arc::make_mut(&mut self.block_context)
    }

    /// Opens the base state for a sequential segment. `has_bundle_thread`: whether another worker
    /// builds the bundle while transactions commit.
    pub(in crate::evm) fn sequential<'a>(
        &'a self,
        store: &'a Store<EvmLocation>,
        has_bundle_thread: bool,
    ) -> Result<SequentialRunner<'a, S::State>, DbError<S>> {
        let Self { block_context, segment, .. } = self;
        let base = self.base(WorkerId(0))?;
        let view = EvmView::of_prefix(block_context, store, base, None);
        let machine = EvmMachine::of_prefix(block_context, view);
        Ok(SequentialRunner::new(machine, store, has_bundle_thread, segment.streams))
    }

    /// Opens the base state of a worker.
    pub(in crate::evm) fn base(
        &self,
        worker: WorkerId,
    ) -> Result<BlockBase<S::State>, <S::State as DatabaseRef>::Error> {
        let base = BlockBase::new(self.source.open(worker)?, Arc::clone(&self.overlay));
        let base = base.with_list(
            self.block_context.access_list.as_ref().filter(|_| self.block_context.reads_list),
        );
        let base = base.with_prefetch(self.prefetch.as_ref());
        Ok(base.with_activity(worker, Arc::clone(&self.activity)))
    }
}

impl<S: StateSource> Workload for EvmWorkload<S> {
    type Location = EvmLocation;
    type Output = Arc<TxOutput>;
    type Rejection = Rejection;
    type BaseError = <S::State as DatabaseRef>::Error;
    type Machine<'a, X: Context + 'a>
        = EvmMachine<'a, S::State>
    where
        Self: 'a;
    type Group = BatchGroup;
    type Batches<'a, X: Context + 'a>
        = EvmBatches<'a, S::State>
    where
        Self: 'a;

    /// Passes the transaction's blind credits to `credit`. Every transaction pays the beneficiary:
    /// if rewards were published with the other writes, all workers would contend for one location.
    fn credits(&self, output: &Arc<TxOutput>, mut credit: impl FnMut(EvmLocation, Reward)) {
        let unseen = mutant!(RewardUnseen);
        for (to, reward) in self.block_context.rewards(output).filter(|_| !unseen) {
            credit(EvmLocation::Account(to), reward);
        }
    }

    fn machine<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<EvmLocation>,
        context: &'a X,
    ) -> Result<EvmMachine<'a, S::State>, Self::BaseError> {
        let base = self.base(worker)?;
        Ok(EvmMachine::new(&self.block_context, store, base, worker, context.any()))
    }

    fn batches<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<EvmLocation>,
        context: &'a X,
    ) -> Result<EvmBatches<'a, S::State>, Self::BaseError> {
        let Self { block_context, segment, .. } = self;
        let view = EvmView::of_prefix(block_context, store, self.base(worker)?, context.any());
        let machine = EvmMachine::of_prefix(block_context, view);
        Ok(EvmBatches::new(machine, segment))
    }
}
