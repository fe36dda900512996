//! How accounts are spread over shards, by which workers share them out when the bundle is built.

use super::change::AccountChange;
use super::location::EvmLocation;
use alloy_primitives::Address;
use core::hash::BuildHasher;
use foldhash::fast::RandomState;

/// Shards that accounts are spread over; a bucket has several of them.
pub(in crate::evm) const BUNDLE_SHARDS: u64 = 64;

/// Spreads accounts over shards, under a secret seed.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct BundleShards(RandomState);

impl BundleShards {
    /// The bit of the account's shard.
    pub(in crate::evm) fn shard(&self, address: &Address) -> u64 {
        1 << (self.0.hash_one(EvmLocation::Account(*address)) % BUNDLE_SHARDS)
    }

    /// One bit for each shard that `changes` are in.
    pub(in crate::evm) fn shard_mask(&self, changes: &[AccountChange]) -> u64 {
        changes.iter().fold(0, |shard_mask, change| shard_mask | self.shard(&change.address))
    }
}
