//! The state before and after: `alloc`.

use super::error::Failure;
use super::fields::{self, Fields, wrong};
use crate::trie::{WholeAccount, state_root};
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_primitives::{Address, B256, U256};
use braid_evm::{AccountChange, ChangeKind};
use revm::{
    database::BundleState,
    state::{AccountInfo, Bytecode},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A whole state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alloc {
    /// The accounts that exist.
    pub accounts: BTreeMap<Address, WholeAccount>,
}

impl Alloc {
    /// Reads a state.
    ///
    /// # Errors
    /// A field that is not of its form.
    pub fn from_json(value: &Value) -> Result<Self, Failure> {
        let object = value.as_object().ok_or_else(|| wrong("alloc", "an object", value))?;
        let mut accounts = BTreeMap::new();
        for (key, value) in object {
            let address = fields::address(key)
                .ok_or_else(|| Failure::json(format!("alloc: {key:?} is no address")))?;
            accounts.insert(address, account(&format!("alloc.{key}"), value)?);
        }
        Ok(Self { accounts })
    }

    /// The state as geth's tool prints it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let accounts = self.accounts.iter().map(|(address, account)| {
            let mut entry = Map::new();
            if !account.code.is_empty() {
                entry.insert("code".to_owned(), json!(account.code));
            }
            if !account.storage.is_empty() {
                let slots = account.storage.iter();
                let slots = slots.map(|(slot, value)| {
                    (B256::from(*slot).to_string(), json!(B256::from(*value)))
                });
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

    /// The state root.
    #[must_use]
    pub fn root(&self) -> B256 {
        state_root(&self.accounts)
    }

    /// Whether `address` has code.
    #[must_use]
    pub fn has_code(&self, address: Address) -> bool {
        self.accounts.get(&address).is_some_and(|account| !account.code.is_empty())
    }

    /// Moves the balances that the DAO fork moved (EIP-779).
    pub(super) fn apply_dao_fork(&mut self) {
        let mut sum = U256::ZERO;
        for address in DAO_HARDFORK_ACCOUNTS {
            if let Some(account) = self.accounts.get_mut(&address) {
                sum = sum.saturating_add(core::mem::take(&mut account.balance));
            }
        }
        let heir = self.accounts.entry(DAO_HARDFORK_BENEFICIARY).or_default();
        heir.balance = heir.balance.saturating_add(sum);
    }

    /// Adds wei. The account counts as touched even if it is nothing: before EIP-161 that creates
    /// it, since then (`clears`) it deletes one that is empty.
    pub(super) fn pay(&mut self, address: Address, amount: U256, clears: bool) {
        let account = self.accounts.entry(address).or_default();
        account.balance = account.balance.wrapping_add(amount);
        if clears && account.is_empty() {
            self.accounts.remove(&address);
        }
    }

    /// Applies the changes of a whole block.
    pub(super) fn apply(&mut self, bundle: &BundleState) {
        for (address, changed) in &bundle.state {
            let Some(info) = &changed.info else {
                self.accounts.remove(address);
                continue;
            };
            let account = self.accounts.entry(*address).or_default();
            if changed.was_destroyed() {
                account.storage.clear();
            }
            let code = bundle.contracts.get(&info.code_hash);
            set(account, info, code);
            let slots = changed.storage.iter().map(|(slot, value)| (*slot, value.present_value));
            store(account, slots);
        }
    }

    /// Applies the changes of one transaction, and the reward that lies apart.
    pub(super) fn apply_transaction(
        &mut self,
        changes: &[AccountChange],
        reward: Option<(Address, U256)>,
        clears: bool,
    ) {
        for change in changes {
            let Some(info) = &change.after else {
                self.accounts.remove(&change.address);
                continue;
            };
            let account = self.accounts.entry(change.address).or_default();
            if change.kind == ChangeKind::Created {
                account.storage.clear();
            }
            set(account, info, None);
            store(account, change.slots.iter().map(|slot| (slot.slot, slot.after)));
        }
        if let Some((beneficiary, amount)) = reward {
            self.pay(beneficiary, amount, clears);
        }
    }
}

fn set(account: &mut WholeAccount, info: &AccountInfo, code: Option<&Bytecode>) {
    account.balance = info.balance;
    account.nonce = info.nonce;
    if account.code_hash() != info.code_hash {
        let code = info.code.as_ref().or(code);
        account.code = code.map(Bytecode::original_bytes).unwrap_or_default();
    }
}

fn store(account: &mut WholeAccount, slots: impl Iterator<Item = (U256, U256)>) {
    for (slot, value) in slots {
        if value.is_zero() {
            account.storage.remove(&slot);
        } else {
            account.storage.insert(slot, value);
        }
    }
}

fn account(path: &str, value: &Value) -> Result<WholeAccount, Failure> {
    let fields = Fields::new(path, value)?;
    let mut account = WholeAccount {
        balance: fields.number(&["balance"])?.unwrap_or_default(),
        nonce: fields.small(&["nonce"])?.unwrap_or_default(),
        code: fields.bytes(&["code"])?.unwrap_or_default(),
        storage: BTreeMap::new(),
    };
    for (slot, content) in fields.entries("storage")? {
        let key = Value::String(slot.clone());
        let (Some(key), Some(content)) = (fields::word(&key), fields::word(content)) else {
            return Err(wrong(&format!("{path}.storage.{slot}"), "words in hex", content));
        };
        if !content.is_zero() {
            account.storage.insert(key.into(), content.into());
        }
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
        let alloc = Alloc::from_json(&text).unwrap();
        let printed = alloc.to_json();
        let account = &printed["0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"];
        assert_eq!((&account["balance"], &account["nonce"]), (&json!("0x3e8"), &json!("0x3")));
        assert_eq!(account["storage"].as_object().map(Map::len), Some(1), "zeros are not stored");
        assert_eq!(Alloc::from_json(&printed).unwrap(), alloc);
    }

    #[test]
    fn touching_creates_or_clears_by_fork() {
        let address = Address::repeat_byte(1);
        let mut alloc = Alloc::default();
        alloc.pay(address, U256::ZERO, false);
        assert_eq!(alloc.accounts.len(), 1);
        alloc.pay(address, U256::ZERO, true);
        assert!(alloc.accounts.is_empty());
    }
}
