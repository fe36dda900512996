//! A stretch of transactions that all workers run together.

use super::bundle::growing::Growing;
use super::engine::ledger::EvmLedger;
use super::engine::workload::EvmWorkload;
use super::exec::base::StateSource;
use super::exec::tx_output::Fate;
use super::mutants::is_evm_mutant;
use crate::ids::WorkerId;
use crate::protocol::Batch;
use crate::runtime::{Seat, Task};
use crate::sync::Mutex;
use crate::worker::{Context, Point, Shared, work};

/// How transactions are shared out among workers.
pub(super) enum Stretch {
    /// In chunks whose writes others may read before they commit.
    Published,
    /// In private batches.
    Private(PrivateStretch),
}

/// Private batches, which hold all transactions of a stretch.
pub(super) struct PrivateStretch {
    pub(super) batches: Vec<Batch>,
    /// The stretch ends where the rest of a batch may not go on.
    pub(super) hands_over_rest: bool,
    /// What the batches have left is in the store at the end: others will read it there.
    pub(super) publishes: bool,
    /// What one of the workers puts into the bundle before it runs a batch.
    pub(super) folding: Option<Folding>,
}

/// A bundle, and what became of transactions that are committed and not in it.
pub(super) type Folding = (Growing, Vec<Fate>);

/// The part of the other workers.
pub(super) struct RunTask<S: StateSource> {
    pub(super) shared: Shared<EvmWorkload<S>, EvmLedger>,
    pub(super) folding: Mutex<Option<Folding>>,
    pub(super) folded: Mutex<Option<Growing>>,
}

impl<S: StateSource> RunTask<S> {
    /// Puts into the bundle what is not there, if no worker has begun with that.
    pub(super) fn fold(&self, seat: Seat<'_>) {
        let folding = self.folding.lock().take();
        let Some((mut growing, outcomes)) = folding else { return };
        let recipe = &self.shared.workload().recipe;
        if is_evm_mutant!(recipe.mutant, LaneUnfolded) && !outcomes.is_empty() {
            growing.give_up_bundle();
        }
        growing.extend(&recipe.block, outcomes);
        *self.folded.lock() = Some(growing);
        seat.yield_at(Point::Between);
    }
}

impl<S: StateSource> Task for RunTask<S> {
    fn run(&self, worker: WorkerId, seat: Seat<'_>) {
        self.fold(seat);
        match seat {
            Seat::Thread(threads) => work(&self.shared, worker, threads),
            #[cfg(feature = "sim")]
            Seat::Fiber(fiber) => work(&self.shared, worker, fiber),
        }
    }
}
