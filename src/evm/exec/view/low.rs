//! Tracking of precompiles in the journal. They are warm from the beginning, so revm's journal has
//! no entry for an access to one. Looking up each precompile after each transaction would cost as
//! much as recording all other accesses of a token transfer.

use super::EvmView;
use alloy_primitives::Address;
use revm::DatabaseRef;

impl<D: DatabaseRef> EvmView<'_, D> {
    /// Records that the journal loads this account.
    #[inline]
    pub(super) fn note_low(&mut self, address: Address) {
        if let Some(low) = &mut self.low
            && (self.has_own_precompiles || is_low(&address))
        {
            low.push(address);
        }
    }

    /// Accounts loaded into the journal since the last transaction, including all precompiles among
    /// them; empty if accesses are not recorded.
    pub(in crate::evm::exec) fn low_accounts(&self) -> &[Address] {
        self.low.as_deref().unwrap_or_default()
    }

    /// Resets the record at the end of a transaction. If a later transaction accesses an account
    /// that an earlier one has loaded, revm's journal has an entry for it, so the work per
    /// transaction does not grow with the number of earlier ones.
    pub(in crate::evm::exec) fn forget_low_accounts(&mut self) {
        self.low.iter_mut().for_each(Vec::clear);
    }
}

/// Whether `address` is in the range of Ethereum's precompiles.
fn is_low(address: &Address) -> bool {
    address.first_chunk() == Some(&[0; 16])
}
