//! The protocol's state of one transaction.

use super::events::Job;
use crate::ids::TxIndex;

/// Status of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waits to be dispatched.
    Pending,
    /// In a job, which may not have begun.
    InFlight,
    /// Waits for the next publication of `on`: it read an estimate of `on`, or a location that `on`
    /// will probably write.
    Blocked {
        /// The lower transaction.
        on: TxIndex,
    },
    /// Waits for the frontier, and runs there.
    Parked,
    /// Its write set is published.
    Executed,
    /// Committed or skipped.
    Final,
    /// Member of a private batch.
    Private,
}

/// The protocol's state of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) status: Status,
    /// Number of executions so far, which is the incarnation of the next one.
    pub(super) runs: u32,
    /// The job that ran the transaction last.
    pub(super) job: Option<Job>,
    /// End of the planned chunk that contains the transaction.
    pub(super) chunk_end: TxIndex,
    /// Whether the transaction never runs above the frontier.
    pub(super) frontier_only: bool,
    /// Whether a lower transaction has changed a location that the current or last execution may
    /// have read, so that the result must be validated before it commits.
    pub(super) possibly_stale: bool,
    /// Whether everything below was final when the execution began.
    pub(super) final_run: bool,
    /// Whether a run at the frontier was taken over from its worker; this happens at most once.
    pub(super) helped: bool,
}
