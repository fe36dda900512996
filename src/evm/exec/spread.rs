//! How accounts are spread over cells, by which workers share them out when the bundle is built.

use super::change::AccountChange;
use super::location::EvmLocation;
use alloy_primitives::Address;
use core::hash::BuildHasher;
use foldhash::fast::RandomState;

/// Cells that accounts are spread over; a bucket has several of them.
pub(in crate::evm) const CELLS: u64 = 64;

/// Spreads accounts over cells, under a secret seed.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct Spread(RandomState);

impl Spread {
    /// The bit of the account's cell.
    pub(in crate::evm) fn cell(&self, address: &Address) -> u64 {
        1 << (self.0.hash_one(EvmLocation::Account(*address)) % CELLS)
    }

    /// One bit for each cell that `changes` are in.
    pub(in crate::evm) fn mask(&self, changes: &[AccountChange]) -> u64 {
        changes.iter().fold(0, |mask, change| mask | self.cell(&change.address))
    }
}
