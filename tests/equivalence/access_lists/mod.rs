//! Corners of EIP-7928. Playing a scene compares the list of every executor with two other
//! builders; these tests assert what the EIP requires.

pub(super) mod ahead;
pub(super) mod around;
pub(super) mod bound;
pub(super) mod given;
pub(super) mod hinted;
pub(super) mod lives;
pub(super) mod touched;

use crate::support::scene::Played;
use alloy_eip7928::AccountChanges;
use alloy_primitives::{Address, U256};

const STRANGER: Address = Address::repeat_byte(0xee);
const OTHER: Address = Address::repeat_byte(0xef);

/// Returns the list's entry of an account.
#[track_caller]
fn listed(played: &Played, address: Address) -> &AccountChanges {
    find(played, address).unwrap_or_else(|| panic!("{address} is not in the list"))
}

fn find(played: &Played, address: Address) -> Option<&AccountChanges> {
    played.access_list().iter().find(|account| account.address == address)
}

/// Returns the slots that are only read.
fn reads(account: &AccountChanges) -> Vec<u64> {
    account.storage_reads.iter().map(|slot| slot.to()).collect()
}

/// Returns the written slots, each with the indices and values of its changes.
fn writes(account: &AccountChanges) -> Vec<(u64, Vec<(u64, u64)>)> {
    let slots = account.storage_changes.iter().map(|slot| {
        let change = slot.changes.iter();
        let change = change
            .map(|change| (change.block_access_index.get(), change.new_value.saturating_to()));
        (slot.slot.to(), change.collect())
    });
    slots.collect()
}

fn balances(account: &AccountChanges) -> Vec<(u64, U256)> {
    let changes = account.balance_changes.iter();
    changes.map(|change| (change.block_access_index.get(), change.post_balance)).collect()
}

fn nonces(account: &AccountChanges) -> Vec<(u64, u64)> {
    let changes = account.nonce_changes.iter();
    changes.map(|change| (change.block_access_index.get(), change.new_nonce)).collect()
}

fn codes(account: &AccountChanges) -> Vec<(u64, usize)> {
    let changes = account.code_changes.iter();
    changes.map(|change| (change.block_access_index.get(), change.new_code.len())).collect()
}
