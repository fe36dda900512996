//! Slot reverts of accounts with very many slots: one worker computes them while another folds the
//! account.

use super::block_effects::BlockEffects;
use crate::evm::exec::bundle_shards::BundleShards;
use crate::evm::exec::change::{AccountChange, ChangeKind};
use alloy_primitives::map::{AddressMap, AddressSet};
use alloy_primitives::{Address, U256};
use revm::database::{BundleState, RevertToSlot};
use revm::primitives::StorageKeyMap;
use std::collections::hash_map::Entry;

/// Number of slots above which two workers are faster than one.
const LARGE_SLOTS: usize = 4_096;
/// Maximum initial capacity in slots, whatever the sample suggests.
const MAX_INITIAL_CAPACITY: usize = 16 * LARGE_SLOTS;
/// Maximum number of transactions in the sample.
const SAMPLE: usize = 32;
/// Minimum number of sampled transactions that must change an account for an estimate, because a
/// single one may be exceptional.
const MIN_SAMPLED_CHANGES: usize = 4;
/// Maximum number of slots sampled from each change. If most are equal, the account has few
/// distinct slots.
const SLOTS_PER_SAMPLE: usize = 16;

/// Values that an account's slots revert to.
pub(in crate::evm) type UndoneSlots = StorageKeyMap<RevertToSlot>;

/// An account with an estimate of how many of its slots changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::evm) struct LargeAccount {
    pub(in crate::evm) address: Address,
    pub(super) slots: usize,
}

/// Sample of the changes of an account.
#[derive(Default)]
struct Sampled {
    transactions: usize,
    slots: usize,
    /// Up to `SLOTS_PER_SAMPLE` slots of each change.
    sampled_slots: Vec<U256>,
}

impl Sampled {
    fn add(&mut self, change: &AccountChange) {
        self.transactions += 1;
        self.slots += change.slots.len();
        self.sampled_slots.extend(change.slots.iter().take(SLOTS_PER_SAMPLE).map(|slot| slot.slot));
    }

    /// Estimates the number of changed slots, where every `step`-th transaction was sampled.
    fn estimate(mut self, step: usize) -> usize {
        let sampled = self.sampled_slots.len();
        self.sampled_slots.sort_unstable();
        self.sampled_slots.dedup();
        match self.transactions >= MIN_SAMPLED_CHANGES
            && 4 * self.sampled_slots.len() >= 3 * sampled
        {
            true => step * self.slots,
            false => 0,
        }
    }
}

/// Finds accounts that change very many slots and are not in `parent`, by sampling transactions.
pub(in crate::evm) fn large_accounts(
    effects: &BlockEffects,
    parent: Option<&BundleState>,
) -> Vec<LargeAccount> {
    let BlockEffects { shard_masks, outcomes, .. } = effects;
    // Leave out transactions without changes.
    let changed = || shard_masks.iter().zip(outcomes).filter(|(shard_mask, _)| **shard_mask != 0);
    let step = changed().count().div_ceil(SAMPLE).max(1);
    let mut accounts = AddressMap::<Sampled>::default();
    let sample = changed().step_by(step).flat_map(|(_, outcome)| outcome.iter().flatten());
    let changes = sample.flat_map(|output| &output.changes);
    for change in changes.filter(|change| !change.slots.is_empty()) {
        accounts.entry(change.address).or_default().add(change);
    }
    let estimated = accounts
        .into_iter()
        .map(|(address, sampled)| LargeAccount { address, slots: sampled.estimate(step) });
    let is_new =
        |large: &LargeAccount| parent.is_none_or(|it| it.account(&large.address).is_none());
    let mut large: Vec<_> =
        estimated.filter(|large| large.slots >= LARGE_SLOTS && is_new(large)).collect();
    large.sort_unstable_by_key(|large| large.address);
    large
}

/// Computes the slot reverts of an account. Returns `None` if the account was created or destroyed
/// in the block, because its reverts then depend on the order of changes.
pub(in crate::evm) fn undone_slots(
    effects: &BlockEffects,
    bundle_shards: &BundleShards,
    account: LargeAccount,
) -> Option<UndoneSlots> {
    let shard = bundle_shards.shard(&account.address);
    let outcomes = effects.outcomes.iter().zip(&effects.shard_masks);
    let outputs = outcomes
        .filter(|(_, shard_mask)| **shard_mask & shard != 0)
        .flat_map(|(outcome, _)| outcome.iter().flatten());
    let changes = outputs.flat_map(|output| &output.changes);
    let changes = effects.before.iter().chain(changes).chain(&effects.after);
    let room = account.slots.min(MAX_INITIAL_CAPACITY);
    let mut undone = UndoneSlots::with_capacity_and_hasher(room, Default::default());
    for change in changes.filter(|change| change.address == account.address) {
        if change.kind != ChangeKind::Changed {
            return None;
        }
        for slot in &change.slots {
            match undone.entry(slot.slot) {
                Entry::Vacant(entry) => {
                    entry.insert(RevertToSlot::Some(slot.before));
                }
                // Back to the value before the block.
                Entry::Occupied(entry) if *entry.get() == RevertToSlot::Some(slot.after) => {
                    entry.remove();
                }
                Entry::Occupied(_) => {}
            }
        }
    }
    if undone.capacity() > 4 * undone.len() {
        undone.shrink_to_fit();
    }
    Some(undone)
}

