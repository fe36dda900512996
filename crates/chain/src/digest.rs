//! A digest of a whole state.

use crate::{Snapshot, StateReader, StoreError};
use alloy_primitives::{B256, Keccak256};

/// What a state holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Number of accounts.
    pub accounts: u64,
    /// Number of slots that are not zero.
    pub slots: u64,
    /// Keccak-256 hash over all accounts with their slots, by address and slot number. Two states
    /// have the same one if they are equal. It is no state root.
    pub hash: B256,
}

/// Reads all accounts and slots, in time proportional to the state.
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
        // The number of slots keeps one account's slots apart from the next account.
        hasher.update(slots.to_be_bytes());
        digest.slots = digest.slots.saturating_add(slots);
    }
    digest.hash = hasher.finalize();
    Ok(digest)
}
