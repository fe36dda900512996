//! How it is chosen who goes next, and what virtual time is.

use crate::worker::Point;
use std::sync::Arc;

/// Virtual time of what an actor does at each point, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Beginning a run.
    pub begin: u64,
    /// A read that resolves, with the execution up to the next.
    pub read: u64,
    /// A read of the base state.
    pub base_read: u64,
    /// Publishing or removing one entry.
    pub publish: u64,
    /// Comparing reads before publishing.
    pub check: u64,
    /// Sending or receiving a message.
    pub message: u64,
    /// Taking the coordinator lock or releasing it.
    pub coordinator: u64,
    /// Validating at the frontier.
    pub validate: u64,
    /// Committing one outcome.
    pub commit: u64,
}

impl Costs {
    /// The cost of what follows `point`.
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
            Point::Between => 0,
        }
    }
}

/// A clock of the caller's: the library has none.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Nanoseconds since any fixed moment.
    pub now: fn() -> u64,
    /// Nanoseconds that a step of nothing seems to take by it.
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
    /// Any runnable one, each as likely as the others.
    Random,
    /// The same one for about this many steps, then any other.
    Bursts(u64),
    /// The one with the highest priority; at this many random steps the highest becomes the
    /// lowest (probabilistic concurrency testing, Burckhardt et al.).
    Priorities(u32),
    /// The one that is furthest behind in virtual time.
    VirtualTime(Costs),
    /// The same, where a step takes as long in virtual time as it really takes by this clock. Reads
    /// do not interrupt a run then: all of them count as made when it begins.
    Measured(Clock),
    /// The same, where nothing is measured: a run of a transaction takes as long as `runs` says,
    /// and what follows a point as `others` says.
    Priced {
        /// For each transaction.
        runs: Arc<[u64]>,
        /// For everything else.
        others: Costs,
    },
}

impl Schedule {
    /// What measures steps, if anything does.
    pub(super) const fn clock(&self) -> Option<Clock> {
        match self {
            Self::Measured(clock) => Some(*clock),
            _ => None,
        }
    }

    pub(super) const fn is_virtual_time(&self) -> bool {
        matches!(self, Self::VirtualTime(_) | Self::Measured(_) | Self::Priced { .. })
    }

    /// Whether reads interrupt a run.
    pub(super) const fn interrupts_runs(&self) -> bool {
        !matches!(self, Self::Measured(_) | Self::Priced { .. })
    }
}
