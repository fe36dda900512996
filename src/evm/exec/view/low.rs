//! Tracks accesses to precompiles. Precompiles are warm from the beginning, so revm's journal has
//! no entry for an access to one. Looking up each precompile after each transaction would cost as
//! much as recording all other accesses of a token transfer.

use super::EvmView;
use alloy_primitives::Address;
use revm::DatabaseRef;

impl<D: DatabaseRef> EvmView<'_, D> {
    /// Records that the journal loads `address`, if it may be a precompile.
    #[inline]
    pub(super) fn note_possible_precompile(&mut self, address: Address) {
        if let Some(possible_precompiles) = &mut self.possible_precompiles
            && (self.has_own_precompiles || is_in_precompile_range(&address))
        {
            possible_precompiles.push(address);
        }
    }

    /// Accounts loaded into the journal since the last transaction that may be precompiles; empty
    /// if accesses are not recorded.
    pub(in crate::evm::exec) fn possible_precompiles(&self) -> &[Address] {
        self.possible_precompiles.as_deref().unwrap_or_default()
    }

    /// Resets the record at the end of a transaction. If a later transaction accesses an account
    /// that an earlier one has loaded, revm's journal has an entry for it, so the work per
    /// transaction does not grow with the number of earlier ones.
    pub(in crate::evm::exec) fn clear_possible_precompiles(&mut self) {
        self.possible_precompiles.iter_mut().for_each(Vec::clear);
    }
}

/// Whether `address` is in the range of Ethereum's precompiles.
fn is_in_precompile_range(address: &Address) -> bool {
    address.first_chunk() == Some(&[0; 16])
}
