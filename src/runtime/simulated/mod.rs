//! The simulated runtime: the real pipeline with one runnable actor at a time, chosen by a seed.
//!
//! Every actor is a fiber on the calling thread that runs [`work`] as a thread would. It is
//! suspended at each [`Point`], so that another actor may act between two reads of one
//! transaction. The same block with the same [`Options`] takes the same steps each time.

mod schedule;

pub use schedule::{Clock, Costs, Schedule};

use crate::ids::WorkerId;
use crate::sync::{Receiver, TryRecvError};
use crate::worker::{BlockEnd, Context, Ledger, Point, Shared, Workload, work};
use core::cell::Cell;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use schedule::Chooser;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// Steps that actors get to end by themselves once their schedule is given up.
const LAST_STEPS: u64 = 100_000;

/// Stack of a fiber, in bytes.
const STACK: usize = 256 << 10;

/// Choices of one simulated run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of workers; at least 1.
    pub workers: u16,
    /// Decides every choice of the schedule.
    pub seed: u64,
    /// How the next actor is chosen.
    pub schedule: Schedule,
    /// Cancel the block before this step.
    pub cancel_at: Option<u64>,
    /// Steps after which the run counts as endless.
    pub step_limit: u64,
    /// Keep every step for [`Simulated::steps`].
    pub keep_steps: bool,
}

impl Options {
    /// A random schedule with a generous limit.
    #[must_use]
    pub const fn new(workers: u16, seed: u64) -> Self {
        Self {
            workers,
            seed,
            schedule: Schedule::Random,
            cancel_at: None,
            step_limit: 1_000_000,
            keep_steps: false,
        }
    }
}

/// One step: this actor went on until its next point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The actor.
    pub worker: WorkerId,
    /// Where it stopped; nothing if it found no message, or ended.
    pub stopped_at: Option<Point>,
}

/// What a simulated run came to.
#[derive(Debug)]
pub struct Simulated<W: Workload, G> {
    /// The end of the block.
    pub end: BlockEnd<W, G>,
    /// Number of steps.
    pub step_count: u64,
    /// The same for equal sequences of steps.
    pub digest: u64,
    /// All steps, if they were asked for.
    pub steps: Vec<Step>,
    /// Virtual time at which the last actor ended, in the unit of [`Costs`].
    pub makespan: u64,
    /// Virtual time for which each actor was busy.
    pub busy: Vec<u64>,
}

/// Why a simulated run has no result. Each message names the seed that replays it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// Every actor that has not ended waits for a message.
    #[error("seed {seed}: deadlock after {step} steps")]
    Deadlock {
        /// The seed.
        seed: u64,
        /// Steps so far.
        step: u64,
    },
    /// The run took too many steps.
    #[error("seed {seed}: not over after {limit} steps")]
    StepLimit {
        /// The seed.
        seed: u64,
        /// The limit.
        limit: u64,
    },
    /// An actor panicked outside a transaction.
    #[error("seed {seed}: worker {} panicked: {message}", worker.0)]
    WorkerPanicked {
        /// The seed.
        seed: u64,
        /// The actor.
        worker: WorkerId,
        /// What it said.
        message: String,
    },
    /// There is no memory for another stack.
    #[error("no stack for a fiber: {message}")]
    NoStack {
        /// What the system said.
        message: String,
    },
}

/// Where a fiber stopped.
enum Suspended {
    At(Point),
    NoMessage,
}

/// The context of an actor on a fiber.
struct Fiber<'y> {
    yielder: &'y Yielder<(), Suspended>,
    given_up: Rc<Cell<bool>>,
    /// Whether reads interrupt a run.
    reads: bool,
}

impl Context for Fiber<'_> {
    fn yield_at(&self, point: Point) {
        if self.reads || !matches!(point, Point::Read | Point::BaseRead) {
            self.yielder.suspend(Suspended::At(point));
        }
    }

    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        self.yield_at(Point::Message);
        loop {
            match channel.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.given_up.get() => return None,
                Err(TryRecvError::Empty) => self.yielder.suspend(Suspended::NoMessage),
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Stopped at a point, or about to begin.
    Ready(Option<Point>),
    /// Found no message. `looked`: since anybody did anything.
    Waiting {
        looked: bool,
    },
    Ended,
}

struct Actor {
    fiber: Coroutine<(), Suspended, ()>,
    standing: Standing,
    clock: u64,
    busy: u64,
}

impl Actor {
    fn is_runnable(&self) -> bool {
        matches!(self.standing, Standing::Ready(_) | Standing::Waiting { looked: false })
    }
}

/// Runs blocks; keeps the stacks of its fibers from one to the next.
pub struct Simulator {
    stacks: Vec<DefaultStack>,
    stack_size: usize,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::with_stack_size(STACK)
    }
}

impl core::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Simulator").field("stacks", &self.stacks.len()).finish()
    }
}

impl Simulator {
    /// A simulator for machines that need little room.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A simulator whose fibers have stacks of `stack_size` bytes.
    #[must_use]
    pub const fn with_stack_size(stack_size: usize) -> Self {
        Self { stacks: Vec::new(), stack_size }
    }

