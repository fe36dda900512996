//! Turns a transaction's changes into a write set.

use super::block_context::BlockContext;
use super::change::{AccountChange, ChangeKind};
use super::location::{Account, Code, EvmLocation, EvmValue};
use crate::mv::Entry;
use alloy_primitives::{Address, U256};
use revm::state::AccountInfo;

/// Write set of one transaction.
pub(super) type Writes = Vec<(EvmLocation, Entry<EvmLocation>)>;

/// Returns the writes of `changes`: the locations that the next transaction reads differently, by
/// the rules of revm's `State::commit`.
pub(super) fn write_set(changes: &[AccountChange], block_context: &BlockContext) -> Writes {
    let slots: usize = changes.iter().map(|change| change.slots.len()).sum();
    let mut writes = Vec::with_capacity(2 * changes.len() + slots);
    for_each_write(changes, block_context, |location, entry| writes.push((location, entry)));
    writes
}

/// Calls `each` for every write of `changes`, at most once per location.
pub(in crate::evm) fn for_each_write(
    changes: &[AccountChange],
    block_context: &BlockContext,
    mut each: impl FnMut(EvmLocation, Entry<EvmLocation>),
) {
    let mut put = |location, entry: Entry<EvmLocation>| {
        let lost = mutant!(TombstoneLost);
        if !lost || !matches!(entry, Entry::Tombstone) {
            each(location, entry);
        }
    };
    for change in changes {
        match (change.kind, &change.before) {
            (ChangeKind::Emptied, None) => {}
            (ChangeKind::Emptied | ChangeKind::Destroyed, before) => {
                destroy(change.address, before.is_some(), &mut put);
                // A later transaction must not pay a deleted account with a blind credit: see
                // `write_account`.
                if block_context.payees.contains(change.address) && !mutant!(GonePayeeUnmarked) {
                    block_context.changed_balances.add(change.address);
                    let mark = Entry::Value(EvmValue::Balance(U256::MAX));
                    put(EvmLocation::Balance(change.address), mark);
                }
            }
            (ChangeKind::Changed | ChangeKind::Created, _) => {
                write_account(change, &mut put, block_context)
            }
        }
    }
}

/// Adds `slots` that were only read to `writes`, so that later transactions read the same values.
/// Leaves out slots of accounts that were created or destroyed.
pub(in crate::evm) fn pin_slots(
    writes: &mut Writes,
    changes: &[AccountChange],
    slots: &[(Address, U256, U256)],
) {
    let was_replaced = |address| {
        let change = changes.iter().find(|change| change.address == address);
        change.is_some_and(|change| change.kind != ChangeKind::Changed)
    };
    for (address, slot, value) in slots.iter().filter(|(address, ..)| !was_replaced(*address)) {
        let location = EvmLocation::Storage(*address, *slot);
        if !writes.iter().any(|(written, _)| *written == location) {
            writes.push((location, Entry::Value(EvmValue::Slot(*value))));
        }
    }
}

/// Writes the deletion of an account. `existed`: whether it existed before the transaction;
/// otherwise it has no storage to delete.
fn destroy(address: Address, existed: bool, put: &mut impl FnMut(EvmLocation, Entry<EvmLocation>)) {
    if existed {
        put(EvmLocation::Lifecycle(address), Entry::Tombstone);
    }
    put(EvmLocation::Account(address), Entry::Value(EvmValue::Account(None)));
}

