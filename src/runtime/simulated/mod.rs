//! The simulated runtime: the real pipeline on one thread, where a seed chooses the actor of each
//! step.
//!
//! Every actor is a fiber on the calling thread that runs [`work`], or its part of any task
//! ([`Fibers`]). It is suspended at each [`Point`], so that another actor may act between two reads
//! of a transaction. The same block with the same [`Options`] takes the same steps each time. So do
//! whole executors, except for effects of hashing.

mod chooser;
mod drive;
mod fiber;
mod fibers;
mod options;
mod random;
mod record;
mod schedule;

pub use fiber::Fiber;
pub use fibers::{Fibers, Totals};
pub use options::{Options, SimulationError, Step, Suspension};
pub use random::Random;
pub use record::{Record, ReportedActivity, Span};
pub use schedule::{Clock, Costs, Schedule};

use crate::ids::WorkerId;
use crate::worker::{BlockEnd, CancellationToken, LedgerOf, Point, Shared, Workload, work};
use corosensei::Coroutine;
use corosensei::stack::DefaultStack;
use drive::{Driven, Resume, drive};
use fiber::{Signals, Suspended};
use std::rc::Rc;
use std::sync::Arc;

/// Stack size of a fiber, in bytes.
const STACK: usize = 256 << 10;

/// Result of a simulated block.
#[derive(Debug)]
pub struct Simulated<W: Workload, G> {
    /// Result of the block.
    pub end: BlockEnd<W, G>,
    /// Number of steps.
    pub step_count: u64,
    /// Digest of the steps, equal for equal sequences of steps.
    pub digest: u64,
    /// All steps, if [`Options::keep_steps`] is set.
    pub steps: Vec<Step>,
    /// Activities of the actors, if [`Options::keep_record`] is set.
    pub record: Record,
    /// Virtual time at which the last actor ended, in the unit of [`Costs`].
    pub makespan: u64,
    /// Virtual time for which each actor was busy.
    pub busy: Vec<u64>,
    /// Virtual time at which each actor ended; the block is over when the first one ends.
    pub ends: Vec<u64>,
    /// The suspended actor, and its point at that time.
    pub suspended: Option<(WorkerId, Option<Point>)>,
}

/// Runs blocks on fibers, and keeps the fibers' stacks for later blocks.
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
    /// Creates a simulator for machines that need little stack.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a simulator whose fibers have stacks of `stack_size` bytes.
    #[must_use]
    pub const fn with_stack_size(stack_size: usize) -> Self {
        Self { stacks: Vec::new(), stack_size }
    }

    /// Runs a block to its end.
    ///
    /// # Errors
    /// Returns an error if the block does not end.
    pub fn run<W, G>(
        &mut self,
        shared: Shared<W, G>,
        options: &Options,
    ) -> Result<Simulated<W, G>, SimulationError>
    where
        W: Workload + 'static,
        G: LedgerOf<W> + 'static,
    {
        let token = CancellationToken::new();
        let shared = Arc::new(shared.with_token(Some(token.clone())));
        let signals = Rc::new(Signals::default());
        let interrupts_reads = options.schedule.interrupts_runs();
        let mut fibers = Vec::new();
        for worker in 0..options.workers.max(1) {
            let shared = Arc::clone(&shared);
            let signals = Rc::clone(&signals);
            fibers.push(Coroutine::with_stack(self.stack()?, move |yielder, ()| {
                work(&shared, WorkerId(worker), &Fiber { yielder, signals, interrupts_reads });
            }));
        }
        let all = fibers.iter_mut().map(|fiber| -> &mut dyn Resume { fiber }).collect();
        let driven = drive(all, options, &signals, || token.cancel());
        self.take_back(fibers);
        let Driven { result, step_count, digest, steps, record, makespan, busy, ends, suspended } =
            driven;
        result?;
        let Some(end) = shared.end() else {
            return Err(SimulationError::Deadlock { seed: options.seed, step: step_count });
        };
        Ok(Simulated { end, step_count, digest, steps, record, makespan, busy, ends, suspended })
    }

    /// Keeps the stacks of fibers that have ended.
    fn take_back(&mut self, fibers: Vec<Coroutine<(), Suspended, ()>>) {
        for fiber in fibers {
            if fiber.done() {
                self.stacks.push(fiber.into_stack());
            } else {
                // Unwinding the fiber would run the guards of the engine; after an endless run,
                // leaking is acceptable.
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
