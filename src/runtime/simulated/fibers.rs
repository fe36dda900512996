//! Tasks on fibers: a simulated pool of threads.

use super::drive::{Resume, drive};
use super::fiber::{Fiber, Signals};
use super::{Options, Record, SimulationError, Simulator};
use crate::ids::WorkerId;
use crate::runtime::{Seat, Task};
use corosensei::{Coroutine, ScopedCoroutine};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// Workers on fibers of the calling thread, for a sequence of tasks.
#[derive(Debug)]
pub struct Fibers {
    simulator: Simulator,
    options: Options,
    totals: Totals,
    /// Number of tasks so far.
    tasks: u64,
    record: Record,
}

/// Totals over several tasks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Virtual time from the beginning to the end of each task, summed over tasks.
    pub makespan: u64,
    /// Virtual time for which workers were busy, summed over workers.
    pub busy: u64,
    /// Real time in nanoseconds, if a clock measures steps.
    pub took: u64,
    /// Number of steps.
    pub step_count: u64,
}

impl Fibers {
    /// Creates fibers with the stacks of `simulator`, scheduled by `options`. Each task has its own
    /// seed, derived from that of `options`. No task is cancelled and no steps are kept; the step
    /// limit applies to each task.
    #[must_use]
    pub const fn new(simulator: Simulator, options: Options) -> Self {
        Self {
            simulator,
            options,
            totals: Totals { makespan: 0, busy: 0, took: 0, step_count: 0 },
            tasks: 0,
            record: Record { spans: Vec::new(), activities: Vec::new(), ends: Vec::new() },
        }
    }

    /// Returns the number of workers, including the caller.
    #[must_use]
    pub const fn workers(&self) -> u16 {
        if self.options.workers == 0 { 1 } else { self.options.workers }
    }

    /// Returns the time of the clock that measures steps, or 0 if there is none.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.options.schedule.clock().map_or(0, |clock| (clock.now)())
    }

    /// Returns the totals since the last call, and starts over: the next task has the same seed as
    /// the first.
    pub fn take_totals(&mut self) -> Totals {
        self.tasks = 0;
        self.record = Record::default();
        core::mem::take(&mut self.totals)
    }

    /// Returns the record since the totals were last taken, if it was kept. The tasks follow each
    /// other without gaps. Transactions that the caller runs alone are in no task.
    pub fn take_record(&mut self) -> Record {
        core::mem::take(&mut self.record)
    }

    /// Runs `task` for all other workers and `own` for the caller. Returns when all have ended.
    ///
    /// # Errors
    /// Returns an error if they do not end.
    ///
    /// # Panics
    /// Panics with the payload of a panic in `own`.
    pub fn run<R>(
        &mut self,
        task: &Arc<dyn Task>,
        own: impl FnOnce(Seat<'_>) -> R,
    ) -> Result<R, SimulationError> {
        self.run_on(usize::from(self.workers()), task, own)
    }

    /// As [`run`](Self::run), on `workers` workers including the caller.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_on<R>(
        &mut self,
        workers: usize,
        task: &Arc<dyn Task>,
        own: impl FnOnce(Seat<'_>) -> R,
    ) -> Result<R, SimulationError> {
        let workers = u16::try_from(workers).map_or(self.workers(), |it| it.min(self.workers()));
        let started = self.now();
        let signals = Rc::new(Signals::default());
        let interrupts_reads = self.options.schedule.interrupts_runs();
        let mut result = None;
        // Boxed, because the initial data of a fiber must be small.
        let own = Box::new(own);
        let caller_signals = Rc::clone(&signals);
        // This fiber borrows from the caller, so it is unwound here and its stack is not kept.
        let caller = ScopedCoroutine::with_stack(self.simulator.stack()?, |yielder, ()| {
            let fiber = Fiber { yielder, signals: caller_signals, interrupts_reads };
            result = Some(catch_unwind(AssertUnwindSafe(|| own(Seat::Fiber(&fiber)))));
        });
        let mut others = Vec::new();
        for worker in 1..workers {
            let task = Arc::clone(task);
            let signals = Rc::clone(&signals);
            others.push(Coroutine::with_stack(self.simulator.stack()?, move |yielder, ()| {
                let fiber = Fiber { yielder, signals, interrupts_reads };
                task.run(WorkerId(worker), Seat::Fiber(&fiber));
            }));
        }
        let driven = caller.scope(|mut caller| {
            let mut all: Vec<&mut dyn Resume> = vec![&mut caller];
            all.extend(others.iter_mut().map(|fiber| -> &mut dyn Resume { fiber }));
            let seed = self.options.seed.wrapping_add(self.tasks);
            drive(all, &Options { seed, ..self.options.clone() }, &signals, || {})
        });
        self.tasks += 1;
        self.simulator.take_back(others);
        if self.options.keep_record {
            self.record.extend(driven.record, self.totals.makespan, driven.makespan);
        }
        self.totals.makespan += driven.makespan;
        self.totals.busy += driven.busy.iter().sum::<u64>();
        self.totals.took += self.now().saturating_sub(started);
        self.totals.step_count += driven.step_count;
        driven.result.map_err(|error| error.with_seed(self.options.seed))?;
        match result {
            Some(Ok(result)) => Ok(result),
            Some(Err(payload)) => resume_unwind(payload),
            None => {
                Err(SimulationError::Deadlock { seed: self.options.seed, step: driven.step_count })
            }
        }
    }
}
