//! Positions of version chains in a store.

/// Hash of a location, under the seed of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocationHash(u64);

impl LocationHash {
    pub(super) const fn of(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }
}

/// Position of a version chain, fixed for the life of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChainId {
    pub(super) shard: u32,
    pub(super) index: u32,
}
