//! The one resolver: what a reader at an index must see (I6).

use super::location::Location;
use super::place::{ChainId, LocationHash};
use super::versioned_lock::Stamp;
use crate::ids::{TxIndex, Version};

/// Which entry answered a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The base state.
    Base,
    /// An absolute value of this version.
    Value(Version),
    /// A tombstone of this version.
    Tombstone(Version),
    /// Several deltas; the version is the newest one's. Such reads are compared by value.
    Folded(Version),
}

/// Where a read looked, and when: enough to tell cheaply that nothing has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trace {
    pub(super) chain: ChainId,
    pub(super) stamp: Stamp,
}

/// What a read looked up beside its own chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeTrace {
    /// The location has no scope.
    Unscoped,
    /// Nothing had been published at any scope of the block.
    NoScopeUsed,
    /// The chain of the scope.
    Chain(Trace),
}

/// The answer to a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<L: Location> {
    /// What the reader sees.
    pub value: L::Value,
    /// Which entry it comes from.
    pub origin: Origin,
    pub(super) hash: LocationHash,
    pub(super) own: Trace,
    pub(super) scope: ScopeTrace,
}

/// What resolving came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution<L: Location> {
    /// An answer.
    Resolved(Resolved<L>),
    /// An estimate of this transaction is in the way.
    Blocked(TxIndex),
    /// The base value is needed: read it and hand it to [`Store::supply_base`].
    ///
    /// [`Store::supply_base`]: super::Store::supply_base
    NeedsBase(ChainId),
}
