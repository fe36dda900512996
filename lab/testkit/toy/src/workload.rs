//! Toy blocks as the engine sees them.

use super::batches::ToyBatches;
use super::ledger::ToyGroup;
use super::location::ToyLocation;
use super::machine::{BaseFailed, ToyMachine, ToyWorkload};
use super::program::{ToyOutput, ToyRejection};
use braid_evm::ids::WorkerId;
use braid_evm::mv::Store;
use braid_evm::worker::{Context, View, Workload};

impl Workload for ToyWorkload {
    type Location = ToyLocation;
    type Output = ToyOutput;
    type Rejection = ToyRejection;
    type BaseError = BaseFailed;
    type Machine<'a, X: Context + 'a> = ToyMachine<'a, X>;
    type Group = ToyGroup;
    type Batches<'a, X: Context + 'a> = ToyBatches<'a, X>;

    /// Its credits are entries like others: they are there to be folded.
    fn credits(&self, _: &ToyOutput, _: impl FnMut(ToyLocation, u64)) {}

    fn machine<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<ToyLocation>,
        context: &'a X,
    ) -> Result<ToyMachine<'a, X>, BaseFailed> {
        let view = View::new(store, self.base(), context).of_worker(worker);
        Ok(ToyMachine::new(self, view, self.is_lost(worker)))
    }

    fn batches<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<ToyLocation>,
        context: &'a X,
    ) -> Result<ToyBatches<'a, X>, BaseFailed> {
        let view = View::of_prefix(store, self.base(), context);
        Ok(ToyBatches::new(self, view, self.is_lost(worker)))
    }
}
