//! What workers and the coordinator do, for those who replay a block: see
//! [`Log`](crate::trace::Log).

use crate::ids::TxIndex;
use crate::mv::{Entry, ExactGroup, Location, StoreEvent};
use crate::protocol::{Command, Event, Job, JobReport};

/// What a run came to, before anything of it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd<L: Location> {
    /// It has a result.
    Effects {
        /// What it recorded of what it read.
        reads: Vec<(L, L::Value)>,
        /// The entries that it is going to publish.
        writes: Vec<(L, Entry<L>)>,
    },
    /// It met an estimate of this transaction.
    Blocked(TxIndex),
    /// It asked for what is settled only at the frontier.
    TooEarly,
    /// Something that it had read has changed since.
    Overtaken,
    /// It has no result.
    Failed,
}

/// One thing that a worker or the coordinator did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineEvent<L: Location> {
    /// A run of a transaction began.
    RunBegan(TxIndex),
    /// It ended.
    RunEnded {
        /// The transaction.
        tx: TxIndex,
        /// What it came to.
        end: RunEnd<L>,
    },
    /// A run of the frontier beside another worker's, whose job was taken over, has come to this:
    /// it counts instead.
    RanSecond {
        /// The transaction.
        tx: TxIndex,
        /// What it came to.
        end: RunEnd<L>,
    },
    /// A run of a private batch began.
    BatchBegan(Job),
    /// It ended.
    BatchEnded {
        /// The job.
        job: Job,
        /// What its transactions have accessed, exactly.
        groups: Vec<ExactGroup<L>>,
        /// The member before which it ended, if that must wait.
        held: Option<TxIndex>,
        /// A worker has run it beside the one that had begun it, and was the first to end.
        is_second: bool,
    },
    /// A worker sent its report.
    Sent(JobReport),
    /// The protocol heard of something.
    Heard(Event),
    /// The protocol asked for something.
    Told(Command),
}

/// One thing that happened in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceEvent<L: Location> {
    /// In the store.
    Store(StoreEvent<L>),
    /// Around it.
    Engine(EngineEvent<L>),
}
