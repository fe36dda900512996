//! The transaction that each worker is running.

use crate::ids::{TxIndex, WorkerId};
use crate::sync::{AtomicU32, SeqCst};

/// State of one worker, in its own cache line.
#[derive(Debug)]
#[repr(align(128))]
struct PerWorker(AtomicU32);

impl PerWorker {
    const EMPTY: u32 = !Self::POSSIBLY_STALE;
    /// The highest bit: the transaction has read a location that may have changed.
    const POSSIBLY_STALE: u32 = 1 << 31;
}

/// The transaction that each worker runs.
#[derive(Debug, Default)]
pub(super) struct Running(Box<[PerWorker]>);

impl Running {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| PerWorker(AtomicU32::new(PerWorker::EMPTY))).collect())
    }

    /// Returns whether there are several workers. A single worker never waits for another.
    pub(super) const fn has_others(&self) -> bool {
        self.0.len() > 1
    }

    pub(super) fn set(&self, worker: WorkerId, tx: Option<TxIndex>) {
        if let Some(PerWorker(running)) = self.0.get(usize::from(worker.0)) {
            running.store(tx.map_or(PerWorker::EMPTY, |tx| tx.0), SeqCst);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = TxIndex> {
        let all = self.0.iter();
        let all = all.map(|PerWorker(running)| running.load(SeqCst) & !PerWorker::POSSIBLY_STALE);
        all.filter(|tx| *tx != PerWorker::EMPTY).map(TxIndex)
    }

    /// Notifies the worker that runs `tx` of a change. Returns true if a worker runs it and was not
    /// notified before.
    pub(super) fn notify(&self, tx: TxIndex) -> bool {
        let notified = tx.0 | PerWorker::POSSIBLY_STALE;
        // Usually no worker runs `tx`, and a load does not move the cache line.
        let notify = |PerWorker(running): &PerWorker| {
            running.load(SeqCst) == tx.0
                && running.compare_exchange(tx.0, notified, SeqCst, SeqCst).is_ok()
        };
        self.0.iter().any(notify)
    }

    /// Returns whether `worker`, which runs `tx`, was notified since the run began or since the
    /// last call.
    pub(super) fn take_notification(&self, worker: WorkerId, tx: TxIndex) -> bool {
        let Some(PerWorker(running)) = self.0.get(usize::from(worker.0)) else { return false };
        let notified = tx.0 | PerWorker::POSSIBLY_STALE;
        running.load(SeqCst) == notified
            && running.compare_exchange(notified, tx.0, SeqCst, SeqCst).is_ok()
    }
}
