//! The state of a toy block: a few accounts, each with a life, a balance and slots.

use braid_evm::mv::Location;

/// Number of accounts.
pub const ACCOUNTS: u8 = 2;
/// Number of slots of an account.
pub const SLOTS: u8 = 3;

/// One piece of toy state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ToyLocation {
    /// The life of an account: its tombstones end the life of the slots.
    Life(u8),
    /// The balance of an account, which takes deltas.
    Balance(u8),
    /// A slot of an account: account, slot.
    Slot(u8, u8),
}

impl Location for ToyLocation {
    /// Absent and zero differ.
    type Value = Option<u64>;
    /// A credit; one of zero still creates the balance.
    type Delta = u64;

    fn scope(&self) -> Option<Self> {
        match self {
            Self::Slot(account, _) => Some(Self::Life(*account)),
            Self::Life(_) | Self::Balance(_) => None,
        }
    }

    fn is_scope(&self) -> bool {
        matches!(self, Self::Life(_))
    }

    fn destroyed(&self) -> Self::Value {
        None
    }

    fn fold(value: &mut Self::Value, delta: &Self::Delta) {
        *value = Some(value.unwrap_or(0).wrapping_add(*delta));
    }

    fn mistaken(value: &Self::Value) -> Self::Value {
        Some(value.unwrap_or(0))
    }
}

/// All locations, in order.
pub fn universe() -> impl Iterator<Item = ToyLocation> {
    (0..ACCOUNTS).flat_map(|account| {
        let slots = (0..SLOTS).map(move |slot| ToyLocation::Slot(account, slot));
        [ToyLocation::Life(account), ToyLocation::Balance(account)].into_iter().chain(slots)
    })
}
