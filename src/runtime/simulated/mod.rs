//! The simulated runtime: the real pipeline with one runnable actor at a time, chosen by a seed.
//!
//! Every actor is a fiber on the calling thread that runs [`work`] as a thread would, or its part
//! of any task ([`Fibers`]). It is suspended at each [`Point`], so that another actor may act
//! between two reads of one transaction. The same block with the same [`Options`] takes the same
//! steps each time; whole executors do but for what depends on hashing.

mod drive;
mod fiber;
mod fibers;
mod random;
mod schedule;

pub use fiber::Fiber;
pub use fibers::{Fibers, Totals};
pub use random::Random;
pub use schedule::{Clock, Costs, Schedule};

use crate::ids::WorkerId;
use crate::worker::{BlockEnd, LedgerOf, Point, Shared, Workload, work};
use corosensei::Coroutine;
use corosensei::stack::DefaultStack;
use drive::{Driven, Resume, drive};
use fiber::{Signals, Suspended};
use std::rc::Rc;
use std::sync::Arc;

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
    /// In virtual time: put a worker aside.
    pub put_aside: Option<PutAside>,
}

/// What a busy machine does: the system gives the core of a worker to something else for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutAside {
    /// The worker that would go on at this step is put aside.
    pub at_step: u64,
    /// For how long, in the unit of [`Costs`].
    pub length: u64,
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
            put_aside: None,
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
    /// Virtual time at which each actor ended: the block is over when the first one has.
    pub ends: Vec<u64>,
    /// Who was put aside, and where it stood.
    pub put_aside: Option<(WorkerId, Option<Point>)>,
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

impl SimulationError {
    /// The same, where `seed` is what replays it.
    fn of_seed(mut self, replays: u64) -> Self {
        if let Self::Deadlock { seed, .. }
        | Self::StepLimit { seed, .. }
        | Self::WorkerPanicked { seed, .. } = &mut self
        {
            *seed = replays;
        }
        self
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
        G: LedgerOf<W> + 'static,
    {
        let shared = Arc::new(shared);
        let signals = Rc::new(Signals::default());
        let reads = !matches!(options.schedule, Schedule::Measured(_));
        let mut fibers = Vec::new();
        for worker in 0..options.workers.max(1) {
            let (shared, signals) = (Arc::clone(&shared), Rc::clone(&signals));
            fibers.push(Coroutine::with_stack(self.stack()?, move |yielder, ()| {
                work(&shared, WorkerId(worker), &Fiber { yielder, signals, reads });
            }));
        }
        let all = fibers.iter_mut().map(|fiber| -> &mut dyn Resume { fiber }).collect();
        let driven = drive(all, options, &signals, || shared.cancel());
        self.take_back(fibers);
        let Driven { result, step_count, digest, steps, makespan, busy, ends, put_aside } = driven;
        result?;
        let Some(end) = shared.end() else {
            return Err(SimulationError::Deadlock { seed: options.seed, step: step_count });
        };
        Ok(Simulated { end, step_count, digest, steps, makespan, busy, ends, put_aside })
    }

    /// Keeps the stacks of those that have ended.
    fn take_back(&mut self, fibers: Vec<Coroutine<(), Suspended, ()>>) {
        for fiber in fibers {
            if fiber.done() {
                self.stacks.push(fiber.into_stack());
            } else {
                // Unwinding it would run into the guards of the engine; an endless run may leak.
                core::mem::forget(fiber);
            }
        }
    }

    fn stack(&mut self) -> Result<DefaultStack, SimulationError> {
        let no_stack =
            |error: std::io::Error| SimulationError::NoStack { message: error.to_string() };
        self.stacks.pop().map_or_else(|| DefaultStack::new(self.stack_size).map_err(no_stack), Ok)
    }
}