    /// Runs a block to its end.
    ///
    /// # Errors
    /// If it does not come to one.
    pub fn run<W, G>(
        &mut self,
        shared: Shared<W, G>,
        options: &Options,
    ) -> Result<Simulated<W, G>, SimulationError>
    where
        W: Workload + 'static,
        G: Ledger<Output = W::Output, Rejection = W::Rejection> + 'static,
    {
        let shared = Arc::new(shared);
        let given_up = Rc::new(Cell::new(false));
        let reads = !matches!(options.schedule, Schedule::Measured(_));
        let mut actors = Vec::new();
        for worker in 0..options.workers.max(1) {
            let (shared, given_up) = (Arc::clone(&shared), Rc::clone(&given_up));
            let fiber = Coroutine::with_stack(self.stack()?, move |yielder, ()| {
                work(&shared, WorkerId(worker), &Fiber { yielder, given_up, reads });
            });
            actors.push(Actor { fiber, standing: Standing::Ready(None), clock: 0, busy: 0 });
        }
        let mut run = Run {
            actors,
            chooser: Chooser::new(options),
            options,
            count: 0,
            digest: 0,
            steps: Vec::new(),
            panicked: None,
        };
        let cancel = || shared.cancel();
        let mut result = run.go(options.step_limit, cancel);
        if result.is_err() {
            given_up.set(true);
            shared.cancel();
            run.forget_looks();
            // A second failure says no more than the first.
            let _ = run.go(run.count.saturating_add(LAST_STEPS), || {});
        } else if let Some((worker, message)) = run.panicked.take() {
            result = Err(SimulationError::WorkerPanicked { seed: options.seed, worker, message });
        }
        let Run { actors, count: step_count, digest, steps, .. } = run;
        let makespan = actors.iter().map(|actor| actor.clock).max().unwrap_or(0);
        let busy = actors.iter().map(|actor| actor.busy).collect();
        for actor in actors {
            if actor.fiber.done() {
                self.stacks.push(actor.fiber.into_stack());
            } else {
                // Unwinding it would run into the guards of the engine; an endless run may leak.
                core::mem::forget(actor.fiber);
            }
        }
        result?;
        // All fibers are done, and with each its hold on the block.
        let Some(shared) = Arc::into_inner(shared) else {
            return Err(SimulationError::Deadlock { seed: options.seed, step: step_count });
        };
        let end = shared.into_end();
        Ok(Simulated { end, step_count, digest, steps, makespan, busy })
    }

    fn stack(&mut self) -> Result<DefaultStack, SimulationError> {
        let no_stack =
            |error: std::io::Error| SimulationError::NoStack { message: error.to_string() };
        self.stacks.pop().map_or_else(|| DefaultStack::new(self.stack_size).map_err(no_stack), Ok)
    }
}

/// One run in progress.
struct Run<'o> {
    actors: Vec<Actor>,
    chooser: Chooser,
    options: &'o Options,
    count: u64,
    digest: u64,
    steps: Vec<Step>,
    panicked: Option<(WorkerId, String)>,
}

impl Run<'_> {
    fn go(&mut self, limit: u64, cancel: impl Fn()) -> Result<(), SimulationError> {
        let seed = self.options.seed;
        let mut runnable = Vec::new();
        loop {
            if self.options.cancel_at == Some(self.count) {
                cancel();
            }
            runnable.clear();
            let clocks = self.actors.iter().zip(0..).filter(|(actor, _)| actor.is_runnable());
            runnable.extend(clocks.map(|(actor, index)| (index, actor.clock)));
            let Some(chosen) = self.chooser.choose(&runnable, self.count) else {
                let over = self.actors.iter().all(|actor| actor.standing == Standing::Ended);
                let step = self.count;
                return if over { Ok(()) } else { Err(SimulationError::Deadlock { seed, step }) };
            };
            if self.count >= limit {
                return Err(SimulationError::StepLimit { seed, limit });
            }
            if self.step(chosen) {
                self.forget_looks();
                self.look_at_once(chosen);
            }
        }
    }

    /// Somebody did something: it may have been a message.
    fn forget_looks(&mut self) {
        for actor in &mut self.actors {
            if let Standing::Waiting { looked } = &mut actor.standing {
                *looked = false;
            }
        }
    }

    /// In virtual time a message arrives when it is sent, not when somebody thinks of looking.
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

    /// Lets one actor go on to its next point. Tells whether it did anything.
    fn step(&mut self, index: usize) -> bool {
        self.count += 1;
        let Some(actor) = self.actors.get_mut(index) else { return false };
        if let Standing::Ready(Some(point)) = actor.standing {
            let cost = self.chooser.cost(point);
            actor.clock += cost;
            actor.busy += cost;
        }
        let waited = matches!(actor.standing, Standing::Waiting { .. });
        let worker = WorkerId(u16::try_from(index).unwrap_or(u16::MAX));
        let clock = self.chooser.clock();
        let begun = clock.map_or(0, |clock| (clock.now)());
        let resumed = catch_unwind(AssertUnwindSafe(|| actor.fiber.resume(())));
        if let Some(clock) = clock {
            let took = (clock.now)().saturating_sub(begun).saturating_sub(clock.overhead);
            actor.clock += took;
            actor.busy += took;
        }
        let (standing, stopped_at) = match resumed {
            Ok(CoroutineResult::Yield(Suspended::At(point))) => {
                (Standing::Ready(Some(point)), Some(point))
            }
            Ok(CoroutineResult::Yield(Suspended::NoMessage)) => {
                (Standing::Waiting { looked: true }, None)
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
        !(waited && matches!(standing, Standing::Waiting { .. }))
    }
}
