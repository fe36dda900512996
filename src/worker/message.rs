//! Messages between the coordinator and the workers.

use super::machine::{RanBatch, TxError, Workload};
use crate::mv::ReadSet;
use crate::protocol::{Job, JobReport};

/// A job, with data about earlier runs.
pub(super) struct JobMessage<W: Workload> {
    pub(super) job: Job,
    /// Locations of the entries left by the previous incarnation of the first transaction. The
    /// others of a chunk have never run.
    pub(super) previous: Vec<W::Location>,
}

/// Data of a run that the coordinator keeps until the run commits or is aborted.
pub(super) struct KeptRun<W: Workload> {
    pub(super) reads: ReadSet<W::Location>,
    /// Locations of its entries, if the run has an output.
    pub(super) written: Vec<W::Location>,
    pub(super) output: Option<W::Output>,
    pub(super) error: Option<TxError<W::Rejection, W::BaseError>>,
}

impl<W: Workload> KeptRun<W> {
    /// Returns the data of a run without a result. Entries of earlier incarnations stay in the
    /// store.
    pub(super) fn nothing(error: Option<TxError<W::Rejection, W::BaseError>>) -> Self {
        Self { reads: ReadSet::default(), written: Vec::new(), output: None, error }
    }
}

/// The answer to a job.
pub(super) struct ReportMessage<W: Workload> {
    pub(super) report: JobReport,
    /// One item per result of the report.
    pub(super) kept: Vec<KeptRun<W>>,
    /// Results of a private batch.
    pub(super) batch: Option<RanBatch<W::Location, W::Group>>,
    /// Whether a helper reports a private batch that another worker had begun.
    pub(super) is_second: bool,
}

impl<W: Workload> ReportMessage<W> {
    /// Creates the report of a job other than a private batch, with the data of each result.
    pub(super) const fn of(report: JobReport, kept: Vec<KeptRun<W>>) -> Self {
        Self { report, kept, batch: None, is_second: false }
    }
}

/// The next task of a worker.
pub(super) enum Next<W: Workload> {
    Run(JobMessage<W>),
    /// Return a job that the coordinator has taken back.
    GiveBack(JobMessage<W>),
    /// Send the report of a private batch that this worker helped with and ended first.
    Report(Box<ReportMessage<W>>),
}
