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
    /// Waits for the next publication of `on`, of which it read an estimate, or which will probably
    /// write what it reads.
    Blocked {
        /// The lower transaction.
        on: TxIndex,
    },
    /// Runs at the frontier and not before.
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
    /// The job that ran it last.
    pub(super) job: Option<Job>,
    /// End of the planned chunk that contains the transaction.
    pub(super) chunk_end: TxIndex,
    /// Whether the transaction never runs above the frontier.
    pub(super) frontier_only: bool,
    /// Whether a lower transaction has changed a location that this execution, or the last one, may
    /// have read, so that it must be validated before it commits. None of the reads of a
    /// transaction that was not named has changed.
    pub(super) possibly_stale: bool,
    /// Whether everything below was final when the execution began.
    pub(super) final_run: bool,
    /// Whether a run at the frontier was taken over from its worker; that happens once.
    pub(super) helped: bool,
}
