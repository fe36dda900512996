//! Real threads: nothing interrupts an actor, and waiting blocks its thread.

use crate::sync::Receiver;
use crate::worker::{Context, Point};
use core::cell::RefCell;

/// The context of a worker on a thread of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Context for Threads {
    fn yield_at(&self, _: Point) {}

    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        channel.recv().ok()
    }
}

/// The context of the calling thread: a worker that also hands a stream of items to the caller,
/// between its jobs and while it waits for one.
#[derive(Debug)]
pub struct Caller<T, F> {
    stream: Receiver<T>,
    deliver: RefCell<F>,
}

impl<T, F: FnMut(T)> Caller<T, F> {
    /// Items of `stream` go to `deliver`.
    pub fn new(stream: Receiver<T>, deliver: F) -> Self {
        Self { stream, deliver: RefCell::new(deliver) }
    }

    /// Delivers what is there.
    pub fn drain(&self) {
        while let Ok(item) = self.stream.try_recv() {
            (self.deliver.borrow_mut())(item);
        }
    }
}

impl<S, F: FnMut(S)> Context for Caller<S, F> {
    fn yield_at(&self, point: Point) {
        if point == Point::Between {
            self.drain();
        }
    }

    #[cfg(not(braid_loom))]
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        loop {
            crossbeam_channel::select! {
                recv(channel) -> message => return message.ok(),
                recv(self.stream) -> item => match item {
                    Ok(item) => (self.deliver.borrow_mut())(item),
                    // Nobody will send any more: only the channel is left to wait for.
                    Err(_) => return channel.recv().ok(),
                },
            }
        }
    }

    #[cfg(braid_loom)]
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        channel.recv().ok()
    }
}
