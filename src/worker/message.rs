//! What travels between the coordinator and the workers.

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

/// What the coordinator keeps of one run, until it commits or is thrown away.
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
    /// From the second run of a private batch that another worker had begun.
    pub(super) is_second: bool,
}

impl<W: Workload> ReportMessage<W> {
    /// Of a job that is none of a private batch, with what is kept of each result.
    pub(super) const fn of(report: JobReport, kept: Vec<Kept<W>>) -> Self {
        Self { report, kept, batch: None, error: None, is_second: false }
    }
}

/// What a worker does next.
pub(super) enum Next<W: Workload> {
    Run(JobMessage<W>),
    /// Its owner has taken it back.
    GiveBack(JobMessage<W>),
    /// It has run a private batch beside another worker, and was the first to end.
    Report(Box<ReportMessage<W>>),
}
