//! The task that all workers run in a segment.

use super::engine::ledger::EvmLedger;
use super::engine::workload::EvmWorkload;
use super::exec::base::StateSource;
use crate::ids::WorkerId;
use crate::panics::caught;
use crate::runtime::{Seat, Task};
use crate::worker::{Shared, work};

/// The task of a segment: prefetches, then runs transactions.
pub(super) struct RunTask<S: StateSource> {
    pub(super) shared: Shared<EvmWorkload<S>, EvmLedger>,
}

impl<S: StateSource> RunTask<S> {
    /// Prefetches the accounts and slots in the block's access list, until all are read or the
    /// segment is over, if `worker` is one that prefetches.
    fn prefetch(&self, worker: WorkerId) {
        let workload = self.shared.workload();
        let prefetch = workload.prefetch.as_ref();
        let Some(prefetch) = prefetch.filter(|it| it.is_prefetcher(worker)) else {
            return;
        };
        let Ok(mut base) = workload.base(worker) else { return };
        while !self.shared.is_over()
            && let Some(item) = prefetch.claim()
        {
            // A panic of the database recurs if a transaction reads the same state.
            if caught(|| base.prefetch(item)).is_err() {
                return;
            }
        }
    }
}

impl<S: StateSource> Task for RunTask<S> {
    fn run(&self, worker: WorkerId, seat: Seat<'_>) {
        self.prefetch(worker);
        match seat {
            Seat::Thread(threads) => work(&self.shared, worker, threads),
            #[cfg(feature = "testing")]
            Seat::Fiber(fiber) => work(&self.shared, worker, fiber),
            #[cfg(feature = "testing")]
            Seat::Observed(observed) => work(&self.shared, worker, &observed),
        }
    }
}
