//! A segment of transactions that all workers run together.

use super::bundle::output_builder::OutputBuilder;
use super::engine::ledger::EvmLedger;
use super::engine::workload::EvmWorkload;
use super::exec::base::StateSource;
use super::exec::effects::for_each_write;
use super::exec::location::EvmLocation;
use super::exec::tx_output::{TxOutcome, TxOutput};
use crate::ids::{Incarnation, TxIndex, Version, WorkerId};
use crate::mv::{Entry, Latest};
use crate::panics::caught;
use crate::protocol::Batch;
use crate::runtime::{Seat, Task};
use crate::sync::{AtomicU64, Mutex, SeqCst};
use crate::worker::{Interrupt, Point, Shared, work};
use core::convert::Infallible;
use std::sync::Arc;

/// How transactions are divided among workers.
pub(super) enum How {
    /// In chunks whose writes others may read before they commit. `predicts`: transactions wait for
    /// their predicted dependencies.
    Published { predicts: bool },
    /// In private batches.
    Private(Box<PrivateSegment>),
    /// Sequentially, on the calling thread.
    Sequential,
}

/// The private batches of a segment, which hold all of its transactions.
pub(super) struct PrivateSegment {
    pub(super) batches: Vec<Batch>,
    /// Whether the segment ends when the rest of a batch must not commit.
    pub(super) hands_over_rest: bool,
    /// Whether the batches' writes are put into the store at the end, where later segments read
    /// them.
    pub(super) publishes: bool,
    /// Bundle work that one worker does before it runs a batch.
    pub(super) folding: Option<Folding>,
}

/// A bundle, and outcomes of committed transactions to be added to it.
pub(super) struct Folding {
    pub(super) output_builder: OutputBuilder,
    /// First transaction to add.
    pub(super) from: usize,
    /// Outcomes lent by the ledger, which gets them back.
    pub(super) lent: Vec<TxOutcome>,
}

/// The bundle, before and after a worker has added the outcomes.
pub(super) enum Fold {
    Waiting(Folding),
    Done(Folding),
}

/// The task of the workers in a segment.
pub(super) struct RunTask<S: StateSource> {
    pub(super) shared: Shared<EvmWorkload<S>, EvmLedger>,
    /// The bundle to fold meanwhile, if any; locked by the worker that folds it.
    pub(super) fold: Option<Mutex<Option<Fold>>>,
    /// Writes to put into the store once all transactions have run, if any.
    pub(super) unpublished: Option<Unpublished>,
}

/// A transaction with its output.
type Left = (TxIndex, Arc<TxOutput>);

/// Writes of private batches, divided among the workers that publish them.
pub(super) struct Unpublished {
    left: Mutex<Option<Arc<[Left]>>>,
    next: AtomicU64,
    /// One lock per worker, held from claiming writes until they are published.
    publishing: Box<[Mutex<()>]>,
}

impl Unpublished {
    pub(super) fn by(workers: usize) -> Self {
        let (left, next) = Default::default();
        Self { left, next, publishing: (0..workers).map(|_| Mutex::default()).collect() }
    }
}

/// Transactions whose writes a worker publishes per claim.
const PUBLISHED_TOGETHER: usize = 8;

impl<S: StateSource> RunTask<S> {
    /// Adds the lent outcomes to the bundle, unless a worker has started to.
    pub(super) fn fold(&self, seat: Seat<'_>) {
        let fold = self.fold.as_ref().and_then(Mutex::try_lock);
        if fold.is_some_and(|mut fold| self.fold_if_waiting(&mut fold)) {
            seat.yield_at(Point::Between);
        }
    }

    /// Prefetches what the block's access list names, until all of it is read or the block is over,
    /// if `worker` is one of the prefetching workers.
    fn read_ahead(&self, worker: WorkerId) {
        let workload = self.shared.workload();
        let Some(ahead) = workload.ahead.as_ref().filter(|ahead| ahead.has_reader(worker)) else {
            return;
        };
        let Ok(mut base) = workload.base(worker) else { return };
        while !self.shared.is_over()
            && let Some(item) = ahead.next()
        {
            // A transaction that reads the same state meets the database's panic again.
            if caught(|| base.read_ahead(item)).is_err() {
                return;
            }
        }
    }

