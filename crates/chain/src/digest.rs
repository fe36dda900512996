//! A digest of an entire state.

use crate::{Snapshot, StateReader, StoreError};
use alloy_primitives::{B256, Keccak256};

/// Digest of a state, with the number of accounts and slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Number of accounts.
    pub accounts: u64,
    /// Number of slots that are not zero.
    pub slots: u64,
    /// Keccak-256 hash over all accounts and their slots, in order of address and slot number.
    /// Equal states have equal hashes. It is not a state root.
    pub hash: B256,
}

/// Computes the digest from all accounts and slots, in time proportional to the state.
///
/// # Errors
/// The store failed.
pub fn digest<S: Snapshot>(reader: &StateReader<S>) -> Result<Digest, StoreError> {
    let mut digest = Digest::default();
    let mut hasher = Keccak256::new();
    for entry in reader.accounts() {
        let (address, account) = entry?;
        digest.accounts = digest.accounts.saturating_add(1);
        hasher.update(address);
        hasher.update(account.nonce.to_be_bytes());
        hasher.update(account.balance.to_be_bytes::<32>());
        hasher.update(account.code_hash);
        let mut slots = 0_u64;
        for slot in reader.slots(address) {
            let (slot, value) = slot?;
            slots = slots.saturating_add(1);
            hasher.update(slot.to_be_bytes::<32>());
            hasher.update(value.to_be_bytes::<32>());
        }
        // The number of slots separates an account's slots from the next account.
        hasher.update(slots.to_be_bytes());
        digest.slots = digest.slots.saturating_add(slots);
    }
    digest.hash = hasher.finalize();
    Ok(digest)
}
