//! Execution of steps: which actor goes on, and the result.

use super::chooser::Chooser;
use super::fiber::{Signals, Suspended};
use super::options::{Options, SimulationError, Step};
use super::record::{Record, Span};
use crate::ids::{TxIndex, WorkerId};
use crate::worker::{Activity, Point};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, ScopedCoroutineRef};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Number of steps in which actors may end by themselves after their schedule was abandoned.
const LAST_STEPS: u64 = 100_000;

/// Virtual time, in nanoseconds, after which a waiting actor checks for other work.
const WHILE: u64 = 200_000;

fn worker_id(index: usize) -> WorkerId {
    WorkerId(u16::try_from(index).unwrap_or(u16::MAX))
}

/// A fiber that can be resumed until its next point.
pub(super) trait Resume {
    fn resume(&mut self) -> CoroutineResult<Suspended, ()>;
}

impl Resume for Coroutine<(), Suspended, ()> {
    fn resume(&mut self) -> CoroutineResult<Suspended, ()> {
        Self::resume(self, ())
    }
}

impl Resume for ScopedCoroutineRef<'_, (), Suspended, (), DefaultStack> {
    fn resume(&mut self) -> CoroutineResult<Suspended, ()> {
        Self::resume(self, ())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Stopped at a point, or about to begin.
    Ready(Option<Point>),
    /// Found no message. `looked` is set if no actor has acted since the check. In virtual time,
    /// the actor has waited for a while at `until`.
    Waiting {
        looked: bool,
        until: Option<u64>,
    },
    Ended,
}

struct Actor<'f> {
    fiber: &'f mut dyn Resume,
    standing: Standing,
    clock: u64,
    busy: u64,
    /// The transaction run by the actor's last step, if runs have prices.
    runs: Option<TxIndex>,
    /// Time deducted from the price of that run, because the run probably ends earlier.
    cut: u64,
}

impl Actor<'_> {
    /// Returns the time to charge after all if the run went on: if `activities` does not report that it
    /// was overtaken.
    fn uncut(&mut self, activities: &[Activity]) -> u64 {
        let is_overtaken = activities.iter().any(|it| matches!(it, Activity::Overtaken(_)));
        core::mem::take(&mut self.cut) * u64::from(!is_overtaken)
    }

    /// Returns when the actor goes on. A waiting actor goes on after a while if `may_wait`, because
    /// others may have acted by then.
    const fn goes_on_at(&self, may_wait: bool) -> Option<u64> {
        match self.standing {
            Standing::Ready(_) | Standing::Waiting { looked: false, .. } => Some(self.clock),
            Standing::Waiting { until, .. } if may_wait => until,
            Standing::Waiting { .. } | Standing::Ended => None,
        }
    }

    fn is_runnable(&self) -> bool {
        matches!(self.standing, Standing::Ready(_) | Standing::Waiting { looked: false, .. })
    }
}

/// Result of driving fibers.
pub(super) struct Driven {
    pub(super) result: Result<(), SimulationError>,
    pub(super) step_count: u64,
    pub(super) digest: u64,
    pub(super) steps: Vec<Step>,
    pub(super) record: Record,
    pub(super) makespan: u64,
    pub(super) busy: Vec<u64>,
    pub(super) ends: Vec<u64>,
    pub(super) suspended: Option<(WorkerId, Option<Point>)>,
}

/// Resumes `fibers` until all have ended. If they do not end, calls `cancel` and abandons the
/// schedule: waiting actors then learn that no message will arrive.
pub(super) fn drive(
    fibers: Vec<&mut dyn Resume>,
    options: &Options,
    signals: &Signals,
    cancel: impl Fn(),
) -> Driven {
    let standing = Standing::Ready(None);
    let actors = fibers.into_iter().map(|fiber| Actor {
        fiber,
        standing,
        clock: 0,
        busy: 0,
        runs: None,
        cut: 0,
    });
    let mut run = Run {
        actors: actors.collect(),
        chooser: Chooser::new(options),
        options,
        signals,
        suspended: None,
        count: 0,
        digest: 0,
        steps: Vec::new(),
        record: Record::default(),
        panicked: None,
    };
    let mut result = run.go(options.step_limit, &cancel);
    if result.is_err() {
        signals.given_up.set(true);
        cancel();
        run.forget_looks();
        // A second failure adds nothing to the first.
        let _ = run.go(run.count.saturating_add(LAST_STEPS), || {});
    } else if let Some((worker, message)) = run.panicked.take() {
        result = Err(SimulationError::WorkerPanicked { seed: options.seed, worker, message });
    }
    let Run { actors, count: step_count, digest, steps, record, suspended, .. } = run;
    let ends: Vec<u64> = actors.iter().map(|actor| actor.clock).collect();
    let makespan = ends.iter().copied().max().unwrap_or(0);
    let busy = actors.iter().map(|actor| actor.busy).collect();
    Driven { result, step_count, digest, steps, record, makespan, busy, ends, suspended }
}

