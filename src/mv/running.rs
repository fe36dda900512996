//! What each worker runs at the moment.

use crate::ids::{TxIndex, WorkerId};
use crate::sync::{AtomicU32, SeqCst};

/// Of one worker, apart from what others change.
#[derive(Debug)]
#[repr(align(128))]
struct Seat(AtomicU32);

impl Seat {
    const EMPTY: u32 = u32::MAX;
}

/// What each worker has said that it runs.
#[derive(Debug, Default)]
pub(super) struct Running(Box<[Seat]>);

impl Running {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Seat(AtomicU32::new(Seat::EMPTY))).collect())
    }

    /// A worker that is alone has no other to wait for.
    pub(super) const fn has_others(&self) -> bool {
        self.0.len() > 1
    }

    pub(super) fn set(&self, worker: WorkerId, tx: Option<TxIndex>) {
        if let Some(Seat(seat)) = self.0.get(usize::from(worker.0)) {
            seat.store(tx.map_or(Seat::EMPTY, |tx| tx.0), SeqCst);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = TxIndex> {
        let running = self.0.iter().map(|Seat(seat)| seat.load(SeqCst));
        running.filter(|tx| *tx != Seat::EMPTY).map(TxIndex)
    }
}
