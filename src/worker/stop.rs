//! Reasons why a view stops answering, and why a run has no result.

use crate::ids::TxIndex;
use crate::panics::Payload;

/// Why a view stopped answering.
#[derive(Debug)]
pub enum Stop<E> {
    /// The run has to wait for this lower transaction: it read an estimate of that transaction, or
    /// a location that the transaction will probably write or has changed.
    Blocked(TxIndex),
    /// The read needs a value that is final only once everything below is final, or the result of
    /// the run is no longer needed.
    TooEarly,
    /// A value that the run has read has changed, so the run is wasted.
    Overtaken,
    /// The base state could not be read.
    Base(E),
}

/// Error of a read from a view that has stopped. The view keeps the cause, which takes effect even
/// if the machine ignores this error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// Why a run of a transaction has no result.
#[derive(Debug)]
pub enum NoResult<R, E> {
    /// The view stopped answering; or the result of a member of a private batch is final only at
    /// the frontier ([`NoResult::TOO_EARLY`]).
    Stopped(Stop<E>),
    /// The transaction is invalid on the state that it read.
    Rejected(R),
    /// The machine panicked, with this payload.
    Panicked(Payload),
}

impl<R, E> NoResult<R, E> {
    /// The result is final only at the frontier.
    pub const TOO_EARLY: Self = Self::Stopped(Stop::TooEarly);

    /// Returns the reason for a failed read of the base state.
    pub const fn base(error: E) -> Self {
        Self::Stopped(Stop::Base(error))
    }

    /// Returns whether a later run may have a result, because this one did not fail.
    pub const fn is_early(&self) -> bool {
        matches!(self, Self::Stopped(Stop::Blocked(_) | Stop::TooEarly | Stop::Overtaken))
    }
}

impl<R, E> From<Stop<E>> for NoResult<R, E> {
    fn from(stop: Stop<E>) -> Self {
        Self::Stopped(stop)
    }
}
