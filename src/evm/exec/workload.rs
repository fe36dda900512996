//! The block as the engine sees it.

use super::base::{BlockBase, Overlay, StateSource};
use super::location::EvmLocation;
use super::machine::EvmMachine;
use super::recipe::Recipe;
use super::rejection::Rejection;
use super::traffic::Traffic;
use super::tx_output::TxOutput;
use crate::evm::fees::reward::Reward;
use crate::evm::mutants::is_evm_mutant;
use crate::ids::WorkerId;
use crate::mv::Store;
use crate::worker::{Context, Workload};
use revm::DatabaseRef;
use std::sync::Arc;

/// The transactions of a block over a source of state.
pub(in crate::evm) struct EvmWorkload<S> {
    pub(in crate::evm) recipe: Recipe,
    pub(in crate::evm) source: S,
    pub(in crate::evm) overlay: Arc<Overlay>,
    /// Who is inside the database.
    pub(in crate::evm) traffic: Arc<Traffic>,
}

impl<S: StateSource> EvmWorkload<S> {
    /// A worker's base state.
    pub(in crate::evm) fn base(
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
}
