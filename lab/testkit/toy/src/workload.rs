//! Toy blocks as the engine sees them.

use super::batches::{ToyBatches, ToyCarry};
use super::ledger::ToyGroup;
use super::location::ToyLocation;
use super::machine::{BaseFailed, ToyMachine, ToyWorkload};
use super::program::{ToyOutput, ToyRejection};
use braid_evm::ids::{Version, WorkerId};
use braid_evm::mv::{Entry, Store};
use braid_evm::worker::{Context, View, Workload};

impl Workload for ToyWorkload {
    type Location = ToyLocation;
    type Output = ToyOutput;
    type Rejection = ToyRejection;
    type BaseError = BaseFailed;
    type Machine<'a, X: Context + 'a> = ToyMachine<'a, X>;
    type Group = ToyGroup;
    type Carry = ToyCarry;
    type Room = u64;
    type Batches<'a, X: Context + 'a> = ToyBatches<'a, X>;

    fn carried(
        &self,
        carry: ToyCarry,
        _: &Store<ToyLocation>,
        mut each: impl FnMut(Version, ToyLocation, Entry<ToyLocation>),
    ) {
        carry.into_entries().for_each(|(version, location, entry)| each(version, location, entry));
    }

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
        let view = View::of_batches(store, self.base(), context);
        Ok(ToyBatches::new(self, view, self.is_lost(worker)))
    }
}
