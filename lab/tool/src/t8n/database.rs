//! A given state as a database.

use alloy_primitives::B256;
use braid_blocks::database::{BlockHashes, StateDatabase};
use revm::context::DBErrorMarker;
use std::collections::BTreeMap;

/// `BLOCKHASH` of a block whose hash was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hash of block {0} was not given")]
pub(super) struct MissingBlockHash(pub(super) u64);

impl DBErrorMarker for MissingBlockHash {}

/// The state before the block, shared by its clones.
pub(super) type AllocDatabase = StateDatabase<GivenHashes>;

/// Hashes of earlier blocks by number; any other number is an error.
#[derive(Clone, Debug)]
pub(super) struct GivenHashes(pub(super) BTreeMap<u64, B256>);

impl BlockHashes for GivenHashes {
    type Error = MissingBlockHash;

    fn hash_of(&self, number: u64) -> Result<B256, MissingBlockHash> {
        self.0.get(&number).copied().ok_or(MissingBlockHash(number))
    }
}
