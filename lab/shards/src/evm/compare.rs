//! Compares the results of shards with sequential execution: outcomes, receipts, and every changed
//! account and slot.

use super::machine::Evm;
use super::record::Recorded;
use super::run::EvmOutput;
use super::run::Kind;
use super::state::{AccountValue, EvmKey, EvmValue};
use crate::machine::{Outcome, Values};
use crate::order::{Agreed, Entry};
use crate::simulate::Simulated;
use alloy_consensus::{EthereumReceipt, TxType};
use braid_blocks::sequential::{SequentialOutcome, SequentialOutput};
use revm::context::result::ExecutionResult;
use revm::database::BundleState;
use revm::primitives::{Address, Log, U256};
use revm::state::AccountInfo;

/// Compares the result of shards on the order `agreed`, made of the entries of `recorded`, with
/// that of sequential execution.
///
/// # Errors
/// Returns a description of the first difference.
pub fn compare(
    recorded: &Recorded,
    agreed: &Agreed<Evm>,
    simulated: &Simulated<Evm>,
    expected: &SequentialOutput,
) -> Result<(), String> {
    let (first, count) = (recorded.before, recorded.transactions);
    let outcomes = simulated.outcomes.get(first..first + count).unwrap_or_default();
    if outcomes.len() != expected.outcomes.len() {
        return Err(format!("{} of {} outcomes", outcomes.len(), expected.outcomes.len()));
    }
    let mut receipts = Vec::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        let entry = &agreed.entries()[first + index];
        let (result, receipt) = executed(entry, outcome, receipts.last())
            .map_err(|why| format!("transaction {index}: {why}"))?;
        let wanted = expected.outcomes.get(index);
        if wanted != Some(&SequentialOutcome::Executed(result.clone())) {
            return Err(format!("transaction {index}: expected {wanted:?}, found {result:?}"));
        }
        receipts.push(receipt);
    }
    let mut pairs = receipts.iter().zip(&expected.receipts);
    if let Some(index) = pairs.position(|(found, expected)| found != expected) {
        return Err(format!("receipt {index} differs"));
    }
    compare_state(recorded, &simulated.state, &expected.bundle)
}

/// Returns the result without logs, and the receipt.
fn executed(
    entry: &Entry<Evm>,
    outcome: &Outcome<Evm>,
    last: Option<&EthereumReceipt>,
) -> Result<(ExecutionResult, EthereumReceipt), String> {
    let (Ok(EvmOutput::Executed(result)), Kind::Tx { tx, .. }) = (outcome, &entry.tx.kind) else {
        return Err(format!("not executed: {outcome:?}"));
    };
    let mut result = result.clone();
    let receipt = EthereumReceipt {
        tx_type: TxType::try_from(tx.tx_type).unwrap_or_default(),
        success: result.is_success(),
        cumulative_gas_used: last.map_or(0, |last| last.cumulative_gas_used) + result.tx_gas_used(),
        logs: take_logs(&mut result),
    };
    Ok((result, receipt))
}

fn take_logs(result: &mut ExecutionResult) -> Vec<Log> {
    match result {
        ExecutionResult::Success { logs, .. }
        | ExecutionResult::Revert { logs, .. }
        | ExecutionResult::Halt { logs, .. } => core::mem::take(logs),
    }
}

/// Balance, nonce and code hash.
type Plain = Option<(U256, u64, revm::primitives::B256)>;

fn plain(info: Option<&AccountInfo>) -> Plain {
    info.map(|info| (info.balance, info.nonce, info.code_hash))
}

/// Checks that every account and slot of the bundle has the bundle's value, and that all others are
/// unchanged.
fn compare_state(
    recorded: &Recorded,
    found: &Values<Evm>,
    bundle: &BundleState,
) -> Result<(), String> {
    let fees = |state: &Values<Evm>, address: &Address| match *address == recorded.beneficiary {
        true => state.values().fold(U256::ZERO, |sum, value| sum.wrapping_add(value.fees())),
        false => U256::ZERO,
    };
    let account = |state: &Values<Evm>, address: &Address| -> AccountValue {
        state.get(&EvmKey::Account(*address)).map(EvmValue::account).unwrap_or_default()
    };
    for (address, expected) in &bundle.state {
        // An account that no entry accesses only receives fees.
        let is_known = found.contains_key(&EvmKey::Account(*address));
        let mut value = account(found, address);
        if !is_known {
            value = AccountValue::new(expected.original_info.clone());
        }
        let info = value.info(fees(found, address));
        let (is, must) = (plain(info.as_ref()), plain(expected.info.as_ref()));
        if is != must {
            return Err(format!("account {address}: expected {must:?}, found {is:?}"));
        }
        for (slot, values) in &expected.storage {
            let key = EvmKey::Slot(*address, *slot);
            let is = found.get(&key).map(|found| found.slot(value.life)).unwrap_or_default();
            if is != values.present_value {
                let must = values.present_value;
                return Err(format!("slot {slot} of {address}: expected {must}, found {is}"));
            }
        }
    }
    let value_at = |state: &Values<Evm>, key: &EvmKey| match key {
        EvmKey::Account(address) => {
            plain(account(state, address).info(fees(state, address)).as_ref())
                .map(|it| format!("{it:?}"))
        }
        EvmKey::Slot(address, slot) => {
            let life = account(state, address).life;
            let value = state.get(key).map(|value| value.slot(life)).unwrap_or_default();
            Some(format!("slot {slot}: {value}"))
        }
        EvmKey::Fees(_) => None,
    };
    for key in found.keys() {
        let (before, after) = (value_at(&recorded.base, key), value_at(found, key));
        let is_listed = match key {
            EvmKey::Account(address) => bundle.state.contains_key(address),
            EvmKey::Slot(address, slot) => bundle.state.get(address).is_some_and(|account| {
                account.was_destroyed() || account.storage.contains_key(slot)
            }),
            EvmKey::Fees(_) => true,
        };
        if before != after && !is_listed {
            return Err(format!("{key:?} changes from {before:?} to {after:?}, and must not"));
        }
    }
    Ok(())
}
