//! Threads that report their progress to an observer.

use super::stage::CallerStage;
use super::threads::Threads;
use crate::ids::WorkerId;
use crate::sync::Receiver;
use crate::worker::{Context, Interrupt, Point, Waited};

/// Receives the progress of workers. The observer has the clock, because the library has none.
pub trait Observer: Send + Sync {
    /// Called when `worker` reaches `point`, on its thread, many times per transaction.
    fn passes(&self, worker: WorkerId, point: Point);

    /// Called when `worker` begins to wait for a message.
    fn waits(&self, worker: WorkerId);

    /// Called when `worker` has finished its part of a task, or the caller its part of a block.
    fn ends(&self, worker: WorkerId);

    /// Called on the thread of the caller, which is worker 0, when it begins `stage`.
    fn calls(&self, stage: CallerStage);
}

/// Context of a worker on an observed thread.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    pub(crate) threads: &'a Threads,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) worker: WorkerId,
}

impl core::fmt::Debug for Observed<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Observed").field("worker", &self.worker).finish_non_exhaustive()
    }
}

impl Observed<'_> {
    fn wait<T>(&self, receive: impl FnOnce(&Threads) -> T) -> T {
        self.observer.waits(self.worker);
        let received = receive(self.threads);
        self.observer.passes(self.worker, Point::Message);
        received
    }
}

impl Interrupt for Observed<'_> {
    fn yield_at(&self, point: Point) {
        self.observer.passes(self.worker, point);
    }
}

impl Context for Observed<'_> {
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        self.wait(|threads| threads.recv(channel))
    }

    fn recv_unless<T>(&self, channel: &Receiver<T>, is_stalled: impl FnMut() -> bool) -> Waited<T> {
        self.wait(|threads| threads.recv_unless(channel, is_stalled))
    }

    fn recv_soon<T>(&self, channel: &Receiver<T>) -> Option<T> {
        self.wait(|threads| threads.recv_soon(channel))
    }
}
