//! From what Braid says of a transaction to what a database commits.

use crate::evm::{AccountChange, ChangeKind, Committed};
use alloy_primitives::{Address, KECCAK256_EMPTY, U256, map::B256Map};
use revm::primitives::hardfork::SpecId;
use revm::state::{Account, AccountInfo, Bytecode, EvmState, EvmStorageSlot, TransactionId};

/// Codes that the transactions of a block have deployed so far. A database that commits them one by
/// one has them with the accounts; later transactions of Braid name them by their hashes.
#[derive(Debug, Default)]
pub(super) struct Codes(B256Map<Bytecode>);

impl Codes {
    /// The changes of a transaction, the reward that lies apart left out.
    pub(super) fn state_of(&mut self, committed: &Committed) -> EvmState {
        let accounts = committed.changes().iter().map(|change| {
            let mut account = account_of(change);
            self.complete(&mut account.info);
            (change.address, account)
        });
        accounts.collect()
    }

    /// Gives `info` its code, if it is one of this block.
    fn complete(&mut self, info: &mut AccountInfo) {
        match &info.code {
            Some(code) => {
                self.0.entry(info.code_hash).or_insert_with(|| code.clone());
            }
            None if info.code_hash == KECCAK256_EMPTY => info.code = Some(Bytecode::default()),
            None => info.code = self.0.get(&info.code_hash).cloned(),
        }
    }
}

/// Adds a reward to what a transaction changed. `now` is its receiver before the transaction's
/// commit; a receiver that the transaction loaded gets its reward there.
pub(super) fn add_reward(
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
