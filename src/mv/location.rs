//! What the store is generic over.

use core::fmt::Debug;
use core::hash::Hash;

/// One addressable piece of state. Keys are exact; a hash only picks the shard.
pub trait Location: Clone + Eq + Hash + Debug + Send + Sync + 'static {
    /// What a read of the location gives.
    type Value: Clone + Eq + Debug + Send + Sync + 'static;
    /// A change that can be published without reading.
    type Delta: Clone + Eq + Debug + Send + Sync + 'static;

    /// The location whose tombstones end the life of this one, if there is such a one.
    fn scope(&self) -> Option<Self>;

    /// Whether other locations lie in the scope of this one.
    fn is_scope(&self) -> bool;

    /// What a read gives right after a tombstone.
    fn destroyed(&self) -> Self::Value;

    /// Applies a delta, in index order.
    fn fold(value: &mut Self::Value, delta: &Self::Delta);

    /// The value that [`AbsentEqualsZero`](super::StoreMutant::AbsentEqualsZero) takes it for.
    #[cfg(feature = "mutants")]
    #[must_use]
    fn mistaken(value: &Self::Value) -> Self::Value {
        value.clone()
    }
}

/// What a transaction leaves at a location.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry<L: Location> {
    /// An absolute value.
    Value(L::Value),
    /// A change to whatever lies below.
    Delta(L::Delta),
    /// The end of the location's life, and of everything in its scope.
    Tombstone,
}
