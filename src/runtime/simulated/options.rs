//! What a simulated run is told, and why it may have no result.

use super::schedule::Schedule;
use crate::ids::WorkerId;
use crate::worker::Point;

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
    /// Keep every step for [`Simulated::steps`](super::Simulated::steps).
    pub keep_steps: bool,
    /// Keep what workers do and when, for a [`Record`](super::Record).
    pub keep_record: bool,
    /// In virtual time: suspend a worker.
    pub suspended: Option<Suspension>,
}

/// What a busy machine does: the system gives the core of a worker to something else for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// The worker that would go on at this step is suspended.
    pub at_step: u64,
    /// For how long, in the unit of [`Costs`](super::Costs).
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
            keep_record: false,
            suspended: None,
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
    pub(super) fn of_seed(mut self, replays: u64) -> Self {
        if let Self::Deadlock { seed, .. }
        | Self::StepLimit { seed, .. }
        | Self::WorkerPanicked { seed, .. } = &mut self
        {
            *seed = replays;
        }
        self
    }
}