/// A simulation in progress.
struct Run<'o, 'f> {
    actors: Vec<Actor<'f>>,
    chooser: Chooser,
    options: &'o Options,
    signals: &'o Signals,
    suspended: Option<(WorkerId, Option<Point>)>,
    count: u64,
    digest: u64,
    steps: Vec<Step>,
    record: Record,
    panicked: Option<(WorkerId, String)>,
}

impl Run<'_, '_> {
    fn go(&mut self, limit: u64, cancel: impl Fn()) -> Result<(), SimulationError> {
        let seed = self.options.seed;
        let mut runnable = Vec::new();
        loop {
            if self.options.cancel_at == Some(self.count) {
                cancel();
            }
            runnable.clear();
            let may_wait = self.actors.iter().any(|actor| actor.is_runnable());
            let clocks = self.actors.iter().zip(0..);
            let clocks = clocks.map(|(actor, index)| (index, actor.goes_on_at(may_wait)));
            runnable.extend(clocks.filter_map(|(index, at)| Some((index, at?))));
            let Some(chosen) = self.chooser.choose(&runnable, self.count) else {
                let over = self.actors.iter().all(|actor| actor.standing == Standing::Ended);
                let step = self.count;
                return if over { Ok(()) } else { Err(SimulationError::Deadlock { seed, step }) };
            };
            if self.count >= limit {
                return Err(SimulationError::StepLimit { seed, limit });
            }
            if self.suspends(chosen) {
                continue;
            }
            if self.go_on(chosen) {
                self.forget_looks();
                self.look_at_once(chosen);
            }
        }
    }

    /// Suspends the actor that would go on, if the options say so. Returns whether it did.
    fn suspends(&mut self, index: usize) -> bool {
        let suspension =
            self.options.suspended.filter(|suspension| suspension.at_step == self.count);
        let (Some(suspension), None, Some(actor)) =
            (suspension, self.suspended, self.actors.get_mut(index))
        else {
            return false;
        };
        actor.clock += suspension.length;
        let point = match actor.standing {
            Standing::Ready(point) => point,
            Standing::Waiting { .. } | Standing::Ended => None,
        };
        self.suspended = Some((worker_id(index), point));
        true
    }

    /// Resumes the chosen actor; a waiting one has waited for a while. Returns whether it did
    /// anything.
    fn go_on(&mut self, index: usize) -> bool {
        if let Some(actor) = self.actors.get_mut(index)
            && let Standing::Waiting { looked, until } = actor.standing
        {
            if let Some(until) = until.filter(|_| looked) {
                actor.clock = actor.clock.max(until);
                actor.standing = Standing::Waiting { looked, until: None };
            }
            let schedule = &self.options.schedule;
            // Where a run is a single step, it shows no progress before its end.
            let has_waited = match schedule.is_virtual_time() {
                true => looked && schedule.interrupts_runs(),
                false => true,
            };
            self.signals.has_waited.set(has_waited);
        }
        let went_on = self.step(index);
        self.signals.has_waited.set(false);
        went_on
    }

    /// Makes waiting actors check again, after an actor acted and may have sent a message.
    fn forget_looks(&mut self) {
        for actor in &mut self.actors {
            if let Standing::Waiting { looked, .. } = &mut actor.standing {
                *looked = false;
            }
        }
    }

