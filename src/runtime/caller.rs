//! The calling thread, which delivers commits while it works.

use super::seat::Seat;
#[cfg(not(braid_loom))]
use super::threads::{STALL_CHECK_INTERVAL, sleep, waited};
use crate::sync::Receiver;
#[cfg(not(braid_loom))]
use crate::sync::TryRecvError;
#[cfg(not(braid_loom))]
use crate::worker::Waited;
use crate::worker::{Activity, AnyInterrupt, Context, Interrupt, Point};
use core::cell::RefCell;
#[cfg(not(braid_loom))]
use core::time::Duration;

/// Context of the calling thread: a worker that also delivers a stream of items to the caller,
/// between its jobs and while it waits for one.
#[derive(Debug)]
pub struct Caller<'s, T, F> {
    seat: Seat<'s>,
    stream: Receiver<T>,
    deliver: RefCell<F>,
}

impl<'s, T, F: FnMut(T)> Caller<'s, T, F> {
    /// Creates the context. Items of `stream` go to `deliver`; the caller waits like the worker at
    /// `seat`.
    pub const fn new(seat: Seat<'s>, stream: Receiver<T>, deliver: F) -> Self {
        Self { seat, stream, deliver: RefCell::new(deliver) }
    }

    /// Delivers the available items.
    pub fn drain(&self) {
        while let Ok(item) = self.stream.try_recv() {
            (self.deliver.borrow_mut())(item);
        }
    }

    /// Sleeps until a message arrives, delivers items, and checks after each `interval` whether the
    /// block is stalled.
    #[cfg(not(braid_loom))]
    fn sleep<M>(
        &self,
        channel: &Receiver<M>,
        interval: Duration,
        mut is_stalled: impl FnMut() -> bool,
    ) -> Waited<M> {
        loop {
            crossbeam_channel::select! {
                recv(channel) -> message => return waited(message),
                recv(self.stream) -> item => match item {
                    Ok(item) => (self.deliver.borrow_mut())(item),
                    // All senders are gone, so only the channel remains.
                    Err(_) => return sleep(channel, interval, is_stalled),
                },
                default(interval) => if is_stalled() {
                    return Waited::Stalled;
                },
            }
        }
    }
}

impl<S, F: FnMut(S)> Interrupt for Caller<'_, S, F> {
    fn yield_at(&self, point: Point) {
        if point == Point::Between {
            self.drain();
        }
        self.seat.yield_at(point);
    }

    fn report(&self, activity: Activity) {
        self.seat.report(activity);
    }
}

impl<S, F: FnMut(S)> Context for Caller<'_, S, F> {
    fn any(&self) -> AnyInterrupt<'_> {
        // Items are delivered between jobs, not within a run.
        self.seat.any()
    }

    #[cfg(not(braid_loom))]
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        let Some(threads) = self.seat.threads() else { return self.seat.recv(channel) };
        match threads.poll(channel, || self.drain()) {
            Err(TryRecvError::Empty) => {}
            found => return found.ok(),
        }
        match self.sleep(channel, Duration::MAX, || false) {
            Waited::Message(message) => Some(message),
            Waited::Closed | Waited::Stalled => None,
        }
    }

    #[cfg(braid_loom)]
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        self.seat.recv(channel)
    }

    #[cfg(not(braid_loom))]
    fn recv_unless<T>(
        &self,
        channel: &Receiver<T>,
        mut is_stalled: impl FnMut() -> bool,
    ) -> Waited<T> {
        let Some(threads) = self.seat.threads() else {
            return self.seat.recv_unless(channel, is_stalled);
        };
        threads
            .poll_patiently(channel, || self.drain(), &mut is_stalled)
            .unwrap_or_else(|| self.sleep(channel, STALL_CHECK_INTERVAL, is_stalled))
    }
}
