//! The transactions that workers are running.

use crate::ids::{TxIndex, WorkerId};
use crate::sync::{AtomicU32, SeqCst};

/// State of one worker, in its own cache line.
#[derive(Debug)]
#[repr(align(128))]
struct PerWorker(AtomicU32);

impl PerWorker {
    const EMPTY: u32 = !Self::POSSIBLY_STALE;
    /// The highest bit: the transaction was named as a reader of something that changed.
    const POSSIBLY_STALE: u32 = 1 << 31;
}

/// The transaction that each worker runs.
#[derive(Debug, Default)]
pub(super) struct Running(Box<[PerWorker]>);

impl Running {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| PerWorker(AtomicU32::new(PerWorker::EMPTY))).collect())
    }

    /// Returns whether there are several workers; a single worker has none to wait for.
    pub(super) const fn has_others(&self) -> bool {
        self.0.len() > 1
    }

    pub(super) fn set(&self, worker: WorkerId, tx: Option<TxIndex>) {
        if let Some(PerWorker(seat)) = self.0.get(usize::from(worker.0)) {
            seat.store(tx.map_or(PerWorker::EMPTY, |tx| tx.0), SeqCst);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = TxIndex> {
        let running =
            self.0.iter().map(|PerWorker(seat)| seat.load(SeqCst) & !PerWorker::POSSIBLY_STALE);
        running.filter(|tx| *tx != PerWorker::EMPTY).map(TxIndex)
    }

    /// Names `tx` to the worker that runs it. Returns true if a worker runs it and it was not named
    /// before.
    pub(super) fn name(&self, tx: TxIndex) -> bool {
        let named = tx.0 | PerWorker::POSSIBLY_STALE;
        // Usually no worker runs it, and a load does not move the cache line.
        let name = |PerWorker(seat): &PerWorker| {
            seat.load(SeqCst) == tx.0 && seat.compare_exchange(tx.0, named, SeqCst, SeqCst).is_ok()
        };
        self.0.iter().any(name)
    }

    /// Returns whether `tx`, run by `worker`, was named since it began or since the last call.
    pub(super) fn take_name(&self, worker: WorkerId, tx: TxIndex) -> bool {
        let Some(PerWorker(seat)) = self.0.get(usize::from(worker.0)) else { return false };
        let named = tx.0 | PerWorker::POSSIBLY_STALE;
        seat.load(SeqCst) == named && seat.compare_exchange(named, tx.0, SeqCst, SeqCst).is_ok()
    }
}