    /// In virtual time a message arrives when it is sent, not when an actor checks for it.
    fn look_at_once(&mut self, sender: usize) {
        if !self.options.schedule.is_virtual_time() {
            return;
        }
        let now = self.actors.get(sender).map_or(0, |actor| actor.clock);
        for index in 0..self.actors.len() {
            let Some(actor) = self.actors.get_mut(index) else { continue };
            if matches!(actor.standing, Standing::Waiting { .. }) {
                let before = actor.clock;
                actor.clock = before.max(now);
                if !self.step(index)
                    && let Some(actor) = self.actors.get_mut(index)
                {
                    actor.clock = before;
                }
            }
        }
    }

    /// Resumes an actor until its next point. Returns whether it did anything.
    fn step(&mut self, index: usize) -> bool {
        self.count += 1;
        let Some(actor) = self.actors.get_mut(index) else { return false };
        let mut began = actor.clock;
        let mut took = 0;
        let mut after = None;
        if let Standing::Ready(Some(point)) = actor.standing {
            took = self.chooser.cost(point);
            after = Some(point);
        }
        let waited = matches!(actor.standing, Standing::Waiting { .. });
        let worker = worker_id(index);
        let clock = self.chooser.clock();
        let begun = clock.map_or(0, |clock| (clock.now)());
        let resumed = catch_unwind(AssertUnwindSafe(|| actor.fiber.resume()));
        if let Some(clock) = clock {
            took += (clock.now)().saturating_sub(begun).saturating_sub(clock.overhead);
        }
        let activities = self.signals.activities.take();
        took += self.chooser.price(&activities);
        let uncut = actor.uncut(&activities);
        self.record.end_at(worker, began, began + uncut);
        began += uncut;
        actor.clock = began + took;
        actor.busy += uncut + took;
        actor.runs = self.chooser.last_priced(&activities);
        let now = actor.clock;
        let (standing, stopped_at) = match resumed {
            Ok(CoroutineResult::Yield(Suspended::At(point))) => {
                (Standing::Ready(Some(point)), Some(point))
            }
            Ok(CoroutineResult::Yield(Suspended::NoMessage)) => {
                (Standing::Waiting { looked: true, until: None }, None)
            }
            Ok(CoroutineResult::Yield(Suspended::NoMessageYet)) => {
                let before = match actor.standing {
                    Standing::Waiting { until, .. } => until,
                    Standing::Ready(_) | Standing::Ended => None,
                };
                let until = before.unwrap_or(actor.clock + WHILE);
                let until = self.options.schedule.is_virtual_time().then_some(until);
                (Standing::Waiting { looked: true, until }, None)
            }
            Ok(CoroutineResult::Return(())) => (Standing::Ended, None),
            Err(payload) => {
                let text = payload.downcast_ref::<String>().cloned();
                let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).into()));
                self.panicked.get_or_insert((worker, text.unwrap_or_default()));
                (Standing::Ended, None)
            }
        };
        actor.standing = standing;
        let mark = stopped_at.map_or(0, |point| point as u64 + 1);
        self.digest = (self.digest.rotate_left(5) ^ (u64::from(worker.0) << 8 | mark))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if self.options.keep_steps {
            self.steps.push(Step { worker, stopped_at });
        }
        let is_idle = waited && matches!(standing, Standing::Waiting { .. });
        if self.options.keep_record && !is_idle {
            self.record.note(Span { worker, after, began, ended: began + took }, &activities);
        }
        for activity in activities {
            if let Activity::Overtook(tx) = activity {
                self.end_run(tx, now);
            }
        }
        !is_idle
    }

    /// Ends the run of `tx` at `now`, if it has a price and is in progress: in virtual time it made
    /// all of its reads when it began, and has done nothing since. If its worker finds that the run
    /// goes on, the time is charged after all.
    fn end_run(&mut self, tx: TxIndex, now: u64) {
        for (index, actor) in self.actors.iter_mut().enumerate() {
            if actor.runs == Some(tx) && actor.clock > now {
                actor.cut = actor.clock - now;
                actor.busy -= actor.cut;
                self.record.end_at(worker_id(index), actor.clock, now);
                actor.clock = now;
                actor.runs = None;
            }
        }
    }
}
