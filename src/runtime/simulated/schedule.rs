//! Schedules: how the next actor is chosen, and how virtual time passes.

use crate::worker::Point;
use std::sync::Arc;

/// Virtual time of an actor's work after each point, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Beginning a run.
    pub begin: u64,
    /// A read, including the execution up to the next read.
    pub read: u64,
    /// A read of the base state.
    pub base_read: u64,
    /// Publishing or removing an entry.
    pub publish: u64,
    /// Comparing reads before publication.
    pub check: u64,
    /// Sending or receiving a message.
    pub message: u64,
    /// Acquiring or releasing the coordinator lock.
    pub coordinator: u64,
    /// Validating at the frontier.
    pub validate: u64,
    /// Committing an outcome.
    pub commit: u64,
}

impl Costs {
    /// Returns the cost of the work after `point`.
    #[must_use]
    pub const fn of(&self, point: Point) -> u64 {
        match point {
            Point::Begin => self.begin,
            Point::Read => self.read,
            Point::BaseRead => self.base_read,
            Point::Publish => self.publish,
            Point::Check => self.check,
            Point::Message => self.message,
            Point::Coordinator => self.coordinator,
            Point::Validate => self.validate,
            Point::Commit => self.commit,
            Point::Between | Point::Fold => 0,
        }
    }
}

/// A clock provided by the caller, because the library has none.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Returns nanoseconds since any fixed moment.
    pub now: fn() -> u64,
    /// Time that the clock measures for an empty step, in nanoseconds.
    pub overhead: u64,
}

impl PartialEq for Clock {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::fn_addr_eq(self.now, other.now) && self.overhead == other.overhead
    }
}

impl Eq for Clock {}

/// How the next actor is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// A random runnable actor.
    Random,
    /// The same actor for about this many steps, then any other.
    Bursts(u64),
    /// The actor with the highest priority. At this many random steps, the highest priority becomes
    /// the lowest (probabilistic concurrency testing, Burckhardt et al.).
    Priorities(u32),
    /// The actor that is furthest behind in virtual time.
    VirtualTime(Costs),
    /// As `VirtualTime`, but each step takes its real time, measured by this clock. Reads do not
    /// interrupt a run; all of them count as made when the run begins.
    Measured(Clock),
    /// As `Measured`, with fixed times: `runs` for the runs of transactions, and `others` for the
    /// work after each point.
    Priced {
        /// Time of each transaction, in nanoseconds.
        runs: Arc<[u64]>,
        /// Costs of everything else.
        others: Costs,
    },
}

impl Schedule {
    /// Returns the clock that measures steps, if there is one.
    pub(super) const fn clock(&self) -> Option<Clock> {
        match self {
            Self::Measured(clock) => Some(*clock),
            _ => None,
        }
    }

    pub(super) const fn is_virtual_time(&self) -> bool {
        matches!(self, Self::VirtualTime(_) | Self::Measured(_) | Self::Priced { .. })
    }

    /// Returns whether reads interrupt a run.
    pub(super) const fn interrupts_runs(&self) -> bool {
        !matches!(self, Self::Measured(_) | Self::Priced { .. })
    }
}
