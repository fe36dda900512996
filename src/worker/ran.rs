//! Result of a run of a transaction.

use super::events::RunEnd;
use super::machine::{Effects, TxError, Workload};
use super::stop::Stop;
use crate::ids::TxIndex;
use crate::mv::{ReadRecord, ReadSet};

/// Result of a run, before it is published or reported.
pub(super) enum Ran<W: Workload> {
    Effects(ReadSet<W::Location>, Effects<W::Location, W::Output>),
    Blocked(TxIndex),
    TooEarly,
    Overtaken,
    Failed(ReadSet<W::Location>, TxError<W::Rejection, W::BaseError>),
}

impl<W: Workload> Ran<W> {
    /// Returns the result of a run whose view has stopped, whatever the machine returned.
    pub(super) fn stopped(stop: Stop<W::BaseError>, reads: ReadSet<W::Location>) -> Self {
        match stop {
            Stop::Blocked(on) => Self::Blocked(on),
            Stop::TooEarly => Self::TooEarly,
            Stop::Overtaken => Self::Overtaken,
            Stop::Base(error) => Self::Failed(reads, TxError::Base(error)),
        }
    }

    pub(super) fn end(&self) -> RunEnd<W::Location> {
        match self {
            Self::Effects(reads, effects) => {
                let read = |read: &ReadRecord<W::Location>| {
                    (read.location.clone(), read.seen.value.clone())
                };
                let reads = reads.records().iter().map(read).collect();
                RunEnd::Effects { reads, writes: effects.writes.clone() }
            }
            Self::Blocked(on) => RunEnd::Blocked(*on),
            Self::TooEarly => RunEnd::TooEarly,
            Self::Overtaken => RunEnd::Overtaken,
            Self::Failed(..) => RunEnd::Failed,
        }
    }
}
