//! Locations, over which the store is generic, and entries at them.

use core::fmt::Debug;
use core::hash::Hash;

/// One addressable piece of state. Keys are exact; a hash only selects the shard.
pub trait Location: Clone + Eq + Hash + Debug + Send + Sync + 'static {
    /// The value of a location.
    type Value: Clone + Eq + Debug + Send + Sync + 'static;
    /// A change that can be published without reading the location.
    type Delta: Clone + Eq + Debug + Send + Sync + 'static;

    /// Returns the location whose tombstones end the life of this one, if it has a scope.
    fn scope(&self) -> Option<Self>;

    /// Returns whether other locations lie in the scope of this one.
    fn is_scope(&self) -> bool;

    /// Returns the value right after a tombstone.
    fn destroyed(&self) -> Self::Value;

    /// Applies a delta, in index order.
    fn fold(value: &mut Self::Value, delta: &Self::Delta);

    /// Returns the value that the seeded bug `AbsentEqualsZero` takes `value` for.
    #[cfg(feature = "mutants")]
    #[must_use]
    fn mistaken(value: &Self::Value) -> Self::Value {
        value.clone()
    }
}

/// The entry of a transaction at a location.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry<L: Location> {
    /// An absolute value.
    Value(L::Value),
    /// A change to the value below.
    Delta(L::Delta),
    /// The end of the life of the location and of everything in its scope.
    Tombstone,
}
