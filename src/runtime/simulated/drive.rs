//! Execution of the steps of a simulation.

use super::chooser::Chooser;
use super::fiber::{Signals, Suspended};
use super::options::{Options, SimulationError, Step};
use super::record::{Record, Span};
use crate::ids::{TxIndex, WorkerId};
use crate::worker::{Activity, Point};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, ScopedCoroutineRef};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Number of steps in which actors may end after their schedule was abandoned.
const ABANDONED_STEPS: u64 = 100_000;

/// Virtual time, in nanoseconds, after which a waiting actor checks for other work.
const STALL_CHECK_NS: u64 = 200_000;

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
enum ActorState {
    /// Stopped at a point, or about to begin.
    Ready(Option<Point>),
    /// Found no message. `has_checked` is set if no actor has acted since the check. In virtual
    /// time, the actor checks for other work at `until`.
    Waiting {
        has_checked: bool,
        until: Option<u64>,
    },
    Ended,
}

struct Actor<'f> {
    fiber: &'f mut dyn Resume,
    state: ActorState,
    clock: u64,
    busy: u64,
    /// The transaction that the last step ran, if runs have prices.
    priced_run: Option<TxIndex>,
    /// Time deducted from the price of that run, because it probably ends early.
    cut: u64,
}

impl Actor<'_> {
    /// Returns the deducted time if the run did not end early: if `activities` does not report that
    /// it was overtaken.
    fn restore_cut(&mut self, activities: &[Activity]) -> u64 {
        let is_overtaken = activities.iter().any(|it| matches!(it, Activity::Overtaken(_)));
        core::mem::take(&mut self.cut) * u64::from(!is_overtaken)
    }

    /// Returns the time at which the actor takes its next step. A waiting actor takes one after a
    /// while if `others_run`, because others may have sent a message by then.
    const fn resumes_at(&self, others_run: bool) -> Option<u64> {
        match self.state {
            ActorState::Ready(_) | ActorState::Waiting { has_checked: false, .. } => {
                Some(self.clock)
            }
            ActorState::Waiting { until, .. } if others_run => until,
            ActorState::Waiting { .. } | ActorState::Ended => None,
        }
    }

    fn is_runnable(&self) -> bool {
        matches!(self.state, ActorState::Ready(_) | ActorState::Waiting { has_checked: false, .. })
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
/// schedule: receiving from a channel then fails.
pub(super) fn drive(
    fibers: Vec<&mut dyn Resume>,
    options: &Options,
    signals: &Signals,
    cancel: impl Fn(),
) -> Driven {
    let state = ActorState::Ready(None);
    let actors = fibers.into_iter().map(|fiber| Actor {
        fiber,
        state,
        clock: 0,
        busy: 0,
        priced_run: None,
        cut: 0,
    });
    let mut driver = Driver {
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
    let mut result = driver.run_steps(options.step_limit, &cancel);
    if result.is_err() {
        signals.abandoned.set(true);
        cancel();
        driver.reset_checks();
        // A second failure adds nothing to the first.
        let _ = driver.run_steps(driver.count.saturating_add(ABANDONED_STEPS), || {});
    } else if let Some((worker, message)) = driver.panicked.take() {
        result = Err(SimulationError::WorkerPanicked { seed: options.seed, worker, message });
    }
    let Driver { actors, count: step_count, digest, steps, record, suspended, .. } = driver;
    let ends: Vec<u64> = actors.iter().map(|actor| actor.clock).collect();
    let makespan = ends.iter().copied().max().unwrap_or(0);
    let busy = actors.iter().map(|actor| actor.busy).collect();
    Driven { result, step_count, digest, steps, record, makespan, busy, ends, suspended }
}

/// A simulation in progress.
struct Driver<'o, 'f> {
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

impl Driver<'_, '_> {
    fn run_steps(&mut self, limit: u64, cancel: impl Fn()) -> Result<(), SimulationError> {
        let seed = self.options.seed;
        let mut runnable = Vec::new();
        loop {
            if self.options.cancel_at == Some(self.count) {
                cancel();
            }
            runnable.clear();
            let others_run = self.actors.iter().any(|actor| actor.is_runnable());
            let clocks = self.actors.iter().zip(0..);
            let clocks = clocks.map(|(actor, index)| (index, actor.resumes_at(others_run)));
            runnable.extend(clocks.filter_map(|(index, at)| Some((index, at?))));
            let Some(chosen) = self.chooser.choose(&runnable, self.count) else {
                let over = self.actors.iter().all(|actor| actor.state == ActorState::Ended);
                let step = self.count;
                return if over { Ok(()) } else { Err(SimulationError::Deadlock { seed, step }) };
            };
            if self.count >= limit {
                return Err(SimulationError::StepLimit { seed, limit });
            }
            if self.suspend_if_due(chosen) {
                continue;
            }
            if self.resume(chosen) {
                self.reset_checks();
                self.check_at_once(chosen);
            }
        }
    }

    /// Suspends the chosen actor if the options require it at this step. Returns whether it did.
    fn suspend_if_due(&mut self, index: usize) -> bool {
        let suspension =
            self.options.suspended.filter(|suspension| suspension.at_step == self.count);
        let (Some(suspension), None, Some(actor)) =
            (suspension, self.suspended, self.actors.get_mut(index))
        else {
            return false;
        };
        actor.clock += suspension.length;
        let point = match actor.state {
            ActorState::Ready(point) => point,
            ActorState::Waiting { .. } | ActorState::Ended => None,
        };
        self.suspended = Some((worker_id(index), point));
        true
    }

    /// Resumes the chosen actor, which may have waited for a while. Returns whether it acted.
    fn resume(&mut self, index: usize) -> bool {
        if let Some(actor) = self.actors.get_mut(index)
            && let ActorState::Waiting { has_checked, until } = actor.state
        {
            if let Some(until) = until.filter(|_| has_checked) {
                actor.clock = actor.clock.max(until);
                actor.state = ActorState::Waiting { has_checked, until: None };
            }
            let schedule = &self.options.schedule;
            // A run that is a single step signals no progress before its end.
            let has_waited = match schedule.is_virtual_time() {
                true => has_checked && schedule.interrupts_runs(),
                false => true,
            };
            self.signals.has_waited.set(has_waited);
        }
        let acted = self.step(index);
        self.signals.has_waited.set(false);
        acted
    }

    /// Makes waiting actors check for messages again, after an actor acted.
    fn reset_checks(&mut self) {
        for actor in &mut self.actors {
            if let ActorState::Waiting { has_checked, .. } = &mut actor.state {
                *has_checked = false;
            }
        }
    }

    /// Makes waiting actors check for messages at once: in virtual time a message arrives when it
    /// is sent.
    fn check_at_once(&mut self, sender: usize) {
        if !self.options.schedule.is_virtual_time() {
            return;
        }
        let now = self.actors.get(sender).map_or(0, |actor| actor.clock);
        for index in 0..self.actors.len() {
            let Some(actor) = self.actors.get_mut(index) else { continue };
            if matches!(actor.state, ActorState::Waiting { .. }) {
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

    /// Resumes an actor until its next point. Returns whether it acted.
    fn step(&mut self, index: usize) -> bool {
        self.count += 1;
        let Some(actor) = self.actors.get_mut(index) else { return false };
        let mut began = actor.clock;
        let mut duration = 0;
        let mut after = None;
        if let ActorState::Ready(Some(point)) = actor.state {
            duration = self.chooser.cost(point);
            after = Some(point);
        }
        let waited = matches!(actor.state, ActorState::Waiting { .. });
        let worker = worker_id(index);
        let clock = self.chooser.clock();
        let begun = clock.map_or(0, |clock| (clock.now)());
        let resumed = catch_unwind(AssertUnwindSafe(|| actor.fiber.resume()));
        if let Some(clock) = clock {
            duration += (clock.now)().saturating_sub(begun).saturating_sub(clock.overhead);
        }
        let activities = self.signals.activities.take();
        duration += self.chooser.price(&activities);
        let restored = actor.restore_cut(&activities);
        self.record.move_end(worker, began, began + restored);
        began += restored;
        actor.clock = began + duration;
        actor.busy += restored + duration;
        actor.priced_run = self.chooser.last_priced(&activities);
        let now = actor.clock;
        let (state, stopped_at) = match resumed {
            Ok(CoroutineResult::Yield(Suspended::At(point))) => {
                (ActorState::Ready(Some(point)), Some(point))
            }
            Ok(CoroutineResult::Yield(Suspended::NoMessage)) => {
                (ActorState::Waiting { has_checked: true, until: None }, None)
            }
            Ok(CoroutineResult::Yield(Suspended::NoMessageYet)) => {
                let before = match actor.state {
                    ActorState::Waiting { until, .. } => until,
                    ActorState::Ready(_) | ActorState::Ended => None,
                };
                let until = before.unwrap_or(actor.clock + STALL_CHECK_NS);
                let until = self.options.schedule.is_virtual_time().then_some(until);
                (ActorState::Waiting { has_checked: true, until }, None)
            }
            Ok(CoroutineResult::Return(())) => (ActorState::Ended, None),
            Err(payload) => {
                let text = payload.downcast_ref::<String>().cloned();
                let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).into()));
                self.panicked.get_or_insert((worker, text.unwrap_or_default()));
                (ActorState::Ended, None)
            }
        };
        actor.state = state;
        let mark = stopped_at.map_or(0, |point| point as u64 + 1);
        self.digest = (self.digest.rotate_left(5) ^ (u64::from(worker.0) << 8 | mark))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if self.options.keep_steps {
            self.steps.push(Step { worker, stopped_at });
        }
        let is_idle = waited && matches!(state, ActorState::Waiting { .. });
        if self.options.keep_record && !is_idle {
            self.record
                .add_step(Span { worker, after, began, ended: began + duration }, &activities);
        }
        for activity in activities {
            if let Activity::Overtook(tx) = activity {
                self.end_run(tx, now);
            }
        }
        !is_idle
    }

    /// Ends the run of `tx` at `now`, if it has a price and is in progress: in virtual time it made
    /// all of its reads when it began, and acted no more. If the worker finds that the reads are
    /// still valid, the remaining time is charged again.
    fn end_run(&mut self, tx: TxIndex, now: u64) {
        for (index, actor) in self.actors.iter_mut().enumerate() {
            if actor.priced_run == Some(tx) && actor.clock > now {
                actor.cut = actor.clock - now;
                actor.busy -= actor.cut;
                self.record.move_end(worker_id(index), actor.clock, now);
                actor.clock = now;
                actor.priced_run = None;
            }
        }
    }
}
