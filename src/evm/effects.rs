//! Turns what revm leaves of a transaction into a write set.

use super::location::{EvmLocation, EvmValue, NonceCode, Reward};
use crate::mv::Entry;
use alloy_primitives::{Address, U256};
use revm::state::{Account, EvmState};

/// Entries of one transaction.
pub(super) type Writes = Vec<(EvmLocation, Entry<EvmLocation>)>;

/// What the next transaction would read otherwise than this one did, by the rules of revm's
/// `State::commit`: an account that was not touched has not changed.
pub(super) fn write_set(state: &EvmState, reward: Option<(Address, Reward)>) -> Writes {
    let mut writes = Vec::with_capacity(2 * state.len() + 1);
    for (address, account) in state.iter().filter(|(_, account)| account.is_touched()) {
        if account.is_selfdestructed() {
            destroy(*address, &mut writes);
        } else if account.is_created() {
            // Whatever lay in its storage before is gone.
            writes.push((EvmLocation::Lifecycle(*address), Entry::Tombstone));
            write_info(*address, account, None, &mut writes);
            write_slots(*address, account, &mut writes);
        } else if account.is_empty() {
            // EIP-161. Before it, revm's journal has cleared the touch or marked it created.
            if !account.is_loaded_as_not_existing() {
                destroy(*address, &mut writes);
            }
        } else {
            let original = account.original_info();
            let existed = !account.is_loaded_as_not_existing();
            let before = (existed.then_some(original.balance), NonceCode::of(&original));
            write_info(*address, account, Some(before), &mut writes);
            write_slots(*address, account, &mut writes);
        }
    }
    if let Some((beneficiary, reward)) = reward {
        writes.push((EvmLocation::Balance(beneficiary), Entry::Delta(reward)));
    }
    writes
}

fn destroy(address: Address, writes: &mut Writes) {
    writes.push((EvmLocation::Lifecycle(address), Entry::Tombstone));
    writes.push((EvmLocation::Balance(address), Entry::Value(EvmValue::Balance(None))));
    let blank = EvmValue::NonceCode(NonceCode::default());
    writes.push((EvmLocation::NonceCode(address), Entry::Value(blank)));
}

fn write_info(
    address: Address,
    account: &Account,
    before: Option<(Option<U256>, NonceCode)>,
    writes: &mut Writes,
) {
    let balance = Some(account.info.balance);
    let nonce_code = NonceCode::of(&account.info);
    let (balance_same, nonce_code_same) = match before {
        Some((old_balance, old)) => (old_balance == balance, old == nonce_code),
        None => (false, false),
    };
    if !balance_same {
        writes.push((EvmLocation::Balance(address), Entry::Value(EvmValue::Balance(balance))));
    }
    if !nonce_code_same {
        let value = EvmValue::NonceCode(nonce_code);
        writes.push((EvmLocation::NonceCode(address), Entry::Value(value)));
    }
}

fn write_slots(address: Address, account: &Account, writes: &mut Writes) {
    for (slot, value) in account.changed_storage_slots() {
        let entry = Entry::Value(EvmValue::Slot(value.present_value));
        writes.push((EvmLocation::Storage(address, *slot), entry));
    }
}
