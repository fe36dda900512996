//! The one resolver: what a reader at an index must see (I6).

use super::chain::Found;
use super::location::Location;
use super::store::ChainId;
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

/// The answer to a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<L: Location> {
    /// What the reader sees.
    pub value: L::Value,
    /// Which entry it comes from.
    pub origin: Origin,
    pub(super) own: Trace,
    pub(super) scope: Option<Trace>,
}

/// What resolving came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution<L: Location> {
    /// An answer.
    Resolved(Resolved<L>),
    /// An estimate of this transaction is in the way.
    Blocked(TxIndex),
    /// The base value is needed: read it, hand it to [`Store::set_base`], resolve again.
    ///
    /// [`Store::set_base`]: super::Store::set_base
    NeedsBase(ChainId),
}

/// What the scope of a location says to one reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScopeFound {
    Alive,
    Tombstone(Version),
    Estimate(TxIndex),
}

/// Joins a chain's answer with that of its scope: the newer wins, and at one version the
/// tombstone lies below the writes.
pub(super) fn join<L: Location>(
    location: &L,
    own: (Found<L>, Trace),
    scope: Option<(ScopeFound, Trace)>,
) -> Resolution<L> {
    let (found, own) = own;
    let written_by = match &found {
        Found::Value(version, _) | Found::Tombstone(version) | Found::Folded(version, _) => {
            Some(version.tx)
        }
        Found::Estimate(tx) => Some(*tx),
        Found::Base(_) | Found::UnknownBase => None,
    };
    let resolved = |value, origin| {
        let scope = scope.map(|(_, trace)| trace);
        Resolution::Resolved(Resolved { value, origin, own, scope })
    };
    match scope {
        Some((ScopeFound::Tombstone(version), _))
            if written_by.is_none_or(|tx| tx < version.tx) =>
        {
            return resolved(location.destroyed(), Origin::Tombstone(version));
        }
        Some((ScopeFound::Estimate(tx), _)) if written_by.is_none_or(|own| own < tx) => {
            return Resolution::Blocked(tx);
        }
        _ => {}
    }
    match found {
        Found::UnknownBase => Resolution::NeedsBase(own.chain),
        Found::Base(value) => resolved(value, Origin::Base),
        Found::Value(version, value) => resolved(value, Origin::Value(version)),
        Found::Tombstone(version) => resolved(location.destroyed(), Origin::Tombstone(version)),
        Found::Folded(version, value) => resolved(value, Origin::Folded(version)),
        Found::Estimate(tx) => Resolution::Blocked(tx),
    }
}
