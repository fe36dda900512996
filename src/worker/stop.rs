//! Why a view has no answer.

use crate::ids::TxIndex;

/// Why a view stopped answering.
#[derive(Debug)]
pub enum Stop<E> {
    /// It met an estimate of this lower transaction.
    Blocked(TxIndex),
    /// It was asked for what is settled only where everything below is final.
    TooEarly,
    /// Something that it has read has changed since: the run is wasted.
    Overtaken,
    /// The base state could not be read.
    Base(E),
}

/// A read was refused because the view has stopped. The cause stays in the view, latched: it is
/// found there even if the machine swallows this error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;
