//! What the workers of a simulated run did, and when.

use crate::ids::WorkerId;
use crate::worker::{Activity, Point};

/// What workers did, in virtual time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What each worker was busy with, in the order of the steps. In between it waited.
    pub spans: Vec<Span>,
    /// What they said of transactions, in the same order.
    pub told: Vec<Told>,
    /// Virtual time at which each task ended.
    pub ends: Vec<u64>,
}

/// A worker was busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The worker.
    pub worker: WorkerId,
    /// The point that it went on from; `None` at the beginning of a task, and after waiting.
    pub after: Option<Point>,
    /// Virtual time.
    pub began: u64,
    /// Virtual time.
    pub ended: u64,
}

/// A worker said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The worker.
    pub worker: WorkerId,
    /// What it said.
    pub activity: Activity,
    /// Virtual time at the beginning of the step in which it did.
    pub at: u64,
}

impl Record {
    /// A step. One that goes on with what the last step of all did is part of that, unless it began
    /// a run.
    pub(super) fn note(&mut self, step: Span, told: &[Activity]) {
        let Span { worker, after, began, ended } = step;
        self.told.extend(told.iter().map(|activity| Told {
            worker,
            activity: *activity,
            at: began,
        }));
        let goes_on = |last: &&mut Span| {
            (last.worker, last.after, last.ended) == (worker, after, began)
                && after != Some(Point::Begin)
        };
        match self.spans.last_mut().filter(goes_on) {
            Some(last) => last.ended = ended,
            None if began < ended => self.spans.push(step),
            None => {}
        }
    }

    /// Adds what a later task came to, which took `makespan` from `offset` on.
    pub(super) fn extend(&mut self, later: Self, offset: u64, makespan: u64) {
        let moved = |at: u64| at.saturating_add(offset);
        self.spans.extend(later.spans.into_iter().map(|span| Span {
            began: moved(span.began),
            ended: moved(span.ended),
            ..span
        }));
        let told = later.told.into_iter();
        self.told.extend(told.map(|told| Told { at: moved(told.at), ..told }));
        self.ends.push(moved(makespan));
    }
}
