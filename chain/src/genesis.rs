//! geth's genesis file: the state that a chain begins with, and its first header.

use crate::{
    AccountChange, AccountRecord, DurableBatch, Head, Rules, SlotChange, StoreError,
    rules::DECLARED_ACCESSES,
};
use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, constants::EMPTY_WITHDRAWALS,
};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use alloy_trie::root::state_root_ref_unhashed;
use revm::primitives::hardfork::SpecId;

/// Gas limit and base fee of a genesis that states none, as geth has them.
const GAS_LIMIT: u64 = 4_712_388;
const BASE_FEE: u64 = 1_000_000_000;

/// Header of the first block: its state root is computed from the accounts, the fields of later
/// forks are there if the configuration has them active.
#[must_use]
pub fn header(genesis: &Genesis) -> Header {
    let mut header = Header {
        parent_hash: genesis.parent_hash.unwrap_or_default(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: genesis.coinbase,
        state_root: state_root_ref_unhashed(&genesis.alloc),
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        difficulty: genesis.difficulty,
        number: genesis.number.unwrap_or_default(),
        gas_limit: if genesis.gas_limit == 0 { GAS_LIMIT } else { genesis.gas_limit },
        timestamp: genesis.timestamp,
        extra_data: genesis.extra_data.clone(),
        mix_hash: genesis.mix_hash,
        nonce: genesis.nonce.into(),
        ..Header::default()
    };
    let spec = Rules::new(genesis.config.clone()).genesis_spec(&header);
    let since = |fork| spec.is_enabled_in(fork);
    let base_fee = genesis.base_fee_per_gas.and_then(|fee| u64::try_from(fee).ok());
    header.base_fee_per_gas = since(SpecId::LONDON).then_some(base_fee.unwrap_or(BASE_FEE));
    header.withdrawals_root = since(SpecId::SHANGHAI).then_some(EMPTY_WITHDRAWALS);
    if since(SpecId::CANCUN) {
        header.parent_beacon_block_root = Some(B256::ZERO);
        header.blob_gas_used = Some(genesis.blob_gas_used.unwrap_or_default());
        header.excess_blob_gas = Some(genesis.excess_blob_gas.unwrap_or_default());
    }
    header.requests_hash = since(SpecId::PRAGUE).then_some(EMPTY_REQUESTS_HASH);
    header
}

/// The state that `genesis` describes, at the block `head`.
#[must_use]
pub fn batch(genesis: &Genesis, head: Head) -> DurableBatch {
    let mut batch = DurableBatch { head, ..DurableBatch::default() };
    for (address, account) in &genesis.alloc {
        add(&mut batch, *address, account);
    }
    batch
}

fn add(batch: &mut DurableBatch, address: Address, account: &GenesisAccount) {
    let code = account.non_empty_code().zip(account.code_hash());
    let record = AccountRecord {
        nonce: account.nonce.unwrap_or_default(),
        balance: account.balance,
        code_hash: code.map_or(KECCAK256_EMPTY, |(_, hash)| hash),
    };
    let after = Some(record);
    batch.accounts.push(AccountChange { address, before: None, after, cleared: false });
    let slots = account.storage_slots().filter(|(_, value)| !value.is_zero());
    batch.slots.extend(slots.map(|(slot, after)| {
        let slot = U256::from_be_bytes(slot.0);
        SlotChange { address, slot, before: U256::ZERO, after }
    }));
    batch.codes.extend(code.map(|(code, hash)| (hash, code.clone())));
}

/// What the store keeps of a genesis: all but the accounts, which are in its tables.
///
/// # Errors
/// A rule of the chain is of another type than it has to be.
pub fn encode(genesis: &Genesis) -> Result<Vec<u8>, StoreError> {
    check(genesis)?;
    let without_accounts = Genesis { alloc: Default::default(), ..genesis.clone() };
    serde_json::to_vec(&without_accounts).map_err(StoreError::backend)
}

/// The genesis as the store keeps it.
///
/// # Errors
/// The bytes are not what [`encode`] gives.
pub fn decode(bytes: &[u8]) -> Result<Genesis, StoreError> {
    let genesis = serde_json::from_slice(bytes)
        .map_err(|error| StoreError::Damaged { what: format!("the genesis: {error}") })?;
    check(&genesis)?;
    Ok(genesis)
}

/// A node that took another type for no rule would leave the others.
fn check(genesis: &Genesis) -> Result<(), StoreError> {
    match genesis.config.extra_fields.get(DECLARED_ACCESSES) {
        Some(value) if !value.is_boolean() => {
            let what = format!("the genesis: {DECLARED_ACCESSES} is {value}, not true or false");
            Err(StoreError::Damaged { what })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_of_another_type_is_an_error() {
        for (value, is_right) in
            [(json!(true), true), (json!(false), true), (json!("true"), false), (json!(1), false)]
        {
            let mut genesis = Genesis::default();
            genesis.config.extra_fields.insert(DECLARED_ACCESSES.to_owned(), value.clone());
            assert_eq!(encode(&genesis).is_ok(), is_right, "{value}");
            let bytes = serde_json::to_vec(&genesis).expect("JSON");
            assert_eq!(decode(&bytes).is_ok(), is_right, "{value}");
        }
    }
}
