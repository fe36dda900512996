//! Precompiles in the journal. They are warm from the beginning, so revm's journal has no entry
//! where one is accessed; to look for each of them after each transaction costs as much as the rest
//! of what a token transfer accesses.

use super::EvmView;
use alloy_primitives::Address;
use revm::DatabaseRef;

impl<D: DatabaseRef> EvmView<'_, D> {
    /// The journal gets this account.
    #[inline]
    pub(super) fn note_low(&mut self, address: Address) {
        if let Some(low) = &mut self.low
            && (self.has_own_precompiles || is_low(&address))
        {
            low.push(address);
        }
    }

    /// Accounts that the journal has got since the last transaction, all that are precompiles
    /// among them, if it is recorded what transactions access.
    pub(in crate::evm::exec) fn low_accounts(&self) -> &[Address] {
        self.low.as_deref().unwrap_or_default()
    }

    /// A transaction has ended. Where a later one accesses what the journal has of earlier ones,
    /// revm's journal has an entry, so that the work for a transaction does not grow with those
    /// before it.
    pub(in crate::evm::exec) fn forget_low_accounts(&mut self) {
        self.low.iter_mut().for_each(Vec::clear);
    }
}

/// Whether Ethereum's precompiles are among addresses like this.
fn is_low(address: &Address) -> bool {
    address.first_chunk() == Some(&[0; 16])
}
