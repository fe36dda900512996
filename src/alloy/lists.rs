//! Block access lists (EIP-7928) of blocks that are executed whole: into the `State` that is asked
//! to build one, and out of the `State` that has one.

use crate::evm::{AccessList, AccessListError, GivenList, code_of};
use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use core::fmt;
use revm::context::{BlockEnv, CfgEnv};
use revm::database::State;
use revm::database_interface::bal::{BalDatabase, BalState};
use revm::primitives::hardfork::SpecId;
use revm::state::bal::{AccountBal, AccountInfoBal, Bal, BalWrites, StorageBal};
use std::sync::Arc;

/// A database that may build an access list, or have one: revm's [`State`] and [`BalDatabase`].
pub trait ListDatabase {
    /// The list that it builds, the list that it has, and the index of what comes next.
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

/// The lists of one block.
#[derive(Default)]
pub(super) struct Lists {
    /// The list that the database has, until it is with the engine's block.
    given: Option<(Arc<AccessList>, GivenList)>,
    /// What was accessed before the transactions.
    before: Bal,
    /// The database was asked to build a list.
    builds: bool,
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lists").field("builds", &self.builds).finish_non_exhaustive()
    }
}

impl Lists {
    /// A block begins: what is committed from now on has index 0. The list that the database has
    /// is taken out of it.
    ///
    /// # Errors
    /// No block with as many transactions has such a list.
    pub(super) fn begin(
        state: &mut BalState,
        (cfg, env): (&CfgEnv, &BlockEnv),
        transactions: usize,
    ) -> Result<Self, AccessListError> {
        let mut lists = Self { builds: state.bal_builder.is_some(), ..Self::default() };
        state.reset_bal_index();
        // A list that the database may fall back from is none of this block.
        if let Some(list) = state.bal.take().filter(|_| !state.allow_db_fallback) {
            let list = Arc::new(AccessList::new(Arc::unwrap_or_clone(list).into_alloy_bal()));
            let is_limited = cfg.spec.is_enabled_in(SpecId::AMSTERDAM);
            let gas = is_limited.then_some(env.gas_limit);
            let given = GivenList::new(&list, transactions, gas)?;
            lists.given = Some((list, given));
            state.bal_builder.get_or_insert_default();
        }
        Ok(lists)
    }

    /// Whether there is anything to build or to compare.
    pub(super) const fn is_needed(&self) -> bool {
        self.builds || self.given.is_some()
    }

    /// The transactions begin. Returns the list that they are executed with. What they access the
    /// engine records: the database builds nothing until they have ended.
    ///
    /// # Errors
    /// The list says something else of what came before them.
    pub(super) fn begin_transactions(
        &mut self,
        state: &mut BalState,
    ) -> Result<Option<Arc<AccessList>>, AccessListError> {
        if let Some((_, given)) = &self.given {
            given.compare_before(&built(state))?;
        }
        self.before = state.bal_builder.take().unwrap_or_default();
        Ok(self.given.as_ref().map(|(list, _)| Arc::clone(list)))
    }

    /// The transactions have ended, and `accessed` what is listed. What is committed from now on
    /// has the index after the last one.
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
            let AccountBal { account_info, storage } = of_account(account);
            known.account_info.extend(account_info);
            known.storage.extend(storage);
        }
        state.bal_builder = Some(all);
        state.bal_index = BlockAccessIndex::from_tx_index(transactions as u64);
    }

    /// The block has ended. The list that it was not asked for is taken out of the database.
    ///
    /// # Errors
    /// The list that the block came with says something else.
    pub(super) fn end(self, state: &mut BalState) -> Result<(), AccessListError> {
        let compared = match &self.given {
            Some((_, given)) => given.compare_end(&built(state)),
            None => Ok(()),
        };
        if !self.builds {
            state.bal_builder = None;
        }
        compared
    }
}

fn built(state: &BalState) -> Vec<AccountChanges> {
    state.bal_builder().unwrap_or_default().into_alloy_bal()
}

/// An account of a list as revm's builder holds it.
fn of_account(account: &AccountChanges) -> AccountBal {
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
