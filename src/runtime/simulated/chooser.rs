//! Choice of the actor that takes the next step.

use super::options::Options;
use super::random::Random;
use super::schedule::{Clock, Schedule};
use crate::ids::TxIndex;
use crate::worker::{Activity, Point};

/// Number of steps within which priorities change.
const CHANGE_SPAN: u64 = 1_500;

pub(super) struct Chooser {
    schedule: Schedule,
    random: Random,
    last: usize,
    /// Rank of each actor; the actor with the highest rank runs.
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

    /// Chooses one of `runnable`, pairs of an actor and its clock; `None` if there is none.
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
            Schedule::VirtualTime(_) | Schedule::Measured(_) | Schedule::Priced { .. } => {
                runnable.iter().min_by_key(|(index, clock)| (*clock, *index))?.0
            }
        };
        self.last = chosen;
        Some(chosen)
    }

    pub(super) const fn cost(&self, point: Point) -> u64 {
        match &self.schedule {
            Schedule::VirtualTime(costs) | Schedule::Priced { others: costs, .. } => {
                costs.of(point)
            }
            Schedule::Random
            | Schedule::Bursts(_)
            | Schedule::Priorities(_)
            | Schedule::Measured(_) => 0,
        }
    }

    /// Returns the additional cost of the runs in `activities`.
    pub(super) fn price(&self, activities: &[Activity]) -> u64 {
        let Schedule::Priced { runs, .. } = &self.schedule else { return 0 };
        // Reads count as made when the run begins, so a blocked run has not begun.
        let price = |activity: &Activity| match activity {
            Activity::Run(tx) if !activities.contains(&Activity::Blocked(*tx)) => {
                runs.get(tx.position()).copied().unwrap_or_default()
            }
            _ => 0,
        };
        activities.iter().map(price).sum()
    }

    /// Returns the transaction whose run began last, if runs have prices.
    pub(super) fn last_priced(&self, activities: &[Activity]) -> Option<TxIndex> {
        let Schedule::Priced { .. } = &self.schedule else { return None };
        activities.iter().rev().find_map(|activity| match activity {
            Activity::Run(tx) => Some(*tx),
            _ => None,
        })
    }

    /// Returns the clock that measures steps, if there is one.
    pub(super) const fn clock(&self) -> Option<Clock> {
        self.schedule.clock()
    }
}
