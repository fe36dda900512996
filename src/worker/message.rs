//! What travels between the role and the workers.

use super::machine::{InOrder, RanBatch, TxError, Workload};
use crate::mv::ReadSet;
use crate::protocol::{Job, JobReport};

/// A job, with what the worker needs to know of earlier runs.
pub(super) struct JobMessage<W: Workload> {
    pub(super) job: Job,
    /// What a stretch in order begins with.
    pub(super) in_order: Option<InOrder<W::Carry, W::Room>>,
    /// Locations where the previous incarnation of the first transaction left entries. The
    /// others of a chunk have never run.
    pub(super) previous: Vec<W::Location>,
}

/// What the role keeps of one run, until it commits or is thrown away.
pub(super) struct Kept<W: Workload> {
    pub(super) reads: ReadSet<W::Location>,
    /// Where it left entries, if it has an output.
    pub(super) written: Vec<W::Location>,
    pub(super) output: Option<W::Output>,
    pub(super) error: Option<TxError<W::Rejection, W::BaseError>>,
}

impl<W: Workload> Kept<W> {
    /// What a run without a result leaves. Entries of earlier incarnations stay where they are.
    pub(super) fn nothing(error: Option<TxError<W::Rejection, W::BaseError>>) -> Self {
        Self { reads: ReadSet::default(), written: Vec::new(), output: None, error }
    }
}

/// The answer to a job.
pub(super) struct ReportMessage<W: Workload> {
    pub(super) report: JobReport,
    /// One for each result of the report.
    pub(super) kept: Vec<Kept<W>>,
    /// What a private batch leaves.
    pub(super) batch: Option<RanBatch<W::Location, W::Group, W::Carry>>,
    /// Why the member after them has no result, if that is final.
    pub(super) error: Option<TxError<W::Rejection, W::BaseError>>,
}
