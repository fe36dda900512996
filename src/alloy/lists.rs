//! Block access lists (EIP-7928) of blocks that are executed whole: built into the caller's
//! `State`, or taken out of it for comparison.

use crate::evm::{AccessList, AccessListError, StepChecker, code_of};
use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use core::fmt;
use revm::context::{BlockEnv, CfgEnv};
use revm::database::State;
use revm::database_interface::bal::{BalDatabase, BalState};
use revm::primitives::hardfork::SpecId;
use revm::state::bal::{AccountBal, AccountInfoBal, Bal, BalWrites, StorageBal};
use std::sync::Arc;

/// A database that may build or hold an access list: revm's [`State`] and [`BalDatabase`].
pub trait ListDatabase {
    /// Returns the list being built, the provided list, and the current index.
    fn bal_state_mut(&mut self) -> &mut BalState;
}

impl<DB> ListDatabase for State<DB> {
    fn bal_state_mut(&mut self) -> &mut BalState {
        &mut self.bal_state
    }
}

impl<DB> ListDatabase for BalDatabase<DB> {
    fn bal_state_mut(&mut self) -> &mut BalState {
        &mut self.bal_state
    }
}

impl<T: ListDatabase + ?Sized> ListDatabase for &mut T {
    fn bal_state_mut(&mut self) -> &mut BalState {
        (**self).bal_state_mut()
    }
}

/// The access lists of one block.
#[derive(Default)]
pub(super) struct Lists {
    /// The list that the database came with.
    given: Option<(Arc<AccessList>, StepChecker)>,
    /// Accesses before the transactions.
    before: Bal,
    /// Whether the database was asked to build a list.
    builds: bool,
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lists").field("builds", &self.builds).finish_non_exhaustive()
    }
}

impl Lists {
    /// Starts a block: commits now have index 0. Takes the given list out of the database.
    ///
    /// # Errors
    /// Returns an error if the list cannot belong to any block with this number of transactions.
    pub(super) fn begin(
        state: &mut BalState,
        cfg: &CfgEnv,
        env: &BlockEnv,
        transactions: usize,
    ) -> Result<Self, AccessListError> {
        let mut lists = Self { builds: state.bal_builder.is_some(), ..Self::default() };
        state.reset_bal_index();
        // A list with a fallback to the database need not belong to this block.
        if let Some(list) = state.bal.take().filter(|_| !state.allow_db_fallback) {
            let list = Arc::new(AccessList::new(Arc::unwrap_or_clone(list).into_alloy_bal()));
            let is_limited = cfg.spec.is_enabled_in(SpecId::AMSTERDAM);
            let gas = is_limited.then_some(env.gas_limit);
            let given = StepChecker::new(&list, transactions, gas)?;
            lists.given = Some((list, given));
            state.bal_builder.get_or_insert_default();
        }
        Ok(lists)
    }

    /// Returns whether a list must be built or compared.
    pub(super) const fn is_needed(&self) -> bool {
        self.builds || self.given.is_some()
    }

    /// Starts the transactions, and returns the list with which they are executed. The engine
    /// records their accesses; the database records nothing until they have ended.
    ///
    /// # Errors
    /// Returns an error if the list differs from the accesses before the transactions.
    pub(super) fn begin_transactions(
        &mut self,
        state: &mut BalState,
    ) -> Result<Option<Arc<AccessList>>, AccessListError> {
        if let Some((_, given)) = &self.given {
            given.compare_before(&built_list(state))?;
        }
        self.before = state.bal_builder.take().unwrap_or_default();
        Ok(self.given.as_ref().map(|(list, _)| Arc::clone(list)))
    }

    /// Ends the transactions, whose recorded accesses are `accessed`. Commits now have the index
    /// after the last transaction.
    pub(super) fn end_transactions(
        &mut self,
        state: &mut BalState,
        accessed: Option<AccessList>,
        transactions: usize,
    ) {
        if !self.is_needed() {
            return;
        }
        let mut all = core::mem::take(&mut self.before);
        for account in accessed.iter().flat_map(|list| list.iter()) {
            let known = all.accounts.entry(account.address).or_default();
            let AccountBal { account_info, storage } = account_bal(account);
            known.account_info.extend(account_info);
            known.storage.extend(storage);
        }
        state.bal_builder = Some(all);
        state.bal_index = BlockAccessIndex::from_tx_index(transactions as u64);
    }

    /// Ends the block. Drops a list that was built only for the comparison.
    ///
    /// # Errors
    /// Returns an error if the given list differs from the accesses after the transactions.
    pub(super) fn end(self, state: &mut BalState) -> Result<(), AccessListError> {
        let compared = match &self.given {
            Some((_, given)) => given.compare_end(&built_list(state)),
            None => Ok(()),
        };
        if !self.builds {
            state.bal_builder = None;
        }
        compared
    }
}

fn built_list(state: &BalState) -> Vec<AccountChanges> {
    state.bal_builder().unwrap_or_default().into_alloy_bal()
}

/// Converts an account of a list into the form of revm's builder.
fn account_bal(account: &AccountChanges) -> AccountBal {
    let codes = account.code_changes.iter();
    let codes = codes.map(|change| (change.block_access_index, code_of(&change.new_code)));
    let changed = account.storage_changes.iter();
    let changed = changed.map(|slot| (slot.slot, BalWrites::from(slot.changes.as_slice())));
    let read = account.storage_reads.iter().map(|slot| (*slot, BalWrites::default()));
    AccountBal {
        account_info: AccountInfoBal {
            nonce: BalWrites::from(account.nonce_changes.as_slice()),
            balance: BalWrites::from(account.balance_changes.as_slice()),
            code: BalWrites::new(codes.collect()),
        },
        storage: StorageBal::from_iter(changed.chain(read)),
    }
}
