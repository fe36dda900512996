//! Assignment of accounts to shards, which the workers share out to build the bundle.

use super::change::AccountChange;
use super::location::EvmLocation;
use alloy_primitives::Address;
use core::hash::BuildHasher;
use foldhash::fast::RandomState;

/// Number of shards. A bucket consists of several shards.
pub(in crate::evm) const BUNDLE_SHARDS: u64 = 64;

/// Assigns accounts to shards with a secret hash seed.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct BundleShards(RandomState);

impl BundleShards {
    /// Bit mask of the account's shard.
    pub(in crate::evm) fn shard(&self, address: &Address) -> u64 {
        1 << (self.0.hash_one(EvmLocation::Account(*address)) % BUNDLE_SHARDS)
    }

    /// Bit mask of the shards of `changes`.
    pub(in crate::evm) fn shard_mask(&self, changes: &[AccountChange]) -> u64 {
        changes.iter().fold(0, |shard_mask, change| shard_mask | self.shard(&change.address))
    }
}
