//! What undoes the slots of an account that has very many of them: while one worker folds what has become of them
//! another one makes this.

use super::bundle::{BlockEffects, Spread};
use super::change::ChangeKind;
use alloy_primitives::{Address, map::AddressMap};
use revm::database::{BundleState, RevertToSlot};
use revm::primitives::StorageKeyMap;
use std::collections::hash_map::Entry;

/// Slots from which on two workers are faster than one.
const MANY: usize = 4_096;
/// Transactions that tell which accounts have as many.
const SAMPLE: usize = 32;

/// What an account's slots go back to.
pub(super) type UndoneSlots = StorageKeyMap<RevertToSlot>;

/// An account, and about how many slots of it have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Large {
    pub(super) address: Address,
    pub(super) slots: usize,
}

/// Accounts with very many slots, as far as a sample of the transactions tells.
pub(super) fn large_accounts(effects: &BlockEffects) -> Vec<Large> {
    let BlockEffects { masks, outcomes, .. } = effects;
    // What has changed nothing need not be looked at.
    let changed = || masks.iter().zip(outcomes).filter(|(mask, _)| **mask != 0);
    let step = changed().count().div_ceil(SAMPLE).max(1);
    let mut slots = AddressMap::<usize>::default();
    let sample = changed().step_by(step).filter_map(|(_, outcome)| outcome.as_ref().ok());
    for change in sample.flat_map(|output| &output.changes) {
        if !change.slots.is_empty() {
            *slots.entry(change.address).or_default() += step * change.slots.len();
        }
    }
    let many = slots.into_iter().filter(|(_, slots)| *slots >= MANY);
    let mut large: Vec<_> = many.map(|(address, slots)| Large { address, slots }).collect();
    large.sort_unstable_by_key(|large| large.address);
    large
}

/// What the slots of an account go back to, whose life neither began nor ended in the block. `None` if it
/// did, as what counts of them depends on that.
pub(super) fn undone_slots(
    effects: &BlockEffects,
    spread: &Spread,
    account: Large,
) -> Option<UndoneSlots> {
    let cell = spread.cell(&account.address);
    let outcomes = effects.outcomes.iter().zip(&effects.masks);
    let outputs = outcomes.filter(|(_, mask)| **mask & cell != 0).flat_map(|(outcome, _)| outcome);
    let changes = outputs.flat_map(|output| &output.changes);
    let changes = effects.before.iter().chain(changes).chain(&effects.after);
    let mut undone = UndoneSlots::with_capacity_and_hasher(account.slots, Default::default());
    for change in changes.filter(|change| change.address == account.address) {
        if change.kind != ChangeKind::Changed {
            return None;
        }
        for slot in &change.slots {
            match undone.entry(slot.slot) {
                Entry::Vacant(entry) => {
                    entry.insert(RevertToSlot::Some(slot.before));
                }
                // Back to what it was before the block.
                Entry::Occupied(entry) if *entry.get() == RevertToSlot::Some(slot.after) => {
                    entry.remove();
                }
                Entry::Occupied(_) => {}
            }
        }
    }
    Some(undone)
}

/// Puts what undoes its slots to the accounts of `apart`, which have gone without. What nobody has made is made
/// here.
pub(super) fn put_back(
    bundle: &mut BundleState,
    apart: Vec<Address>,
    mut undone: AddressMap<UndoneSlots>,
) {
    for address in apart {
        let slots = undone.remove(&address).or_else(|| {
            let storage = &bundle.state.get(&address)?.storage;
            let changed = storage.iter().filter(|(_, slot)| slot.is_changed());
            Some(
                changed
                    .map(|(at, slot)| (*at, RevertToSlot::Some(slot.original_value())))
                    .collect(),
            )
        });
        let mut reverts = bundle.reverts.iter_mut().flatten();
        let revert = reverts.find(|(of, _)| *of == address);
        if let Some(((_, revert), slots)) = revert.zip(slots) {
            bundle.reverts_size += slots.len();
            revert.storage = slots;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::change::{AccountChange, SlotChange};
    use crate::evm::fold::AccountFold;
    use crate::evm::mutants::EvmMutant;
    use alloy_primitives::U256;
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
            knows_code: true,
            knows_balance: true,
        }
    }

    fn undone(before: Vec<AccountChange>) -> Option<UndoneSlots> {
        let effects = BlockEffects { before, ..BlockEffects::default() };
        let account = Large { address: ACCOUNT, slots: 2 };
        undone_slots(&effects, &Spread::default(), account)
    }

    /// As if one had done both.
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

            let mut apart = AccountFold::after(&steps[0], EvmMutant::None);
            changes().skip(1).for_each(|change| apart.apply(change));
            let apart = apart.finish(true).expect("it has changed");
            assert!(apart.is_undone_apart && apart.revert.storage.is_empty());
            assert_eq!(apart.account, expected.account);
        }
        let ends = change(ChangeKind::Destroyed, &[]);
        assert_eq!(undone(vec![steps[0].clone(), ends]), None);
    }

    /// What was left out is made of the bundle.
    #[test]
    fn what_nobody_has_made_is_made_at_the_end() {
        let steps = [change(ChangeKind::Changed, &[(1, 0, 5), (2, 6, 0)])];
        let folded = |apart| {
            AccountFold::after(&steps[0], EvmMutant::None).finish(apart).expect("it has changed")
        };
        let made = undone(steps.to_vec()).expect("it only changes");
        for undone in [AddressMap::default(), AddressMap::from_iter([(ACCOUNT, made)])] {
            let mut bundle = BundleState::default();
            bundle.state.insert(ACCOUNT, folded(true).account);
            bundle.reverts.push(vec![(ACCOUNT, folded(true).revert)]);
            put_back(&mut bundle, vec![ACCOUNT], undone);
            assert_eq!(bundle.reverts[0][0].1, folded(false).revert);
            assert_eq!(bundle.reverts_size, 2);
        }
    }
}
