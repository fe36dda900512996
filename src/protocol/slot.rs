//! One transaction, as the protocol sees it.

use super::events::Job;
use crate::ids::TxIndex;

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waits to be dispatched.
    Pending,
    /// In a job, perhaps not begun.
    InFlight,
    /// Met an estimate of `on`, which has not published since.
    Blocked {
        /// The lower transaction.
        on: TxIndex,
    },
    /// Will run at the frontier and not before.
    Parked,
    /// Its write set is published.
    Executed,
    /// Its outcome is out: committed or skipped.
    Final,
    /// It is a member of a private batch.
    Private,
}

/// What the protocol keeps of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) status: Status,
    /// Runs so far: also the incarnation of the next run.
    pub(super) runs: u32,
    /// The job that ran it last.
    pub(super) job: Option<Job>,
    /// End of the planned chunk that it lies in.
    pub(super) chunk_end: TxIndex,
    /// Never runs above the frontier.
    pub(super) frontier_only: bool,
    /// A lower transaction has changed what this run, or the last one, may have read: it has to be
    /// looked at before it commits. A transaction that is not named read nothing that has changed
    /// since.
    pub(super) possibly_stale: bool,
    /// Its run began when everything below was final.
    pub(super) final_run: bool,
    /// A run of it at the frontier was taken over from its worker; that happens once.
    pub(super) taken_over: bool,
}
