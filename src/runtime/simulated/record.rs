//! Record of the workers' activities in a simulation.

use crate::ids::WorkerId;
use crate::worker::{Activity, Point};

/// Activities of workers, in virtual time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Busy periods of the workers, in the order of the steps. A worker waits between its periods.
    pub spans: Vec<Span>,
    /// Activities that workers reported, in the same order.
    pub activities: Vec<ReportedActivity>,
    /// Virtual time at which each task ended.
    pub ends: Vec<u64>,
}

/// A busy period of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The worker.
    pub worker: WorkerId,
    /// The point before this period; `None` at the beginning of a task, and after waiting.
    pub after: Option<Point>,
    /// Virtual time of the beginning.
    pub began: u64,
    /// Virtual time of the end.
    pub ended: u64,
}

/// An activity that a worker reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedActivity {
    /// The worker.
    pub worker: WorkerId,
    /// The activity.
    pub activity: Activity,
    /// Virtual time at which the step began.
    pub at: u64,
}

impl Record {
    /// Adds a step. A step that continues the previous one is merged with it, unless it began a
    /// run.
    pub(super) fn add_step(&mut self, step: Span, activities: &[Activity]) {
        let Span { worker, after, began, ended } = step;
        self.activities.extend(activities.iter().map(|activity| ReportedActivity {
            worker,
            activity: *activity,
            at: began,
        }));
        let continues = |last: &&mut Span| {
            (last.worker, last.after, last.ended) == (worker, after, began)
                && after != Some(Point::Begin)
        };
        match self.spans.last_mut().filter(continues) {
            Some(last) => last.ended = ended,
            None if began < ended => self.spans.push(step),
            None => {}
        }
    }

    /// Moves the end of the last span of `worker` from `end` to `new_end`.
    pub(super) fn move_end(&mut self, worker: WorkerId, end: u64, new_end: u64) {
        let mut spans = self.spans.iter_mut().rev();
        if let Some(last) = spans.find(|span| span.worker == worker)
            && last.ended == end
        {
            last.ended = new_end;
        }
    }

    /// Appends the record of a later task, which began at `offset` and took `makespan`.
    pub(super) fn extend(&mut self, later: Self, offset: u64, makespan: u64) {
        let shifted = |at: u64| at.saturating_add(offset);
        self.spans.extend(later.spans.into_iter().map(|span| Span {
            began: shifted(span.began),
            ended: shifted(span.ended),
            ..span
        }));
        let activities = later.activities.into_iter();
        self.activities.extend(
            activities.map(|activity| ReportedActivity { at: shifted(activity.at), ..activity }),
        );
        self.ends.push(shifted(makespan));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TxIndex;

    fn step(worker: u16, after: Option<Point>, began: u64, ended: u64) -> Span {
        Span { worker: WorkerId(worker), after, began, ended }
    }

    #[test]
    fn steps_are_joined_unless_they_begin_runs() {
        let mut record = Record::default();
        let run = [Activity::Run(TxIndex(7))];
        record.add_step(step(0, Some(Point::Begin), 0, 5), &run);
        record.add_step(step(0, Some(Point::Begin), 5, 9), &[]);
        record.add_step(step(0, Some(Point::Publish), 9, 10), &[]);
        record.add_step(step(0, Some(Point::Publish), 10, 12), &[]);
        record.add_step(step(1, Some(Point::Publish), 12, 13), &[]);
        record.add_step(step(0, Some(Point::Publish), 14, 14), &[]);
        let ends: Vec<(u64, u64)> =
            record.spans.iter().map(|span| (span.began, span.ended)).collect();
        assert_eq!(ends, [(0, 5), (5, 9), (9, 12), (12, 13)]);
        assert_eq!(
            record.activities,
            [ReportedActivity { worker: WorkerId(0), activity: run[0], at: 0 }]
        );
    }

    #[test]
    fn a_later_task_is_moved_behind_the_earlier_ones() {
        let mut record = Record::default();
        for (offset, makespan) in [(0, 10), (10, 20)] {
            let mut task = Record::default();
            task.add_step(step(1, None, 2, 4), &[Activity::Run(TxIndex(0))]);
            record.extend(task, offset, makespan);
        }
        assert_eq!(record.spans, [step(1, None, 2, 4), step(1, None, 12, 14)]);
        assert_eq!(
            record.activities.iter().map(|activities| activities.at).collect::<Vec<_>>(),
            [2, 12]
        );
        assert_eq!(record.ends, [10, 30]);
    }
}
