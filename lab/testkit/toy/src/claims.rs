//! The list that a toy block may come with: what each of its transactions changes. Private batches read it.

use super::location::ToyLocation;
use super::reference::Reference;
use braid_evm::ids::TxIndex;
use braid_evm::runtime::simulated::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// What one transaction changes, with the values that it leaves.
pub type ToyClaim = BTreeMap<ToyLocation, Option<u64>>;

/// A list, right or wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToyClaims {
    changes: Vec<ToyClaim>,
    /// Runs are not compared with it: for tests that must notice that.
    is_trusted: bool,
}

impl ToyClaims {
    /// The right list of a block that comes to this.
    #[must_use]
    pub fn of(reference: &Reference) -> Self {
        let changes = reference.states.windows(2).map(|states| {
            let differs = |(location, value): &(&ToyLocation, &Option<u64>)| {
                states[0].get(location) != Some(value)
            };
            let changes = states[1].iter().filter(differs);
            changes.map(|(location, value)| (*location, *value)).collect()
        });
        Self { changes: changes.collect(), is_trusted: false }
    }

    /// The same with another value, a change too many or one too few, of one transaction: which it is, if there is any.
    #[must_use]
    pub fn lie(mut self, random: &mut Random) -> (Self, Option<TxIndex>) {
        let at = random.below(self.changes.len() as u64);
        let Some(claim) = self.changes.get_mut(at as usize) else { return (self, None) };
        let location = ToyLocation::Slot(random.small(2), random.small(3));
        match claim.first_entry() {
            Some(change) if random.chance(1, 3) => _ = change.remove(),
            Some(mut change) if random.chance(1, 2) => {
                let other = change.get().map_or(3, |value| value.wrapping_add(1));
                change.insert(Some(other));
            }
            _ => {
                let other = claim.get(&location).copied().flatten().map_or(4, |value| value + 1);
                claim.insert(location, Some(other));
            }
        }
        (self, u32::try_from(at).ok().map(TxIndex))
    }

    /// The same, with which no run is compared.
    #[must_use]
    pub fn trusted(self) -> Self {
        Self { is_trusted: true, ..self }
    }

    /// Whether no run is compared with it.
    pub(super) const fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// What the list has of `tx`.
    pub(super) fn at(&self, tx: TxIndex) -> Option<&ToyClaim> {
        self.changes.get(tx.position())
    }

    /// What `location` holds below `tx`, if the block has changed it by then.
    pub(super) fn below(&self, tx: TxIndex, location: &ToyLocation) -> Option<Option<u64>> {
        let below = self.changes.get(..tx.position())?;
        below.iter().rev().find_map(|claim| claim.get(location)).copied()
    }
}

/// Transactions whose runs have differed from the list.
#[derive(Debug, Default)]
pub(super) struct Wrong(Mutex<BTreeSet<TxIndex>>);

impl Wrong {
    pub(super) fn note(&self, tx: TxIndex) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tx);
    }

    pub(super) fn first(&self) -> Option<TxIndex> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).first().copied()
    }
}