/// Inserts the slot reverts of the accounts in `undone_separately`, which were added without them.
/// Computes missing ones from the bundle.
pub(in crate::evm) fn insert_slot_reverts(
    bundle: &mut BundleState,
    undone_separately: Vec<Address>,
    mut undone: AddressMap<UndoneSlots>,
) {
    let mut undone_separately: AddressSet = undone_separately.into_iter().collect();
    let BundleState { state, reverts, reverts_size, .. } = bundle;
    for (address, revert) in reverts.last_mut().into_iter().flatten() {
        if undone_separately.is_empty() {
            return;
        }
        if !undone_separately.remove(address) {
            continue;
        }
        let job_result = undone.remove(address);
        revert.storage = job_result.unwrap_or_else(|| {
            let slots = state.get(address).into_iter().flat_map(|account| &account.storage);
            let changed = slots.filter(|(_, slot)| slot.is_changed());
            changed.map(|(at, slot)| (*at, RevertToSlot::Some(slot.original_value()))).collect()
        });
        *reverts_size += revert.storage.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::bundle::fold::AccountFold;
    use crate::evm::exec::change::{CodeState, SlotChange};
    use revm::state::AccountInfo;

    const ACCOUNT: Address = Address::repeat_byte(7);

    fn change(kind: ChangeKind, slots: &[(u64, u64, u64)]) -> AccountChange {
        let info = Some(AccountInfo::default().with_nonce(1));
        let slot = |&(slot, before, after): &(u64, u64, u64)| {
            let [slot, before, after] = [slot, before, after].map(U256::from);
            SlotChange { slot, before, after }
        };
        AccountChange {
            address: ACCOUNT,
            kind,
            before: info.clone(),
            after: info,
            slots: slots.iter().map(slot).collect(),
            code: CodeState::Loaded,
            knows_balance: true,
        }
    }

    fn undone(before: Vec<AccountChange>) -> Option<UndoneSlots> {
        let effects = BlockEffects { before, ..BlockEffects::default() };
        let account = LargeAccount { address: ACCOUNT, slots: 2 };
        undone_slots(&effects, &BundleShards::default(), account)
    }

    /// Repeated slots count once, and an account with too few samples counts as small.
    #[test]
    fn a_sample_tells_many_slots_from_many_changes() {
        let estimate = |transactions: u64, distinct: bool| {
            let mut sampled = Sampled::default();
            for number in 0..transactions {
                let first = if distinct { 100 * number } else { 0 };
                let slots: Vec<_> = (first..first + 50).map(|slot| (slot, 0, 1)).collect();
                sampled.add(&change(ChangeKind::Changed, &slots));
            }
            sampled.estimate(10)
        };
        assert_eq!(estimate(4, true), 2_000);
        assert_eq!((estimate(3, true), estimate(32, false)), (0, 0));
    }

    /// Two workers return the same result as one worker that does both.
    #[test]
    fn slots_are_undone_as_they_are_folded() {
        let steps = [
            change(ChangeKind::Changed, &[(1, 0, 5), (2, 6, 0), (3, 0, 1)]),
            AccountChange { address: Address::ZERO, ..change(ChangeKind::Destroyed, &[]) },
            change(ChangeKind::Changed, &[(1, 5, 0), (2, 0, 4)]),
            change(ChangeKind::Changed, &[(1, 0, 9), (2, 4, 6)]),
        ];
        for count in 1..=steps.len() {
            let changes = || steps[..count].iter().filter(|change| change.address == ACCOUNT);
            let mut fold = AccountFold::before(steps[0].before.clone());
            changes().for_each(|change| fold.apply(change));
            let expected = fold.finish(false).expect("it has changed");
            assert_eq!(undone(steps[..count].to_vec()), Some(expected.revert.storage));

            let mut separate = AccountFold::after(&steps[0]);
            changes().skip(1).for_each(|change| separate.apply(change));
            let separate = separate.finish(true).expect("it has changed");
            assert!(separate.is_undone_separately && separate.revert.storage.is_empty());
            assert_eq!(separate.account, expected.account);
        }
        let ends = change(ChangeKind::Destroyed, &[]);
        assert_eq!(undone(vec![steps[0].clone(), ends]), None);
    }

    /// Slot reverts that no job has computed are taken from the bundle.
    #[test]
    fn what_is_not_made_yet_is_made_at_the_end() {
        let steps = [change(ChangeKind::Changed, &[(1, 0, 5), (2, 6, 0)])];
        let folded =
            |separately| AccountFold::after(&steps[0]).finish(separately).expect("it has changed");
        let job_result = undone(steps.to_vec()).expect("it only changes");
        for undone in [AddressMap::default(), AddressMap::from_iter([(ACCOUNT, job_result)])] {
            let mut bundle = BundleState::default();
            bundle.state.insert(ACCOUNT, folded(true).account);
            bundle.reverts.push(vec![(ACCOUNT, folded(true).revert)]);
            insert_slot_reverts(&mut bundle, vec![ACCOUNT], undone);
            assert_eq!(bundle.reverts[0][0].1, folded(false).revert);
            assert_eq!(bundle.reverts_size, 2);
        }
    }
}
