//! The block as the engine sees it.

use super::base::{BlockBase, Overlay, StateSource};
use super::batches::{BatchGroup, EvmBatches, UsedGas};
use super::effects::for_each_write;
use super::error::Rejection;
use super::location::{EvmLocation, Reward};
use super::machine::{EvmMachine, Recipe, TxOutput};
use super::mutants::is_evm_mutant;
use super::traffic::Traffic;
use super::view::EvmView;
use crate::ids::WorkerId;
use crate::mv::{Entry, Store};
use crate::worker::{Context, Workload};
use revm::DatabaseRef;
use std::sync::Arc;

/// The transactions of a block over a source of state.
pub(super) struct EvmWorkload<S> {
    pub(super) recipe: Recipe,
    pub(super) source: S,
    pub(super) overlay: Arc<Overlay>,
    /// Who is inside the database.
    pub(super) traffic: Arc<Traffic>,
    /// Gas that private batches have used.
    pub(super) used: UsedGas,
    /// Somebody hears of each commit.
    pub(super) streams: bool,
}

impl<S: StateSource> EvmWorkload<S> {
    pub(super) fn new(
        recipe: Recipe,
        source: S,
        overlay: Arc<Overlay>,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self { recipe, source, overlay, traffic, used: UsedGas::default(), streams: false }
    }

    /// A worker's base state.
    pub(super) fn base(
        &self,
        worker: WorkerId,
    ) -> Result<BlockBase<S::State>, <S::State as DatabaseRef>::Error> {
        let base = BlockBase::new(self.source.open(worker)?, Arc::clone(&self.overlay));
        #[cfg(feature = "mutants")]
        let base = base.with_mutant(self.recipe.mutant);
        Ok(base.counted(worker, Arc::clone(&self.traffic)))
    }
}

impl<S: StateSource> Workload for EvmWorkload<S> {
    type Location = EvmLocation;
    type Output = Arc<TxOutput>;
    type Rejection = Rejection;
    type BaseError = <S::State as DatabaseRef>::Error;
    type Machine<'a, X: Context + 'a>
        = EvmMachine<'a, S::State, X>
    where
        Self: 'a;
    type Group = BatchGroup;
    type Batches<'a, X: Context + 'a>
        = EvmBatches<'a, S::State, X>
    where
        Self: 'a;
    type Left = TxOutput;

    fn entries(&self, left: &TxOutput, mut each: impl FnMut(EvmLocation, Entry<EvmLocation>)) {
        let recipe = &self.recipe;
        for_each_write(&left.changes, recipe, &mut each);
        let lost = is_evm_mutant!(recipe.mutant, LaneCreditsLost);
        for (to, reward) in recipe.rewards(left).filter(|_| !lost) {
            each(EvmLocation::Account(to), Entry::Delta(reward));
        }
    }

    /// What was set aside. Every transaction pays the beneficiary: published with the rest, rewards
    /// would make one location the business of all workers all the time.
    fn credits(&self, output: &Arc<TxOutput>, mut credit: impl FnMut(EvmLocation, Reward)) {
        let unseen = is_evm_mutant!(self.recipe.mutant, RewardUnseen);
        for (to, reward) in self.recipe.rewards(output).filter(|_| !unseen) {
            credit(EvmLocation::Account(to), reward);
        }
    }

    fn machine<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<EvmLocation>,
        context: &'a X,
    ) -> Result<EvmMachine<'a, S::State, X>, Self::BaseError> {
        Ok(EvmMachine::new(&self.recipe, store, self.base(worker)?, context))
    }

    fn batches<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<EvmLocation>,
        context: &'a X,
    ) -> Result<EvmBatches<'a, S::State, X>, Self::BaseError> {
        let Self { recipe, used, streams, .. } = self;
        let view = EvmView::of_batches(recipe, store, self.base(worker)?, context);
        Ok(EvmBatches::new(EvmMachine::over(recipe, view), used, *streams))
    }
}
