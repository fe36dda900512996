//! A toy address space, and the store's promise restated on an ordered map.

use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mv::{Entry, Location, Origin};
use std::collections::BTreeMap;

/// A location of the toy address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The balance of an account.
    Balance(u8),
    /// (account, slot), in the scope of the account's life.
    Slot(u8, u8),
    /// The life of an account.
    Life(u8),
}

/// A value. Absent, empty and zero are three values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amount {
    /// Nothing is there.
    Absent,
    /// Something is there, and it is empty.
    Empty,
    /// A number.
    Number(u8),
}

impl Location for Place {
    type Value = Amount;
    type Delta = u8;

    fn scope(&self) -> Option<Self> {
        match self {
            Self::Slot(account, _) => Some(Self::Life(*account)),
            Self::Balance(_) | Self::Life(_) => None,
        }
    }

    fn is_scope(&self) -> bool {
        matches!(self, Self::Life(_))
    }

    fn destroyed(&self) -> Amount {
        match self {
            Self::Balance(_) => Amount::Absent,
            Self::Slot(..) => Amount::Number(0),
            Self::Life(_) => Amount::Empty,
        }
    }

    /// Adds, or drops what would overflow: the order of the deltas matters.
    fn fold(value: &mut Amount, delta: &u8) {
        let sum = match value {
            Amount::Absent | Amount::Empty => Some(*delta),
            Amount::Number(number) => number.checked_add(*delta),
        };
        if let Some(sum) = sum {
            *value = Amount::Number(sum);
        }
    }
}

/// The value of each place before the block.
pub(super) fn base_of(place: Place) -> Amount {
    match place {
        Place::Balance(0) => Amount::Absent,
        Place::Balance(_) => Amount::Number(100),
        // Equal to what a tombstone leaves, or not.
        Place::Slot(_, 0) => Amount::Number(0),
        Place::Slot(..) => Amount::Number(7),
        Place::Life(_) => Amount::Number(1),
    }
}

/// What a reader must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Seen(Origin, Amount),
    Blocked(TxIndex),
}

#[derive(Clone, Debug)]
enum Left {
    Entry(Entry<Place>),
    Estimate,
}

/// All that lies in the store, by place and transaction.
#[derive(Debug, Default)]
pub(super) struct Reference {
    left: BTreeMap<(Place, TxIndex), (Incarnation, Left)>,
}

impl Reference {
    /// The incarnation whose entry lies at `place` for `tx`.
    pub(super) fn incarnation(&self, place: Place, tx: TxIndex) -> Option<Incarnation> {
        self.left.get(&(place, tx)).map(|(incarnation, _)| *incarnation)
    }

    pub(super) fn publish(&mut self, version: Version, place: Place, entry: Entry<Place>) {
        let there = self.incarnation(place, version.tx);
        if there.is_none_or(|there| there <= version.incarnation) {
            self.left.insert((place, version.tx), (version.incarnation, Left::Entry(entry)));
        }
    }

    pub(super) fn withdraw(&mut self, version: Version, place: Place) {
        let there = self.incarnation(place, version.tx);
        if there.is_some_and(|there| there <= version.incarnation) {
            self.left.remove(&(place, version.tx));
        }
    }

    pub(super) fn mark_estimate(&mut self, version: Version, place: Place) {
        if self.incarnation(place, version.tx) == Some(version.incarnation) {
            self.left.insert((place, version.tx), (version.incarnation, Left::Estimate));
        }
    }

    /// Walks through the block from its start, as executing one by one would.
    pub(super) fn resolve(&self, place: Place, reader: TxIndex) -> Answer {
        let mut value = base_of(place);
        let mut origin = Origin::Base;
        let mut blocked = None;
        for tx in (0..reader.0).map(TxIndex) {
            let life = place.scope().and_then(|scope| self.left.get(&(scope, tx)));
            let life = life
                .filter(|(_, left)| matches!(left, Left::Estimate | Left::Entry(Entry::Tombstone)));
            for (incarnation, left) in life.into_iter().chain(self.left.get(&(place, tx))) {
                let version = Version { tx, incarnation: *incarnation };
                match left {
                    Left::Estimate => blocked = Some(tx),
                    Left::Entry(Entry::Delta(delta)) => {
                        Place::fold(&mut value, delta);
                        origin = Origin::Folded(version);
                    }
                    Left::Entry(Entry::Tombstone) => {
                        (value, origin, blocked) =
                            (place.destroyed(), Origin::Tombstone(version), None);
                    }
                    Left::Entry(Entry::Value(new)) => {
                        (value, origin, blocked) = (*new, Origin::Value(version), None);
                    }
                }
            }
        }
        blocked.map_or(Answer::Seen(origin, value), Answer::Blocked)
    }
}
