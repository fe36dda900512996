//! The seeded bug `ReportBeforePublish`: write sets that are published after their report.

use super::{Context, Point};
use crate::ids::{Version, WorkerId};
use crate::mv::{Entry, Location, Store};
use core::any::Any;
use core::cell::RefCell;

thread_local! {
    /// The write sets, with the workers that report them: in a simulation, all run on one thread.
    static LATE: RefCell<Vec<(WorkerId, Box<dyn Any>)>> = const { RefCell::new(Vec::new()) };
}

/// A write set that is not published yet.
pub(super) struct Late<L: Location> {
    pub(super) version: Version,
    pub(super) writes: Vec<(L, Entry<L>)>,
    /// The locations of the previous version's entries.
    pub(super) previous: Vec<L>,
}

impl<L: Location> Late<L> {
    /// Keeps the write set until `worker` calls [`publish`].
    pub(super) fn keep(self, worker: WorkerId) {
        LATE.with_borrow_mut(|late| late.push((worker, Box::new(self))));
    }
}

/// Publishes what `worker` has reported.
pub(super) fn publish<L: Location>(store: &Store<L>, worker: WorkerId, context: &impl Context) {
    let due: Vec<_> =
        LATE.with_borrow_mut(|late| late.extract_if(.., |(of, _)| *of == worker).collect());
    for late in due.into_iter().filter_map(|(_, late)| late.downcast::<Late<L>>().ok()) {
        let Late { version, writes, previous } = *late;
        let mut stale = Vec::new();
        for location in previous.iter().filter(|at| writes.iter().all(|(by, _)| by != *at)) {
            store.withdraw(version, location, &mut stale);
        }
        for (location, entry) in writes {
            context.yield_at(Point::Publish);
            store.publish(version, &location, entry, &mut stale);
        }
    }
}
