//! Events of workers and the coordinator, for replays: see [`Log`](crate::trace::Log).

use crate::ids::TxIndex;
use crate::mv::{Entry, ExactGroup, Location, StoreEvent};
use crate::protocol::{Command, Event, Job, JobReport};

/// How a run of a transaction ended, before anything was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd<L: Location> {
    /// The run has a result.
    Effects {
        /// The recorded reads.
        reads: Vec<(L, L::Value)>,
        /// The entries that will be published.
        writes: Vec<(L, Entry<L>)>,
    },
    /// The run has to wait for this lower transaction.
    Blocked(TxIndex),
    /// The run needed a value that is final only at the frontier.
    TooEarly,
    /// A value that the run had read has changed.
    Overtaken,
    /// The run failed.
    Failed,
}

/// An event of a worker or the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineEvent<L: Location> {
    /// A run of a transaction began.
    RunBegan(TxIndex),
    /// A run of a transaction ended.
    RunEnded {
        /// The transaction.
        tx: TxIndex,
        /// How it ended.
        end: RunEnd<L>,
    },
    /// A helper's run of the frontier replaces the run of the worker whose job was taken over.
    RanSecond {
        /// The transaction.
        tx: TxIndex,
        /// How it ended.
        end: RunEnd<L>,
    },
    /// A run of a private batch began.
    BatchBegan(Job),
    /// A run of a private batch ended.
    BatchEnded {
        /// The job.
        job: Job,
        /// The exact accesses of its groups.
        groups: Vec<ExactGroup<L>>,
        /// The member without a result, before which the run ended.
        held: Option<TxIndex>,
        /// Whether a helper ran the batch and finished before the worker that had begun it.
        is_second: bool,
    },
    /// A worker sent its report.
    Sent(JobReport),
    /// The protocol received an event.
    Received(Event),
    /// The protocol issued a command.
    Commanded(Command),
}

/// An event of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceEvent<L: Location> {
    /// An event of the store.
    Store(StoreEvent<L>),
    /// An event of a worker or the coordinator.
    Engine(EngineEvent<L>),
}
