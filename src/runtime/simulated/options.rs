//! Options of a simulation, and its errors.

use super::schedule::Schedule;
use crate::ids::WorkerId;
use crate::worker::Point;

/// Options of a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of workers; at least 1.
    pub workers: u16,
    /// Seed of every random choice of the schedule.
    pub seed: u64,
    /// How the next actor is chosen.
    pub schedule: Schedule,
    /// Number of the step before which the block is cancelled.
    pub cancel_at: Option<u64>,
    /// Number of steps after which the run counts as endless.
    pub step_limit: u64,
    /// Whether to keep all steps, for [`Simulated::steps`](super::Simulated::steps).
    pub keep_steps: bool,
    /// Whether to keep the activities of workers, for a [`Record`](super::Record).
    pub keep_record: bool,
    /// Suspension of a worker, in virtual time.
    pub suspended: Option<Suspension>,
}

/// A preemption, as on a busy machine: the system gives the core of a worker to another process for
/// a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Number of the step at which the chosen worker is suspended.
    pub at_step: u64,
    /// Duration, in the unit of [`Costs`](super::Costs).
    pub length: u64,
}

impl Options {
    /// Creates options for a random schedule with a generous step limit.
    #[must_use]
    pub const fn new(workers: u16, seed: u64) -> Self {
        Self {
            workers,
            seed,
            schedule: Schedule::Random,
            cancel_at: None,
            step_limit: 1_000_000,
            keep_steps: false,
            keep_record: false,
            suspended: None,
        }
    }
}

/// A step of a simulation, in which one actor runs until its next point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The actor.
    pub worker: WorkerId,
    /// The point where the actor stopped; `None` if it found no message, or ended.
    pub stopped_at: Option<Point>,
}

/// Why a simulation has no result. Each message names the seed that reproduces it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// All actors that have not ended wait for a message.
    #[error("seed {seed}: deadlock after {step} steps")]
    Deadlock {
        /// The seed.
        seed: u64,
        /// Number of steps so far.
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
        /// The panic message.
        message: String,
    },
    /// The system has no memory for another stack.
    #[error("no stack for a fiber: {message}")]
    NoStack {
        /// Message of the system.
        message: String,
    },
}

impl SimulationError {
    /// Replaces the seed of a task by the seed that reproduces the error.
    pub(super) fn with_seed(mut self, new_seed: u64) -> Self {
        if let Self::Deadlock { seed, .. }
        | Self::StepLimit { seed, .. }
        | Self::WorkerPanicked { seed, .. } = &mut self
        {
            *seed = new_seed;
        }
        self
    }
}
