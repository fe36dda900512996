//! The state before and after: `alloc`.

use super::error::Failure;
use super::fields::{self, Fields, wrong};
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_primitives::{Address, B256, U256};
use braid_blocks::state_root::{PlainAccount, PlainState};
use braid_evm::{AccountChange, ChangeKind};
use revm::state::Bytecode;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Parses a state.
pub(super) fn from_json(value: &Value) -> Result<PlainState, Failure> {
    let object = value.as_object().ok_or_else(|| wrong("alloc", "an object", value))?;
    let mut state = PlainState::default();
    for (key, value) in object {
        let address = fields::address(key)
            .ok_or_else(|| Failure::json(format!("alloc: {key:?} is no address")))?;
        state.insert(address, account(&format!("alloc.{key}"), value)?);
    }
    Ok(state)
}

/// Returns the state in the format of geth's tool.
#[must_use]
pub fn to_json(state: &PlainState) -> Value {
    let accounts = state.iter().map(|(address, account)| {
        let mut entry = Map::new();
        if !account.code.is_empty() {
            entry.insert("code".to_owned(), json!(account.code.original_bytes()));
        }
        if !account.storage.is_empty() {
            let slots = account.storage.iter();
            let slots = slots
                .map(|(slot, value)| (B256::from(*slot).to_string(), json!(B256::from(*value))));
            entry.insert("storage".to_owned(), Value::Object(slots.collect()));
        }
        entry.insert("balance".to_owned(), json!(account.balance));
        if account.nonce > 0 {
            entry.insert("nonce".to_owned(), json!(format!("{:#x}", account.nonce)));
        }
        (format!("{address:?}"), Value::Object(entry))
    });
    Value::Object(accounts.collect())
}

/// Moves the balances that the DAO fork moved (EIP-779).
pub(super) fn apply_dao_fork(state: &mut PlainState) {
    let mut sum = U256::ZERO;
    for address in DAO_HARDFORK_ACCOUNTS {
        if state.get(&address).is_some() {
            state.update(address, |account| {
                sum = sum.saturating_add(core::mem::take(&mut account.balance));
            });
        }
    }
    state.update(DAO_HARDFORK_BENEFICIARY, |heir| heir.balance = heir.balance.saturating_add(sum));
}

/// Adds wei to an account. Even a zero amount touches the account: before EIP-161 that creates it;
/// since then (`clears`), it deletes an empty account.
pub(super) fn pay(state: &mut PlainState, address: Address, amount: U256, clears: bool) {
    state.update(address, |account| account.balance = account.balance.wrapping_add(amount));
    if clears && state.get(&address).is_some_and(PlainAccount::is_empty) {
        state.remove(&address);
    }
}

/// Applies the changes of one transaction, and its separate reward.
pub(super) fn apply_transaction(
    state: &mut PlainState,
    changes: &[AccountChange],
    reward: Option<(Address, U256)>,
    clears: bool,
) {
    for change in changes {
        let Some(info) = &change.after else {
            state.remove(&change.address);
            continue;
        };
        state.update(change.address, |account| {
            if change.kind == ChangeKind::Created {
                account.storage.clear();
            }
            (account.balance, account.nonce) = (info.balance, info.nonce);
            if account.code_hash() != info.code_hash {
                account.code = info.code.clone().unwrap_or_default();
            }
            account.storage.extend(change.slots.iter().map(|slot| (slot.slot, slot.after)));
        });
    }
    if let Some((beneficiary, amount)) = reward {
        pay(state, beneficiary, amount, clears);
    }
}

fn account(path: &str, value: &Value) -> Result<PlainAccount, Failure> {
    let fields = Fields::new(path, value)?;
    let code = fields.bytes(&["code"])?.unwrap_or_default();
    let mut account = PlainAccount {
        balance: fields.number(&["balance"])?.unwrap_or_default(),
        nonce: fields.small(&["nonce"])?.unwrap_or_default(),
        code: Bytecode::new_raw_checked(code)
            .map_err(|error| Failure::json(format!("{path}.code: {error}")))?,
        storage: BTreeMap::new(),
    };
    for (slot, content) in fields.entries("storage")? {
        let key = Value::String(slot.clone());
        let (Some(key), Some(content)) = (fields::word(&key), fields::word(content)) else {
            return Err(wrong(&format!("{path}.storage.{slot}"), "words in hex", content));
        };
        account.storage.insert(key.into(), content.into());
    }
    Ok(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_being_written_and_read() {
        let text = json!({
            "a94f5374fce5edbc8e2a8697c15331677e6ebf0b": {
                "balance": "1000", "nonce": 3, "code": "0x6001",
                "storage": {"0x1": "0x02", "03": "0x0"}
            },
            "0x00000000000000000000000000000000000000bb": {"balance": "0x0"}
        });
        let state = from_json(&text).unwrap();
        let printed = to_json(&state);
        let account = &printed["0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"];
        assert_eq!((&account["balance"], &account["nonce"]), (&json!("0x3e8"), &json!("0x3")));
        assert_eq!(account["storage"].as_object().map(Map::len), Some(1), "zeros are not stored");
        assert_eq!(from_json(&printed).unwrap(), state);
    }

    #[test]
    fn touching_creates_or_clears_by_fork() {
        let address = Address::repeat_byte(1);
        let mut state = PlainState::default();
        pay(&mut state, address, U256::ZERO, false);
        assert_eq!(state.iter().count(), 1);
        pay(&mut state, address, U256::ZERO, true);
        assert_eq!(state.iter().count(), 0);
    }
}
