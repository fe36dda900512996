//! The context of a worker on a fiber.

use crate::sync::{Receiver, TryRecvError};
use crate::worker::{Activity, Context, Interrupt, Point, Waited};
use core::cell::{Cell, RefCell};
use corosensei::Yielder;
use std::rc::Rc;

/// Why a fiber was suspended.
pub(super) enum Suspended {
    /// The fiber reached a point.
    At(Point),
    /// The fiber found no message.
    NoMessage,
    /// The fiber found no message, and checks for other work after a while.
    NoMessageYet,
}

/// Signals between the driver and the fibers.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Whether the schedule was abandoned, so that no more messages will arrive.
    pub(super) abandoned: Cell<bool>,
    /// Whether the resumed fiber has waited for a while.
    pub(super) has_waited: Cell<bool>,
    /// Activities that the fiber has reported since it was resumed.
    pub(super) activities: RefCell<Vec<Activity>>,
}

/// Context of a worker on a fiber. The driver resumes it.
pub struct Fiber<'y> {
    pub(super) yielder: &'y Yielder<(), Suspended>,
    pub(super) signals: Rc<Signals>,
    /// Whether reads interrupt a run.
    pub(super) interrupts_reads: bool,
}

impl core::fmt::Debug for Fiber<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Fiber")
            .field("interrupts_reads", &self.interrupts_reads)
            .finish_non_exhaustive()
    }
}

impl Interrupt for Fiber<'_> {
    fn yield_at(&self, point: Point) {
        if self.interrupts_reads || !matches!(point, Point::Read | Point::BaseRead) {
            self.yielder.suspend(Suspended::At(point));
        }
    }

    fn report(&self, activity: Activity) {
        self.signals.activities.borrow_mut().push(activity);
    }
}

impl Context for Fiber<'_> {
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        self.yield_at(Point::Message);
        loop {
            match channel.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.signals.abandoned.get() => return None,
                Err(TryRecvError::Empty) => self.yielder.suspend(Suspended::NoMessage),
            }
        }
    }

    /// Stops waiting after one check, because the sender may be preempted.
    fn recv_soon<T>(&self, channel: &Receiver<T>) -> Option<T> {
        match self.recv_unless(channel, || true) {
            Waited::Message(message) => Some(message),
            Waited::Stalled | Waited::Closed => None,
        }
    }

    fn recv_unless<T>(
        &self,
        channel: &Receiver<T>,
        mut is_stalled: impl FnMut() -> bool,
    ) -> Waited<T> {
        self.yield_at(Point::Message);
        loop {
            match channel.try_recv() {
                Ok(message) => return Waited::Message(message),
                Err(TryRecvError::Disconnected) => return Waited::Closed,
                Err(TryRecvError::Empty) if self.signals.abandoned.get() => return Waited::Closed,
                Err(TryRecvError::Empty) => self.yielder.suspend(Suspended::NoMessageYet),
            }
            if self.signals.has_waited.get() && !self.signals.abandoned.get() && is_stalled() {
                return Waited::Stalled;
            }
        }
    }
}
