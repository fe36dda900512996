//! Messages between the coordinator and the workers.

use super::machine::{RanBatch, Workload};
use super::ran::NoResultOf;
use crate::mv::ReadSet;
use crate::protocol::{Job, JobReport};

/// A job, with data about earlier runs.
pub(super) struct JobMessage<W: Workload> {
    pub(super) job: Job,
    /// Locations of the entries left by the previous incarnation of the first transaction. The
    /// others of a chunk have never run.
    pub(super) previous: Vec<W::Location>,
}

/// Data of a run that is published. The coordinator keeps it until the run commits or is aborted.
pub(super) struct KeptRun<W: Workload> {
    pub(super) reads: ReadSet<W::Location>,
    /// Locations of its entries.
    pub(super) written: Vec<W::Location>,
    pub(super) output: W::Output,
}

/// What the coordinator keeps of a run. Without a result, entries of earlier incarnations stay in
/// the store.
pub(super) type Kept<W> = Result<KeptRun<W>, NoResultOf<W>>;

/// The answer to a job.
pub(super) struct ReportMessage<W: Workload> {
    pub(super) report: JobReport,
    /// One item per result of the report.
    pub(super) kept: Vec<Kept<W>>,
    /// Results of a private batch.
    pub(super) batch: Option<RanBatch<W::Location, W::Group>>,
    /// Whether a helper reports a private batch that another worker had begun.
    pub(super) is_second: bool,
}

impl<W: Workload> ReportMessage<W> {
    /// Creates the report of a job other than a private batch, with the data of each result.
    pub(super) const fn of(report: JobReport, kept: Vec<Kept<W>>) -> Self {
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
