//! Assignment of accounts to shards, which workers divide among themselves when the bundle is
//! built.

use super::change::AccountChange;
use super::location::EvmLocation;
use alloy_primitives::Address;
use core::hash::BuildHasher;
use foldhash::fast::RandomState;

/// Number of shards; a bucket has several of them.
pub(in crate::evm) const BUNDLE_SHARDS: u64 = 64;

/// Assigns accounts to shards, under a secret seed.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct BundleShards(RandomState);

impl BundleShards {
    /// Bit of the account's shard.
    pub(in crate::evm) fn shard(&self, address: &Address) -> u64 {
        1 << (self.0.hash_one(EvmLocation::Account(*address)) % BUNDLE_SHARDS)
    }

    /// Bit mask of the shards of `changes`.
    pub(in crate::evm) fn shard_mask(&self, changes: &[AccountChange]) -> u64 {
        changes.iter().fold(0, |shard_mask, change| shard_mask | self.shard(&change.address))
    }
}
