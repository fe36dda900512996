//! Wrong access lists.

use alloy_eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, CodeChange, NonceChange, SlotChanges,
    StorageChange,
};
use alloy_primitives::{Address, Bytes, U256};
use braid_evm::runtime::simulated::Random;

/// Draws a number below its argument; 0 below 0.
pub type Draw<'d> = &'d mut dyn FnMut(usize) -> usize;

/// Returns draws that depend only on `seed`.
pub fn draws(seed: u64) -> impl FnMut(usize) -> usize {
    let mut random = Random::new(seed);
    move |end| random.below(end as u64) as usize
}

fn pick<'l, T>(all: &'l mut [T], draw: Draw<'_>) -> Option<&'l mut T> {
    let place = draw(all.len());
    all.get_mut(place)
}

fn remove<T>(all: &mut Vec<T>, draw: Draw<'_>) {
    if !all.is_empty() {
        all.remove(draw(all.len()));
    }
}

/// Moves every change of `list` to a random index, unordered, within a block of `transactions`
/// transactions or beyond.
pub fn scramble(list: &mut [AccountChanges], transactions: usize, draw: Draw<'_>) {
    let mut index = || BlockAccessIndex::new(draw(transactions + 3) as u64);
    for account in list {
        let slots = account.storage_changes.iter_mut().flat_map(|slot| &mut slot.changes);
        slots.for_each(|change| change.block_access_index = index());
        let balances = account.balance_changes.iter_mut();
        balances.for_each(|change| change.block_access_index = index());
        account.nonce_changes.iter_mut().for_each(|change| change.block_access_index = index());
    }
}

/// Changes `list`, which belongs to a block of `transactions` transactions. The result may still be
/// correct.
pub fn spoil(list: &mut Vec<AccountChanges>, transactions: usize, draw: Draw<'_>) {
    let index = BlockAccessIndex::new(draw(transactions + 3) as u64);
    let (value, kind) = (U256::from(draw(4)), draw(16));
    let place = draw(list.len());
    match kind {
        0 => remove(list, draw),
        1 => list.truncate(place),
        2 => list.insert(place, AccountChanges::new(Address::repeat_byte(0x77))),
        3 if !list.is_empty() => list.swap(0, place),
        _ => {}
    }
    let Some(account) = pick(list, draw) else { return };
    match kind {
        4 => remove(&mut account.storage_reads, draw),
        5 => remove(&mut account.storage_changes, draw),
        6 => account.storage_reads.push(U256::MAX),
        7 => remove(&mut account.balance_changes, draw),
        8 => remove(&mut account.nonce_changes, draw),
        9 => remove(&mut account.code_changes, draw),
        10 => account.balance_changes.push(BalanceChange::new(index, value)),
        11 => account.nonce_changes.push(NonceChange::new(index, draw(3) as u64)),
        12 => {
            let code = [&[][..], &[0xef], &[0xef, 1, 0], &[0x5b; 30]][draw(4)];
            account.code_changes.push(CodeChange::new(index, Bytes::from(code)));
        }
        13 => {
            let changes = vec![StorageChange::new(index, value)];
            account.storage_changes.push(SlotChanges::new(U256::MAX, changes));
        }
        14 => {
            if let Some(slot) = pick(&mut account.storage_changes, draw) {
                slot.changes.push(StorageChange::new(index, value));
            }
        }
        15 => {
            if let Some(slot) = pick(&mut account.storage_changes, draw)
                && let Some(change) = pick(&mut slot.changes, draw)
            {
                change.new_value = value;
            }
        }
        _ => {
            if let Some(change) = pick(&mut account.balance_changes, draw) {
                change.post_balance = value;
            }
        }
    }
}
