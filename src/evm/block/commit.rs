//! Converts the changes of a committed transaction into the form that a database commits.

use crate::evm::exec::change::{AccountChange, ChangeKind};
use alloy_primitives::{Address, KECCAK256_EMPTY, U256, map::B256Map};
use revm::primitives::hardfork::SpecId;
use revm::state::{Account, AccountInfo, Bytecode, EvmState, EvmStorageSlot, TransactionId};

/// Codes that the block's transactions have deployed so far. Later changes contain only the hash of
/// a code, but a database that commits transactions one by one expects the code in the account.
#[derive(Debug, Default)]
pub(crate) struct Codes(B256Map<Bytecode>);

impl Codes {
    /// Sets the codes of the accounts in `state`, the state after `changes`. `current` reads an
    /// account from the database, which may have a code only in the account if it was deployed in
    /// an earlier block that is not written yet.
    ///
    /// # Errors
    /// Returns any error of `current`.
    pub(crate) fn complete_all<E>(
        &mut self,
        state: &mut EvmState,
        changes: &[AccountChange],
        mut current: impl FnMut(Address) -> Result<Option<AccountInfo>, E>,
    ) -> Result<(), E> {
        for change in changes {
            if let Some(account) = state.get_mut(&change.address) {
                self.complete(&mut account.info, change, || current(change.address))?;
            }
        }
        Ok(())
    }

    /// Sets the code of `info`, the account after `change`, if the code is known. The empty code is
    /// set as in revm, because the bundle shows it: if the transaction loaded the code, or the
    /// account had it before, but not after a failed creation.
    fn complete<E>(
        &mut self,
        info: &mut AccountInfo,
        change: &AccountChange,
        current: impl FnOnce() -> Result<Option<AccountInfo>, E>,
    ) -> Result<(), E> {
        let hash = info.code_hash;
        if info.code.is_none() && hash == KECCAK256_EMPTY {
            let is_dropped = change.before.as_ref().is_some_and(|before| before.code.is_some());
            info.code = match change.code.is_loaded() {
                true => Some(Bytecode::default()),
                false if is_dropped => None,
                false => current()?
                    .filter(AccountInfo::is_empty_code_hash)
                    .and_then(|current| current.code),
            };
            return Ok(());
        }
        if info.code.is_none() {
            info.code = match self.0.get(&hash) {
                Some(code) => Some(code.clone()),
                None => current()?
                    .filter(|current| current.code_hash == hash)
                    .and_then(|current| current.code),
            };
        }
        if let Some(code) = &info.code {
            self.0.entry(hash).or_insert_with(|| code.clone());
        }
        Ok(())
    }
}

/// Adds a reward to the changes of a transaction. `current`: the receiver's account before the
/// transaction commits. Must not be called if the receiver's change contains the reward.
pub(super) fn add_reward(
    state: &mut EvmState,
    receiver: Address,
    amount: U256,
    current: Option<AccountInfo>,
    spec: SpecId,
) {
    let mut account = loaded(current.as_ref());
    // As in revm, a reward that would overflow is dropped, but touches the account.
    if let Some(sum) = account.info.balance.checked_add(amount) {
        account.info.balance = sum;
    }
    if !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) && account.is_empty() {
        if current.is_some() {
            return;
        }
        // Before EIP-161, touching an account creates it.
        account.mark_created();
    }
    account.mark_touch();
    state.insert(receiver, account);
}

/// Returns the account as loaded before the transaction.
fn loaded(before: Option<&AccountInfo>) -> Account {
    match before {
        Some(info) => Account::from(info.clone()),
        None => Account::new_not_existing(TransactionId::ZERO),
    }
}

/// Returns the account after `change`, in the form that a database commits.
pub(super) fn account_of(change: &AccountChange) -> Account {
    let mut account = loaded(change.before.as_ref());
    account.mark_touch();
    account.info = change.after.clone().unwrap_or_default();
    match change.kind {
        ChangeKind::Changed | ChangeKind::Emptied => {}
        ChangeKind::Created => account.mark_created(),
        ChangeKind::Destroyed => account.mark_selfdestruct(),
    }
    account.storage = change
        .slots
        .iter()
        .map(|slot| {
            let zero = TransactionId::ZERO;
            (slot.slot, EvmStorageSlot::new_changed(slot.before, slot.after, zero))
        })
        .collect();
    account
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::exec::change::CodeState;

    const CHANGE: AccountChange = AccountChange {
        address: Address::ZERO,
        kind: ChangeKind::Changed,
        before: None,
        after: None,
        slots: Vec::new(),
        code: CodeState::NotLoaded,
        knows_balance: true,
    };

    /// The bundle of the caller's `State` lists the empty code if the account has it.
    #[test]
    fn the_empty_code_is_beside_an_account_where_revm_has_it() {
        let with = AccountInfo::default();
        let without = AccountInfo::default().without_code();
        for (code, before, current, expected) in [
            (CodeState::Loaded, &without, &without, true),
            (CodeState::LoadedByTx, &without, &without, true),
            (CodeState::NotLoaded, &without, &with, true),
            (CodeState::NotLoaded, &without, &without, false),
            (CodeState::NotLoaded, &with, &with, false),
        ] {
            let change = AccountChange { before: Some(before.clone()), code, ..CHANGE };
            let mut info = AccountInfo { nonce: 1, ..without.clone() };
            let current = || Ok::<_, ()>(Some(current.clone()));
            assert_eq!(Codes::default().complete(&mut info, &change, current), Ok(()));
            assert_eq!(info.code.is_some(), expected, "{code:?} after {before:?}");
        }
    }

    /// Such as the code of an account delegated by an earlier block that is not written yet.
    #[test]
    fn a_code_that_only_the_account_knows_stays_beside_it() {
        let code = Bytecode::new_legacy([0x60, 0x00].into());
        let known = AccountInfo { code_hash: code.hash_slow(), ..AccountInfo::default() };
        let info = AccountInfo { code: None, nonce: 7, ..known.clone() };
        let known = AccountInfo { code: Some(code.clone()), ..known };
        let mut codes = Codes::default();
        let mut reads = 0;
        for _ in 0..2 {
            let mut info = info.clone();
            let completed = codes.complete(&mut info, &CHANGE, || {
                reads += 1;
                Ok::<_, ()>(Some(known.clone()))
            });
            assert_eq!((completed, info.code), (Ok(()), Some(code.clone())));
        }
        assert_eq!(reads, 1);
        let mut other = AccountInfo { code_hash: U256::ONE.into(), ..info };
        assert_eq!(codes.complete(&mut other, &CHANGE, || Ok::<_, ()>(Some(known))), Ok(()));
        assert_eq!(other.code, None, "the account has changed its code since");
    }
}
