//! The block as the engine sees it.

use super::batches::{EvmBatches, UsedGas};
use super::carry::Carry;
use super::group::BatchGroup;
use crate::evm::bal::ahead::Ahead;
use crate::evm::block::gas::BlockGas;
use crate::evm::exec::base::{BlockBase, Overlay, StateSource};
use crate::evm::exec::effects::for_each_write;
use crate::evm::exec::location::EvmLocation;
use crate::evm::exec::machine::EvmMachine;
use crate::evm::exec::recipe::Recipe;
use crate::evm::exec::rejection::Rejection;
use crate::evm::exec::traffic::Traffic;
use crate::evm::exec::tx_output::TxOutput;
use crate::evm::exec::view::EvmView;
use crate::evm::fees::reward::Reward;
use crate::evm::mutants::is_evm_mutant;
use crate::ids::{Version, WorkerId};
use crate::mv::{Entry, Store};
use crate::worker::{CancellationToken, Context, Workload};
use revm::DatabaseRef;
use std::sync::Arc;

/// The transactions of a block over a source of state. A copy costs little: what is large is
/// shared.
pub(in crate::evm) struct EvmWorkload<S> {
    pub(in crate::evm) recipe: Arc<Recipe>,
    pub(in crate::evm) source: Arc<S>,
    pub(in crate::evm) overlay: Arc<Overlay>,
    /// What the block's list names, if that is read ahead.
    pub(in crate::evm) ahead: Option<Arc<Ahead>>,
    /// Who is inside the database.
    pub(in crate::evm) traffic: Arc<Traffic>,
    /// Gas that private batches have used.
    pub(in crate::evm) used: UsedGas,
    /// Each commit is streamed to the caller.
    pub(in crate::evm) streams: bool,
    /// A worker makes the bundle of what commits meanwhile.
    pub(in crate::evm) followed: bool,
    /// Ends the block early.
    pub(in crate::evm) cancel: Option<CancellationToken>,
}

impl<S: StateSource> EvmWorkload<S> {
    pub(in crate::evm) fn new(
        recipe: Recipe,
        source: S,
        overlay: Arc<Overlay>,
        traffic: Arc<Traffic>,
    ) -> Self {
        let (ahead, used, streams, followed, cancel) = Default::default();
        let (recipe, source) = (Arc::new(recipe), Arc::new(source));
        Self { recipe, source, overlay, ahead, traffic, used, streams, followed, cancel }
    }

    /// Whether the caller wants no more.
    pub(in crate::evm) fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// The recipe, to be changed: a copy, if a worker that was put aside still holds this one.
    pub(in crate::evm) fn recipe_mut(&mut self) -> &mut Recipe {
        Arc::make_mut(&mut self.recipe)
    }

    /// A worker's base state.
    pub(in crate::evm) fn base(
        &self,
        worker: WorkerId,
    ) -> Result<BlockBase<S::State>, <S::State as DatabaseRef>::Error> {
        let base = BlockBase::new(self.source.open(worker)?, Arc::clone(&self.overlay));
        let base =
            base.with_claims(self.recipe.claims.as_ref().filter(|_| self.recipe.reads_claims));
        let base = base.with_ahead(self.ahead.as_ref());
        #[cfg(feature = "mutants")]
        let base = base.with_mutant(self.recipe.mutant);
        Ok(base.counted(worker, Arc::clone(&self.traffic)))
    }
}

impl<S> Clone for EvmWorkload<S> {
    fn clone(&self) -> Self {
        let Self { recipe, source, overlay, ahead, traffic, used, streams, followed, cancel } =
            self;
        Self {
            recipe: Arc::clone(recipe),
            source: Arc::clone(source),
            overlay: Arc::clone(overlay),
            ahead: ahead.clone(),
            traffic: Arc::clone(traffic),
            used: used.clone(),
            streams: *streams,
            followed: *followed,
            cancel: cancel.clone(),
        }
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
    type Left = Arc<TxOutput>;
    type Carry = Carry;
    type Room = BlockGas;

    fn entries(&self, left: &Arc<TxOutput>, mut each: impl FnMut(EvmLocation, Entry<EvmLocation>)) {
        let recipe = &self.recipe;
        for_each_write(&left.changes, recipe, &mut each);
        let lost = is_evm_mutant!(recipe.mutant, LaneCreditsLost);
        for (to, reward) in recipe.rewards(left).filter(|_| !lost) {
            each(EvmLocation::Account(to), Entry::Delta(reward));
        }
    }

    fn carried(
        &self,
        carry: Carry,
        store: &Store<EvmLocation>,
        each: impl FnMut(Version, EvmLocation, Entry<EvmLocation>),
    ) {
        carry.into_entries(&self.recipe, store, each);
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
    ) -> Result<EvmMachine<'a, S::State>, Self::BaseError> {
        Ok(EvmMachine::new(&self.recipe, store, self.base(worker)?, (worker, context.any())))
    }

    fn batches<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<EvmLocation>,
        context: &'a X,
    ) -> Result<EvmBatches<'a, S::State>, Self::BaseError> {
        let Self { recipe, used, streams, followed, .. } = self;
        let view = EvmView::of_batches(recipe, store, self.base(worker)?, context.any());
        let machine = EvmMachine::of_batches(recipe, view);
        Ok(EvmBatches::new(machine, store, used, (*streams, *followed)))
    }
}
