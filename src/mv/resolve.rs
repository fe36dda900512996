//! Results of the resolver, which serves reads and validation (I6).

use super::location::Location;
use super::place::{ChainId, LocationHash};
use super::versioned_lock::Stamp;
use crate::ids::{TxIndex, Version};

/// The entry that answered a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The base state.
    Base,
    /// The absolute value of this version.
    Value(Version),
    /// The tombstone of this version.
    Tombstone(Version),
    /// A sum of deltas, the newest of which has this version. Such reads are compared by value.
    Folded(Version),
}

/// Chain and stamp of a read, for a cheap check that nothing has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trace {
    pub(super) chain: ChainId,
    pub(super) stamp: Stamp,
}

/// The scope lookup that belongs to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeTrace {
    /// The location has no scope.
    Unscoped,
    /// No scope of the block had been written.
    NoScopeUsed,
    /// The chain of the scope.
    Chain(Trace),
}

/// A value that a read resolved to, with all that validation needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<L: Location> {
    /// The value.
    pub value: L::Value,
    /// The entry that the value comes from.
    pub origin: Origin,
    pub(super) hash: LocationHash,
    pub(super) own: Trace,
    pub(super) scope: ScopeTrace,
}

/// Result of resolving a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution<L: Location> {
    /// A value.
    Resolved(Resolved<L>),
    /// The read met an estimate of this transaction, which will probably write the location.
    Blocked(TxIndex),
    /// The base value is not known: read it and pass it to [`Store::supply_base`].
    ///
    /// [`Store::supply_base`]: super::Store::supply_base
    NeedsBase(ChainId),
}
