//! The thread or fiber on which a worker runs a task.

#[cfg(all(feature = "testing", not(braid_loom)))]
use super::observed::Observed;
#[cfg(all(feature = "testing", not(braid_loom)))]
use super::simulated::Fiber;
use super::threads::Threads;
use crate::sync::Receiver;
use crate::worker::{Activity, AnyInterrupt, Context, Interrupt, Point, Waited};

/// The thread or fiber of a worker.
#[derive(Clone, Copy, Debug)]
pub enum Seat<'a> {
    /// A thread: nothing interrupts the worker, and waiting blocks the thread.
    Thread(&'a Threads),
    /// One of several fibers on a thread, resumed by the simulator.
    #[cfg(all(feature = "testing", not(braid_loom)))]
    Fiber(&'a Fiber<'a>),
    /// A thread that reports its progress to an observer.
    #[cfg(all(feature = "testing", not(braid_loom)))]
    Observed(Observed<'a>),
}

impl Seat<'_> {
    /// Returns the context of the thread, if the worker runs on an unobserved thread.
    #[cfg(not(braid_loom))]
    pub(super) const fn threads(&self) -> Option<&Threads> {
        match self {
            Self::Thread(threads) => Some(threads),
            #[cfg(feature = "testing")]
            Self::Fiber(_) | Self::Observed(_) => None,
        }
    }

    /// Returns the same seat for long waits, during which a thread sleeps at once.
    #[must_use]
    pub const fn patient(self) -> Self {
        match self {
            Self::Thread(_) => Self::Thread(&Threads::BLOCKING),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            fiber @ Self::Fiber(_) => fiber,
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Observed(observed) => {
                Self::Observed(Observed { threads: &Threads::BLOCKING, ..observed })
            }
        }
    }
}

impl Interrupt for Seat<'_> {
    fn yield_at(&self, point: Point) {
        match self {
            Self::Thread(threads) => threads.yield_at(point),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Fiber(fiber) => fiber.yield_at(point),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Observed(observed) => observed.yield_at(point),
        }
    }

    fn report(&self, activity: Activity) {
        match self {
            Self::Thread(threads) => threads.report(activity),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Fiber(fiber) => fiber.report(activity),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Observed(observed) => observed.report(activity),
        }
    }
}

impl Context for Seat<'_> {
    fn any(&self) -> AnyInterrupt<'_> {
        match self {
            Self::Thread(_) => None,
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Fiber(fiber) => Some(*fiber),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Observed(observed) => Some(observed),
        }
    }

    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        match self {
            Self::Thread(threads) => threads.recv(channel),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Fiber(fiber) => fiber.recv(channel),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Observed(observed) => observed.recv(channel),
        }
    }

    fn recv_unless<T>(&self, channel: &Receiver<T>, is_stalled: impl FnMut() -> bool) -> Waited<T> {
        match self {
            Self::Thread(threads) => threads.recv_unless(channel, is_stalled),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Fiber(fiber) => fiber.recv_unless(channel, is_stalled),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Observed(observed) => observed.recv_unless(channel, is_stalled),
        }
    }

    fn recv_soon<T>(&self, channel: &Receiver<T>) -> Option<T> {
        match self {
            Self::Thread(threads) => threads.recv_soon(channel),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Fiber(fiber) => fiber.recv_soon(channel),
            #[cfg(all(feature = "testing", not(braid_loom)))]
            Self::Observed(observed) => observed.recv_soon(channel),
        }
    }
}
