//! Where a location's versions lie in a store.

/// Hash of a location under the seed of one store.
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

/// The place of a chain; it stays the same for the life of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChainId {
    pub(super) shard: u32,
    pub(super) index: u32,
}
