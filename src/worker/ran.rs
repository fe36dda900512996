//! Result of a run of a transaction.

use super::events::RunEnd;
use super::machine::{Effects, Workload};
use super::stop::{NoResult, Stop};
use crate::mv::{ReadRecord, ReadSet};

/// Why a run has no result.
pub(super) type NoResultOf<W> = NoResult<<W as Workload>::Rejection, <W as Workload>::BaseError>;

/// Result of a run, before it is published or reported.
pub(super) struct UnpublishedRun<W: Workload> {
    pub(super) reads: ReadSet<W::Location>,
    pub(super) result: Result<Effects<W::Location, W::Output>, NoResultOf<W>>,
}

impl<W: Workload> UnpublishedRun<W> {
    /// Creates the result of a run whose reads do not matter.
    pub(super) fn without_result(why: NoResultOf<W>) -> Self {
        Self { reads: ReadSet::default(), result: Err(why) }
    }

    /// Returns whether a repetition on the same values would have the same result. A run that was
    /// stopped, or that met a database error or a panic, may have another one.
    pub(super) const fn recurs(&self) -> bool {
        matches!(self.result, Ok(_) | Err(NoResult::Rejected(_)))
    }

    pub(super) fn end(&self) -> RunEnd<W::Location> {
        match &self.result {
            Ok(effects) => {
                let read = |read: &ReadRecord<W::Location>| {
                    (read.location.clone(), read.seen.value.clone())
                };
                let reads = self.reads.records().iter().map(read).collect();
                RunEnd::Effects { reads, writes: effects.writes.clone() }
            }
            Err(NoResult::Stopped(Stop::Blocked(on))) => RunEnd::Blocked(*on),
            Err(NoResult::Stopped(Stop::TooEarly)) => RunEnd::TooEarly,
            Err(NoResult::Stopped(Stop::Overtaken)) => RunEnd::Overtaken,
            Err(
                NoResult::Stopped(Stop::Base(_)) | NoResult::Rejected(_) | NoResult::Panicked(_),
            ) => RunEnd::Failed,
        }
    }
}