/// Writes a changed or created account.
///
/// An account created where none existed needs no tombstone: nothing in this block has written its
/// storage since it was last destroyed, and storage that the base state may have there reads as
/// zero (see `view`).
fn write_account(
    change: &AccountChange,
    put: &mut impl FnMut(EvmLocation, Entry<EvmLocation>),
    block_context: &BlockContext,
) {
    let Some(after) = &change.after else { return };
    let created = change.kind == ChangeKind::Created;
    if created && change.before.is_some() {
        put(EvmLocation::Lifecycle(change.address), Entry::Tombstone);
    }
    let before = change.before.as_ref();
    let code_before = before.map(Code::of).unwrap_or_default();
    let mut account = Account::of(after);
    let mut code = Code::of(after);
    if mutant!(CodeChangeUnrecorded) {
        code = code_before.clone();
        account.has_code = before.is_some_and(|before| Account::of(before).has_code);
    }
    let old = before.map(Account::of).filter(|_| !created);
    let is_separate = account.has_code && block_context.receivers().all(|to| to != change.address);
    let keeps_balance = old.is_some_and(|old| old.balance == account.balance);
    let is_same = old == Some(account) && (keeps_balance || is_separate);
    if !is_same {
        let value = EvmValue::Account(Some(account));
        put(EvmLocation::Account(change.address), Entry::Value(value));
    }
    // Touching an account without nonce and code changes how its storage is read: see `view`.
    let is_touched_only = is_same && before.is_some_and(AccountInfo::has_no_code_and_nonce);
    let writes_balance = is_separate && !(keeps_balance && old.is_some_and(|old| old.has_code));
    // A transaction that pays a payee with a blind credit reads the balance location and its
    // writer. Reads are compared by value at the frontier, so the written value must differ from
    // any value before: the new balance may equal the old one.
    let is_payee = block_context.payees.contains(change.address);
    let is_special = is_payee && !account.is_plain();
    let stays_payable = mutant!(PayeeStaysPlain);
    if writes_balance || is_touched_only || (is_special && !stays_payable) {
        block_context.changed_balances.add(change.address);
        let by_balance = mutant!(PayeeMarkedByBalance);
        let value = if is_special && !by_balance { U256::MAX } else { account.balance };
        put(EvmLocation::Balance(change.address), Entry::Value(EvmValue::Balance(value)));
    }
    // The code location of an account without code is never read.
    if account.has_code && (created || code_before != code) {
        put(EvmLocation::Code(change.address), Entry::Value(EvmValue::Code(code)));
    }
    for slot in &change.slots {
        let entry = Entry::Value(EvmValue::Slot(slot.after));
        put(EvmLocation::Storage(change.address, slot.slot), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::evm::exec::base::Cloned;
    use crate::evm::exec::change::CodeState;
    use crate::evm::exec::extensions::Extensions;
    use crate::evm::exec::input::Block;
    use crate::evm::prepare::begin;
    use alloy_primitives::B256;
    use revm::bytecode::Bytecode;
    use revm::database::{CacheDB, EmptyDB};
    use std::num::NonZeroU16;

    /// A run that pays the beneficiary with a blind credit reads the value from before the block,
    /// and that read is compared by value at the frontier.
    #[test]
    fn a_beneficiary_that_gets_code_never_looks_as_it_did_before() {
        let one = NonZeroU16::MIN;
        for balance in [0_u64, 1, 1_000_000] {
            let before =
                AccountInfo { nonce: 1, balance: U256::from(balance), ..Default::default() };
            let transactions = vec![revm::context::TxEnv::default()];
            let parent_beacon_block_root = Some(B256::ZERO);
            let block = Block { transactions, parent_beacon_block_root, ..Block::default() };
            let address = block.env.beneficiary;
            let mut state = CacheDB::new(EmptyDB::new());
            state.insert_account_info(address, before.clone());
            let begun = begin(
                block.into(),
                false,
                &Cloned(state),
                Extensions::default(),
                None,
                &Config::with_workers(one),
            );
            let (block_context, ..) = begun.expect("nothing fails");
            assert!(block_context.payees.contains(address));
            let change = AccountChange {
                address,
                kind: ChangeKind::Changed,
                before: Some(before.clone()),
                after: Some(before.clone().with_code(Bytecode::new_eip7702(Address::ZERO))),
                slots: Vec::new(),
                code: CodeState::Loaded,
                knows_balance: true,
            };
            let marks = |change: AccountChange| {
                let writes = write_set(&[change], &block_context).into_iter();
                let entry = |(at, entry)| (at == EvmLocation::Balance(address)).then_some(entry);
                writes.filter_map(entry).collect::<Vec<_>>()
            };
            let unmarked = marks(AccountChange { after: Some(before.clone()), ..change.clone() });
            assert!(unmarked.is_empty(), "it stays plain: {unmarked:?}");
            let marked = marks(change);
            let [Entry::Value(EvmValue::Balance(mark))] = *marked else {
                panic!("one mark: {marked:?}")
            };
            assert_ne!(mark, before.balance);
        }
    }
}
