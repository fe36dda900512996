//! From what Braid says of a transaction to what a database commits.

use super::committed::Committed;
use crate::evm::exec::change::{AccountChange, ChangeKind};
use alloy_primitives::{Address, KECCAK256_EMPTY, U256, map::B256Map};
use revm::primitives::hardfork::SpecId;
use revm::state::{Account, AccountInfo, Bytecode, EvmState, EvmStorageSlot, TransactionId};

/// Codes that the transactions of a block have deployed so far. A database that commits them one by
/// one has them with the accounts; later transactions of Braid name them by their hashes.
#[derive(Debug, Default)]
pub(crate) struct Codes(B256Map<Bytecode>);

impl Codes {
    /// The changes of a transaction, the reward that lies apart left out. `now` is what the
    /// database says of an account: it may have a code beside it that it knows nowhere else, of an
    /// earlier block that is not written yet.
    ///
    /// # Errors
    /// Those of `now`.
    pub(crate) fn state_of<E>(
        &mut self,
        committed: &Committed,
        mut now: impl FnMut(Address) -> Result<Option<AccountInfo>, E>,
    ) -> Result<EvmState, E> {
        let accounts = committed.changes().iter().map(|change| {
            let mut account = account_of(change);
            self.complete(&mut account.info, change, || now(change.address))?;
            Ok((change.address, account))
        });
        accounts.collect()
    }

    /// Gives `info`, which `change` leaves, its code, if it is known. The empty code stands beside
    /// it as in revm, where it shows in the bundle: if the transaction has loaded it, or stays as
    /// it is; not where a creation has failed.
    fn complete<E>(
        &mut self,
        info: &mut AccountInfo,
        change: &AccountChange,
        now: impl FnOnce() -> Result<Option<AccountInfo>, E>,
    ) -> Result<(), E> {
        let hash = info.code_hash;
        if info.code.is_none() && hash == KECCAK256_EMPTY {
            let is_forgotten = change.before.as_ref().is_some_and(|before| before.code.is_some());
            info.code = match change.code.is_known() {
                true => Some(Bytecode::default()),
                false if is_forgotten => None,
                false => now()?.filter(AccountInfo::is_empty_code_hash).and_then(|now| now.code),
            };
            return Ok(());
        }
        if info.code.is_none() {
            info.code = match self.0.get(&hash) {
                Some(code) => Some(code.clone()),
                None => now()?.filter(|now| now.code_hash == hash).and_then(|now| now.code),
            };
        }
        if let Some(code) = &info.code {
            self.0.entry(hash).or_insert_with(|| code.clone());
        }
        Ok(())
    }
}

/// Adds a reward to what a transaction changed. `now` is its receiver before the transaction's
/// commit; a receiver that the transaction loaded gets its reward there.
pub(crate) fn add_reward(
    state: &mut EvmState,
    receiver: Address,
    amount: U256,
    now: Option<AccountInfo>,
    spec: SpecId,
) {
    let mut account = loaded(now.as_ref());
    // As revm has it, a reward that does not fit is dropped; the account is touched all the same.
    if let Some(sum) = account.info.balance.checked_add(amount) {
        account.info.balance = sum;
    }
    if !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) && account.is_empty() {
        if now.is_some() {
            return;
        }
        // Before EIP-161 touching an account creates it.
        account.mark_created();
    }
    account.mark_touch();
    state.insert(receiver, account);
}

/// The account as it was before a transaction.
fn loaded(before: Option<&AccountInfo>) -> Account {
    match before {
        Some(info) => Account::from(info.clone()),
        None => Account::new_not_existing(TransactionId::ZERO),
    }
}

fn account_of(change: &AccountChange) -> Account {
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
    use crate::evm::exec::change::CodeBeside;

    const CHANGE: AccountChange = AccountChange {
        address: Address::ZERO,
        kind: ChangeKind::Changed,
        before: None,
        after: None,
        slots: Vec::new(),
        code: CodeBeside::Unsaid,
        knows_balance: true,
    };

    /// The bundle of the caller's `State` lists the empty code where it stands beside an account.
    #[test]
    fn the_empty_code_is_beside_an_account_where_revm_has_it() {
        let (with, without) = (AccountInfo::default(), AccountInfo::default().without_code());
        for (code, before, now, expected) in [
            (CodeBeside::Known, &without, &without, true),
            (CodeBeside::Learnt, &without, &without, true),
            (CodeBeside::Unsaid, &without, &with, true),
            (CodeBeside::Unsaid, &without, &without, false),
            (CodeBeside::Unsaid, &with, &with, false),
        ] {
            let change = AccountChange { before: Some(before.clone()), code, ..CHANGE };
            let mut info = AccountInfo { nonce: 1, ..without.clone() };
            let now = || Ok::<_, ()>(Some(now.clone()));
            assert_eq!(Codes::default().complete(&mut info, &change, now), Ok(()));
            assert_eq!(info.code.is_some(), expected, "{code:?} after {before:?}");
        }
    }

    /// As that of an account which an earlier block, not written yet, has delegated.
    #[test]
    fn a_code_that_only_the_account_knows_stays_beside_it() {
        let code = Bytecode::new_legacy([0x60, 0x00].into());
        let known = AccountInfo { code_hash: code.hash_slow(), ..AccountInfo::default() };
        let info = AccountInfo { code: None, nonce: 7, ..known.clone() };
        let known = AccountInfo { code: Some(code.clone()), ..known };
        let (mut codes, mut asked) = (Codes::default(), 0);
        for _ in 0..2 {
            let mut info = info.clone();
            let completed = codes.complete(&mut info, &CHANGE, || {
                asked += 1;
                Ok::<_, ()>(Some(known.clone()))
            });
            assert_eq!((completed, info.code), (Ok(()), Some(code.clone())));
        }
        assert_eq!(asked, 1);
        let mut other = AccountInfo { code_hash: U256::ONE.into(), ..info };
        assert_eq!(codes.complete(&mut other, &CHANGE, || Ok::<_, ()>(Some(known))), Ok(()));
        assert_eq!(other.code, None, "the account has changed its code since");
    }
}
