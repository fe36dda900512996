//! The seeded bug `ReportBeforePublish`: write sets that are published after their report.

use super::{Context, Point};
use crate::ids::{Version, WorkerId};
use crate::mv::{Entry, Location, Store};
use core::any::Any;
use core::cell::RefCell;

thread_local! {
    /// The delayed write sets, with their workers: in a simulation, all workers run on one thread.
    static DELAYED: RefCell<Vec<(WorkerId, Box<dyn Any>)>> = const { RefCell::new(Vec::new()) };
}

/// A write set that was reported and is not published yet.
pub(super) struct DelayedWrites<L: Location> {
    pub(super) version: Version,
    pub(super) writes: Vec<(L, Entry<L>)>,
    /// Locations of the entries of the previous incarnation.
    pub(super) previous: Vec<L>,
}

impl<L: Location> DelayedWrites<L> {
    /// Keeps the write set until `worker` calls [`publish`].
    pub(super) fn keep(self, worker: WorkerId) {
        DELAYED.with_borrow_mut(|delayed| delayed.push((worker, Box::new(self))));
    }
}

/// Publishes the delayed write sets of `worker`.
pub(super) fn publish<L: Location>(store: &Store<L>, worker: WorkerId, context: &impl Context) {
    let due: Vec<_> =
        DELAYED.with_borrow_mut(|all| all.extract_if(.., |(by, _)| *by == worker).collect());
    let due = due.into_iter().filter_map(|(_, writes)| writes.downcast::<DelayedWrites<L>>().ok());
    for delayed in due {
        let DelayedWrites { version, writes, previous } = *delayed;
        let mut stale = Vec::new();
        for location in previous.iter().filter(|old| writes.iter().all(|(new, _)| new != *old)) {
            store.withdraw(version, location, &mut stale);
        }
        for (location, entry) in writes {
            context.yield_at(Point::Publish);
            store.publish(version, &location, entry, &mut stale);
        }
    }
}
