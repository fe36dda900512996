//! The state after the last transaction, as the post-block steps read it.

use super::engine::pending_writes::Unmerged;
use super::exec::location::EvmLocation;
use super::exec::stopped::ViewStopped;
use super::exec::view::EvmView;
use alloy_primitives::{Address, B256, U256};
use revm::state::{Account, AccountInfo, Bytecode};
use revm::{Database, DatabaseRef};

/// The state after the last transaction: pending writes over a view of the store.
pub(super) struct AfterLast<'a, D: DatabaseRef> {
    pub(super) unmerged: Unmerged,
    pub(super) below: EvmView<'a, D>,
    /// An account whose read was refused because its changes by private batches are unmerged.
    pub(super) refused: Option<Address>,
    /// Accounts that may have received blind credits.
    pub(super) receivers: Vec<Address>,
}

impl<D: DatabaseRef> AfterLast<'_, D> {
    /// Returns the journal's account at `address`. Refuses the read if a batch has written one of
    /// `locations` and the write is still unmerged.
    fn account<const N: usize>(
        &mut self,
        address: Address,
        locations: [EvmLocation; N],
    ) -> Result<Option<&Account>, ViewStopped> {
        let (changed, merged) = match &self.unmerged {
            Unmerged::Nothing => return Ok(None),
            Unmerged::Journal(journal) => return Ok(journal.state.get(&address)),
            Unmerged::Batches { changed, merged } => (changed, merged),
        };
        let is_changed = locations.iter().any(|it| changed.has(it));
        let is_credited = merged.is_empty() && self.receivers.contains(&address);
        let is_pending = (is_changed && !merged.contains(&address)) || is_credited;
        if is_pending && !mutant!(PendingUnasked) {
            self.refused = Some(address);
            self.below.require_complete()?;
        }
        Ok(None)
    }
}

impl<D: DatabaseRef> Database for AfterLast<'_, D> {
    type Error = ViewStopped;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ViewStopped> {
        let kinds =
            [EvmLocation::Lifecycle, EvmLocation::Account, EvmLocation::Balance, EvmLocation::Code];
        match self.account(address, kinds.map(|location| location(address)))? {
            Some(account) if account.is_loaded_as_not_existing() => Ok(None),
            Some(account) => Ok(Some(account.info.clone())),
            None => self.below.basic(address),
        }
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, ViewStopped> {
        self.below.code_by_hash(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ViewStopped> {
        let locations = [EvmLocation::Lifecycle(address), EvmLocation::Storage(address, slot)];
        let account = self.account(address, locations)?;
        match account.and_then(|account| account.storage.get(&slot)) {
            Some(value) => Ok(value.present_value),
            None => self.below.storage(address, slot),
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ViewStopped> {
        self.below.block_hash(number)
    }
}
