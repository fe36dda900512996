//! Implementation of revm's `Database` for the view.

use super::{BaseSlots, EvmView};
use crate::evm::exec::location::{Account, Code, EvmLocation, EvmValue};
use crate::evm::exec::stopped::ViewStopped;
use crate::mv::Origin;
use alloy_primitives::{Address, B256, U256};
use revm::state::{AccountInfo, Bytecode};
use revm::{Database, DatabaseRef};

impl<D: DatabaseRef> Database for EvmView<'_, D> {
    type Error = ViewStopped;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ViewStopped> {
        if self.reads_mismatched_list() {
            return Err(ViewStopped);
        }
        self.note_possible_precompile(address);
        if !self.credited.contains(&address)
            && let Some(base) = self.inner.unwritten_base()
        {
            let info = match base.account(address) {
                Ok(info) => info,
                Err(error) => return Err(self.inner.fail(error).into()),
            };
            // Its slots are often read next, and then the account would be read again.
            if info.as_ref().is_some_and(|info| !info.is_empty_code_hash()) {
                self.with_base_slots.insert(address);
            }
            return Ok(info.map(as_loaded));
        }
        if let Some(payee) = self.load_unread_payee(address)? {
            return Ok(Some(payee));
        }
        let (Some(account), from) = self.account_from(address)? else {
            let empty = mutant!(AbsentEqualsEmpty);
            return Ok(empty.then(AccountInfo::default));
        };
        if let Some(info) = account.without_code() {
            return Ok(Some(info));
        }
        let nonce = account.nonce;
        let Code { hash: code_hash, code } = self.code(address)?;
        let balance = self.loaded_balance(address, account, from, code_hash)?;
        Ok(Some(AccountInfo { balance, nonce, code_hash, code, account_id: None }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, ViewStopped> {
        // Code that this block has written is loaded with its account, so this is code of the base
        // state.
        let code = self.inner.base_mut().code(hash);
        code.map_err(|error| self.inner.fail(error).into())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ViewStopped> {
        if self.reads_mismatched_list() {
            return Err(ViewStopped);
        }
        if self.caches_outlive_block && !self.inner.base_mut().is_listed(address, slot) {
            let has_base_slots = !matches!(self.has_base_slots(address)?, BaseSlots::Never);
            self.inner.base_mut().set_slotless((!has_base_slots).then_some(address));
        }
        let location = EvmLocation::Storage(address, slot);
        let had_stopped = self.inner.has_stopped();
        let (value, origin) = match self.inner.read_from(&location) {
            Ok((EvmValue::Slot(value), origin)) => (value, origin),
            Ok(_) => return Err(ViewStopped),
            Err(stopped) if had_stopped => return Err(stopped.into()),
            Err(stopped) => {
                let error = self.inner.take_failure().ok_or(stopped)?;
                return self.failed_slot(address, error);
            }
        };
        let may_be_base = !value.is_zero() && origin == Origin::Base;
        if may_be_base && !self.inner.base_mut().is_listed(address, slot) {
            return self.base_slot(address, slot, value);
        }
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ViewStopped> {
        let hash = self.inner.base_mut().block_hash(number);
        hash.map_err(|error| self.inner.fail(error).into())
    }
}

/// Returns the account as each transaction loads it: see [`Account::has_code`].
fn as_loaded(info: AccountInfo) -> AccountInfo {
    Account::of(&info).without_code().unwrap_or(AccountInfo { account_id: None, ..info })
}
