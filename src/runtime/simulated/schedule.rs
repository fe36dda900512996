//! Who goes next.

use super::Options;
use super::random::Random;
use crate::worker::Point;

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
    /// Taking the role or giving it back.
    pub role: u64,
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
            Point::Role => self.role,
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
        matches!(self, Self::VirtualTime(_) | Self::Measured(_))
    }
}

/// Within how many steps the changes of priority lie.
const CHANGE_SPAN: u64 = 1_500;

pub(super) struct Chooser {
    schedule: Schedule,
    random: Random,
    last: usize,
    /// Rank of each actor; the highest runs.
    ranks: Vec<i64>,
    /// Steps at which priorities change, latest first.
    changes: Vec<u64>,
}

impl Chooser {
    pub(super) fn new(options: &Options) -> Self {
        let mut random = Random::new(options.seed);
        let mut ranks: Vec<i64> = (1..=i64::from(options.workers.max(1))).collect();
        for index in (1..ranks.len()).rev() {
            let other = usize::try_from(random.below(index as u64 + 1)).unwrap_or(0);
            ranks.swap(index, other);
        }
        let mut changes = Vec::new();
        if let Schedule::Priorities(count) = options.schedule {
            changes.extend((0..count).map(|_| random.below(CHANGE_SPAN)));
            changes.sort_unstable_by(|a, b| b.cmp(a));
        }
        Self { schedule: options.schedule.clone(), random, last: 0, ranks, changes }
    }

    /// One of `runnable`, given as actor and clock, or nothing if there is none.
    pub(super) fn choose(&mut self, runnable: &[(usize, u64)], step: u64) -> Option<usize> {
        let rank = |ranks: &[i64], index: usize| ranks.get(index).copied().unwrap_or(i64::MIN);
        let chosen = match self.schedule {
            Schedule::Random => self.random.pick(runnable)?.0,
            Schedule::Bursts(length) => {
                let stays = runnable.iter().any(|(index, _)| *index == self.last);
                if stays && !self.random.chance(1, length) {
                    self.last
                } else {
                    self.random.pick(runnable)?.0
                }
            }
            Schedule::Priorities(_) => {
                let highest = |ranks: &[i64]| {
                    runnable.iter().map(|(index, _)| *index).max_by_key(|i| rank(ranks, *i))
                };
                if self.changes.pop_if(|change| *change <= step).is_some()
                    && let Some(first) = highest(&self.ranks)
                {
                    let lowest = self.ranks.iter().copied().min().unwrap_or(0);
                    if let Some(rank) = self.ranks.get_mut(first) {
                        *rank = lowest - 1;
                    }
                }
                highest(&self.ranks)?
            }
            Schedule::VirtualTime(_) | Schedule::Measured(_) => {
                runnable.iter().min_by_key(|(index, clock)| (*clock, *index))?.0
            }
        };
        self.last = chosen;
        Some(chosen)
    }

    pub(super) const fn cost(&self, point: Point) -> u64 {
        match &self.schedule {
            Schedule::VirtualTime(costs) => costs.of(point),
            Schedule::Random
            | Schedule::Bursts(_)
            | Schedule::Priorities(_)
            | Schedule::Measured(_) => 0,
        }
    }

    /// What measures steps, if anything does.
    pub(super) const fn clock(&self) -> Option<Clock> {
        self.schedule.clock()
    }
}
