//! The task of all workers in a segment.

use super::engine::ledger::EvmLedger;
use super::engine::workload::EvmWorkload;
use super::exec::base::StateSource;
use crate::ids::WorkerId;
use crate::panics::caught;
use crate::runtime::{Seat, Task};
use crate::worker::{Shared, work};

/// A segment in progress.
pub(super) struct RunTask<S: StateSource> {
    pub(super) shared: Shared<EvmWorkload<S>, EvmLedger>,
}

impl<S: StateSource> RunTask<S> {
    /// Prefetches what the block's access list names, until all of it is read or the block is over,
    /// if `worker` is one of the prefetching workers.
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
            // A transaction that reads the same state meets the database's panic again.
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
