//! Messages between the coordinator and the workers.

use super::machine::{RanBatch, Workload};
use super::ran::NoResultOf;
use crate::mv::ReadSet;
use crate::protocol::{Job, JobReport};

/// A job, with data about earlier runs.
pub(super) struct JobMessage<W: Workload> {
    pub(super) job: Job,
    /// Locations of the entries of the previous incarnation of the first transaction. The other
    /// transactions of a chunk have never run.
    pub(super) previous: Vec<W::Location>,
}

/// Data of a published run, which the coordinator keeps until the run commits or aborts.
pub(super) struct KeptRun<W: Workload> {
    pub(super) reads: ReadSet<W::Location>,
    /// Locations of the entries.
    pub(super) written: Vec<W::Location>,
    pub(super) output: W::Output,
}

/// Data of a run that the coordinator keeps. If the run has no result, the entries of earlier
/// incarnations stay in the store.
pub(super) type KeptResult<W> = Result<KeptRun<W>, NoResultOf<W>>;

/// A worker's answer to a job.
pub(super) struct ReportMessage<W: Workload> {
    pub(super) report: JobReport,
    /// Data of each result in the report.
    pub(super) kept: Vec<KeptResult<W>>,
    /// Results of a private batch.
    pub(super) batch: Option<RanBatch<W::Location, W::Group>>,
    /// Whether a helper reports a private batch that another worker had begun.
    pub(super) is_second: bool,
}

impl<W: Workload> ReportMessage<W> {
    /// Creates the report of a job that is not a private batch.
    pub(super) const fn of(report: JobReport, kept: Vec<KeptResult<W>>) -> Self {
        Self { report, kept, batch: None, is_second: false }
    }
}

/// The next task of a worker.
pub(super) enum NextTask<W: Workload> {
    Run(JobMessage<W>),
    /// Return a job that the coordinator has taken back.
    Return(JobMessage<W>),
    /// Send the report of a private batch that this worker helped with and finished first.
    Report(Box<ReportMessage<W>>),
}
