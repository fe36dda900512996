//! Reasons why a view stops answering.

use crate::ids::TxIndex;

/// Why a view stopped answering.
#[derive(Debug)]
pub enum Stop<E> {
    /// The view read an estimate of this lower transaction.
    Blocked(TxIndex),
    /// The read needs a value that is settled only if everything below is final.
    TooEarly,
    /// A value that the run has read has changed, so the run is wasted.
    Overtaken,
    /// The base state could not be read.
    Base(E),
}

/// A read was refused because the view has stopped. The view keeps the cause, which counts even if
/// the machine ignores this error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;
