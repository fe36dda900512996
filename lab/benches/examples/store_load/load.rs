//! Accounts and blocks in the format in which a chain writes them.

use alloy_primitives::{U256, keccak256};
use braid_chain::{Snapshot, Table, Writes};
use braid_evm::runtime::simulated::Random;

const ACCOUNTS_CHANGED: u64 = 10_000;
const SLOTS_CHANGED: u64 = 2_000;
/// Accounts and slots that a block changes.
pub(crate) const CHANGES: u64 = ACCOUNTS_CHANGED + SLOTS_CHANGED;
/// Number of contracts that have the slots.
const CONTRACTS: u64 = 100;
const HEAD: &[u8] = b"head";

/// The load, on the given number of accounts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) accounts: u64,
}

impl Load {
    /// Returns all accounts, in transactions of 100,000, in key order.
    pub(crate) fn genesis(self) -> impl Iterator<Item = Writes> {
        let mut keys: Vec<_> = (0..self.accounts).map(address).collect();
        keys.sort_unstable();
        let batches: Vec<Vec<_>> = keys.chunks(100_000).map(<[_]>::to_vec).collect();
        batches.into_iter().map(|keys| {
            let mut writes = Writes::default();
            for key in keys {
                writes.put(Table::Accounts, key, record(0));
            }
            writes
        })
    }

    /// Returns the changes of a block: accounts all over the state, slots of a few contracts.
    pub(crate) fn block(self, number: u64) -> Writes {
        let index = |place: u64| random(number << 32 | place);
        let mut keys: Vec<_> =
            (0..ACCOUNTS_CHANGED).map(|place| address(index(place) % self.accounts)).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut slots: Vec<_> = (0..SLOTS_CHANGED)
            .map(|place| {
                let slot = index(place + ACCOUNTS_CHANGED) % self.accounts;
                let hash = keccak256(U256::from(slot).to_be_bytes::<32>());
                [&address(slot % CONTRACTS)[..], hash.as_slice()].concat()
            })
            .collect();
        slots.sort_unstable();
        slots.dedup();
        let mut writes = Writes::default();
        for key in keys {
            writes.put(Table::Accounts, key, record(number));
        }
        for key in slots {
            writes.put(Table::Slots, key, record(number));
        }
        writes.put(Table::Meta, HEAD, number.to_be_bytes());
        writes
    }

    /// Returns the key of an account that exists or, if `absent`, of one that does not.
    pub(crate) fn key(self, index: u64, absent: bool) -> [u8; 20] {
        let first = if absent { self.accounts } else { 0 };
        address(first + random(index) % self.accounts)
    }
}

/// Returns the number of the last block in the store.
pub(crate) fn head(snapshot: &impl Snapshot) -> crate::Result<u64> {
    let head = snapshot.get(Table::Meta, HEAD)?.ok_or("no block in the store")?;
    Ok(u64::from_be_bytes(head.as_slice().try_into()?))
}

fn address(index: u64) -> [u8; 20] {
    let mut key = [0; 20];
    for (part, bytes) in key.chunks_mut(8).enumerate() {
        let word = random(index * 3 + part as u64).to_be_bytes();
        bytes.copy_from_slice(&word[..bytes.len()]);
    }
    key
}

/// Returns an account record with a nonce and a balance.
fn record(number: u64) -> Vec<u8> {
    [&[0][..], &number.to_be_bytes(), &random(number).to_be_bytes()[..7]].concat()
}

/// Returns a pseudo-random number.
fn random(seed: u64) -> u64 {
    Random::new(seed).next_u64()
}