    fn fold_if_waiting(&self, fold: &mut Option<Fold>) -> bool {
        let mut folding = match fold.take() {
            Some(Fold::Waiting(folding)) => folding,
            done => {
                *fold = done;
                return false;
            }
        };
        let block_context = &self.shared.workload().block_context;
        let Folding { output_builder, from, lent } = &mut folding;
        output_builder.extend(&block_context.block, *from, lent);
        *fold = Some(Fold::Done(folding));
        true
    }

    /// Returns the folded bundle and the lent outcomes, if there are any. Waits for the worker that
    /// folds, because there is only one copy of its input.
    pub(super) fn folded(&self) -> Option<Folding> {
        match self.fold.as_ref()?.lock().take() {
            Some(Fold::Done(folding)) => Some(folding),
            // Panicking is better than a block without receipts.
            Some(Fold::Waiting(_)) | None => {
                unreachable!("the caller folds if no other worker does")
            }
        }
    }

    /// Waits until every claimed write is published, because the next segment reads them.
    pub(super) fn wait_published(&self) {
        let publishing = self.unpublished.iter().flat_map(|unpublished| &unpublished.publishing);
        publishing.for_each(|publishing| drop(publishing.lock()));
    }

    /// Publishes writes of the batches to the store, claim by claim, until none are left.
    pub(super) fn publish(&self, worker: WorkerId, seat: Seat<'_>) {
        let Some(Unpublished { left, next, publishing }) = &self.unpublished else { return };
        let Some(publishing) = publishing.get(usize::from(worker.0)) else { return };
        let left = left.lock().get_or_insert_with(|| self.publish_credits()).clone();
        let (store, block_context) = (self.shared.store(), &self.shared.workload().block_context);
        loop {
            seat.yield_at(Point::Between);
            let _publishing = publishing.lock();
            let from = next.fetch_add(PUBLISHED_TOGETHER as u64, SeqCst) as usize;
            let some = left.get(from..left.len().min(from.saturating_add(PUBLISHED_TOGETHER)));
            let Some(some) = some.filter(|some| !some.is_empty()) else { return };
            for (tx, output) in some {
                for_each_write(&output.changes, block_context, |location, entry| {
                    store.publish(version(*tx), &location, entry, &mut Vec::new());
                });
            }
        }
    }

    /// Publishes one sum per account for all blind credits, because many deltas at one location
    /// would be folded at every read. Returns the other writes to publish.
    fn publish_credits(&self) -> Arc<[Left]> {
        let (store, block_context) = (self.shared.store(), &self.shared.workload().block_context);
        let (first, left) = self.shared.unpublished();
        let lost = mutant!(LaneCreditsLost);
        let mut credits = Latest::default();
        for (tx, output) in left.iter().filter(|_| !lost) {
            for (to, reward) in block_context.rewards(output) {
                credits.put(*tx, EvmLocation::Account(to), Entry::Delta(reward));
            }
        }
        for receiver in block_context.receivers() {
            let location = EvmLocation::Account(receiver);
            let base = || -> Result<_, Infallible> { unreachable!("it was seeded") };
            let Ok(_) = credits.read(&location, || store.newest(&location, first, base));
        }
        for (tx, location, entry) in credits.into_entries() {
            store.publish(version(tx), &location, entry, &mut Vec::new());
        }
        left.into()
    }
}

const fn version(tx: TxIndex) -> Version {
    Version { tx, incarnation: Incarnation(0) }
}

impl<S: StateSource> Task for RunTask<S> {
    fn run(&self, worker: WorkerId, seat: Seat<'_>) {
        self.fold(seat);
        self.read_ahead(worker);
        match seat {
            Seat::Thread(threads) => work(&self.shared, worker, threads),
            #[cfg(feature = "testing")]
            Seat::Fiber(fiber) => work(&self.shared, worker, fiber),
        }
        self.publish(worker, seat);
    }
}
