//! Genesis files in geth's format: a chain's initial state and first header.

use crate::{
    AccountChange, AccountRecord, DECLARED_ACCESSES, DurableBatch, FIXED_BASE_FEE, Head, Rules,
    SlotChange, StoreError, ZERO_BASE_FEE,
};
use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, constants::EMPTY_WITHDRAWALS,
};
use alloy_eips::{eip4844::DATA_GAS_PER_BLOB, eip7685::EMPTY_REQUESTS_HASH, eip7840::BlobParams};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use alloy_trie::root::state_root_ref_unhashed;
use revm::primitives::hardfork::SpecId;
use thiserror::Error;

/// Fields of the configuration that switch a rule on or off and are not forks.
const FLAGS: [&str; 3] = [DECLARED_ACCESSES, ZERO_BASE_FEE, FIXED_BASE_FEE];
/// Besu's fields for rules that are not supported.
const FOREIGN_RULES: [&str; 3] = ["contractSizeLimit", "evmStackSize", "ecCurve"];

/// Maximum number of blobs in a block, and maximum excess of blob gas in the first one. Below these,
/// the rules for blob gas do not overflow 64 bits.
const MAX_BLOBS: u64 = 1 << 20;
const MAX_EXCESS: u64 = u64::MAX >> 1;

/// Gas limit and base fee of a genesis that states none, as in geth.
const GAS_LIMIT: u64 = 4_712_388;
const BASE_FEE: u64 = 1_000_000_000;

/// Returns the header of the first block. Its state root is computed from the accounts; fields of
/// later forks are present if the configuration activates the fork.
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

/// Returns the state that `genesis` describes, as a batch for the block `head`.
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
    let slots =
        account.storage_slots().filter(|(_, value)| !value.is_zero() || mutant!(ZeroSlotsTaken));
    batch.slots.extend(slots.map(|(slot, after)| {
        let slot = U256::from_be_bytes(slot.0);
        SlotChange { address, slot, before: U256::ZERO, after }
    }));
    let code = code.filter(|_| !mutant!(GenesisCodeLost));
    batch.codes.extend(code.map(|(code, hash)| (hash, code.clone())));
}

/// Reason why a chain cannot begin with a genesis.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GenesisError {
    /// A field that switches a rule is not a boolean.
    #[error("config.{field} is {value}; write true or false")]
    Flag {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A field stands for a fork or a rule that is not supported.
    #[error(
        "config.{field} asks for rules that are not known here, so blocks would obey others without a word; leave it \
         out if those are the ones you want"
    )]
    Unknown {
        /// Name of the field.
        field: String,
    },
    /// A fork begins before one that must precede it.
    #[error("config.{later} is {at}, before config.{earlier}; forks begin one after the other")]
    Order {
        /// The fork that must come first.
        earlier: &'static str,
        /// The fork that begins before it.
        later: &'static str,
        /// Block number or time at which `later` begins.
        at: u64,
    },
    /// Blocks cannot follow the schedule of blobs: its numbers are zero or too large, or the target
    /// exceeds the maximum.
    #[error(
        "config.blobSchedule.{fork}.{field} is {value}; state {least} to {most}, or blocks could not compute the price \
         of blobs"
    )]
    Blobs {
        /// Fork of the schedule.
        fork: String,
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: u128,
        /// Smallest value.
        least: u64,
        /// Largest value.
        most: u64,
    },
    /// A field of the first header is so large that later blocks cannot compute the price of blobs.
    #[error(
        "{field} is {value:#x}; state {most:#x} at most, or blocks could not compute the price of blobs"
    )]
    BlobGas {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// Largest value.
        most: u64,
    },
    /// The genesis has the maximum number or time, so no block can follow.
    #[error("{field} is {value:#x}, after which no block can come; state a smaller one")]
    Last {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
}

/// Checks that a chain that begins with `genesis` obeys its whole configuration.
///
/// # Errors
/// Returns the first field that blocks would not obey, or that leaves no room for blocks.
pub fn check(genesis: &Genesis) -> Result<(), GenesisError> {
    flags(genesis)?;
    let config = &genesis.config;
    let of_fork = |field: &str| {
        let field = field.to_ascii_lowercase();
        field.ends_with("block") || field.ends_with("time")
    };
    let mut fields = config.extra_fields.iter().filter(|(_, value)| !value.is_null());
    let unknown = fields.find(|(field, _)| of_fork(field) || FOREIGN_RULES.contains(&&***field));
    let unknown = unknown.map(|(field, _)| field.clone());
    let unknown = unknown.or(config.bogota_time.map(|_| "bogotaTime".to_owned()));
    if let Some(field) = unknown {
        return Err(GenesisError::Unknown { field });
    }
    in_order(&[
        ("homesteadBlock", config.homestead_block),
        ("eip150Block", config.eip150_block),
        ("eip158Block", config.eip158_block),
        ("byzantiumBlock", config.byzantium_block),
        ("constantinopleBlock", config.constantinople_block),
        ("petersburgBlock", config.petersburg_block),
        ("istanbulBlock", config.istanbul_block),
        ("berlinBlock", config.berlin_block),
        ("londonBlock", config.london_block),
    ])?;
    in_order(&[
        ("shanghaiTime", config.shanghai_time),
        ("cancunTime", config.cancun_time),
        ("pragueTime", config.prague_time),
        ("osakaTime", config.osaka_time),
        ("amsterdamTime", config.amsterdam_time),
    ])?;
    check_blobs(genesis)?;
    let number = genesis.number.unwrap_or_default();
    for (field, value) in [("timestamp", genesis.timestamp), ("number", number)] {
        if value == u64::MAX {
            return Err(GenesisError::Last { field, value });
        }
    }
    Ok(())
}

/// Checks that the rules for blob gas neither divide by zero nor overflow.
fn check_blobs(genesis: &Genesis) -> Result<(), GenesisError> {
    for (fork, params) in &genesis.config.blob_schedule {
        let BlobParams { target_blob_count: target, max_blob_count: max, .. } = *params;
        for (field, value, least, most) in [
            ("max", max.into(), 1, MAX_BLOBS),
            ("target", target.into(), 0, max),
            ("baseFeeUpdateFraction", params.update_fraction, 1, u64::MAX),
        ] {
            if !(least.into()..=most.into()).contains(&value) {
                let fork = fork.clone();
                return Err(GenesisError::Blobs { fork, field, value, least, most });
            }
        }
    }
    for (field, value, most) in [
        ("blobGasUsed", genesis.blob_gas_used, MAX_BLOBS * DATA_GAS_PER_BLOB),
        ("excessBlobGas", genesis.excess_blob_gas, MAX_EXCESS),
    ] {
        if let Some(value) = value.filter(|value| *value > most) {
            return Err(GenesisError::BlobGas { field, value, most });
        }
    }
    Ok(())
}

/// Checks that `forks` begin in order. An omitted fork is activated by the next one that is
/// present.
fn in_order(forks: &[(&'static str, Option<u64>)]) -> Result<(), GenesisError> {
    let mut before: Option<(&'static str, u64)> = None;
    for (later, at) in forks.iter().filter_map(|(name, since)| Some((*name, (*since)?))) {
        if let Some((earlier, _)) = before.filter(|(_, since)| *since > at) {
            return Err(GenesisError::Order { earlier, later, at });
        }
        before = Some((later, at));
    }
    Ok(())
}

/// Checks the types of [`FLAGS`]. A node that read a wrong type as "off" would silently diverge
/// from nodes that read it as "on".
fn flags(genesis: &Genesis) -> Result<(), GenesisError> {
    for field in FLAGS {
        if let Some(value) = genesis.config.extra_fields.get(field).filter(|it| !it.is_boolean()) {
            return Err(GenesisError::Flag { field, value: value.to_string() });
        }
    }
    Ok(())
}

/// Encodes a genesis for the store: everything except the accounts, which are in its tables.
///
/// # Errors
/// A field that switches a rule is not a boolean.
pub fn encode(genesis: &Genesis) -> Result<Vec<u8>, StoreError> {
    stored_flags(genesis)?;
    let mut kept = Genesis { alloc: Default::default(), ..genesis.clone() };
    // alloy writes it as a JSON number, and cannot read it back if it exceeds 64 bits.
    let total = kept.config.terminal_total_difficulty.filter(|it| *it > U256::from(u64::MAX));
    let total = total.filter(|_| !mutant!(LargeTotalUnread));
    if let Some(total) = total {
        let text = format!("{total:#x}").into();
        kept.config.terminal_total_difficulty = None;
        kept.config.extra_fields.insert("terminalTotalDifficulty".to_owned(), text);
    }
    serde_json::to_vec(&kept).map_err(StoreError::backend)
}

/// Decodes a genesis that [`encode`] has written.
///
/// # Errors
/// The bytes are not an encoded genesis, or a field that switches a rule is not a boolean.
pub fn decode(bytes: &[u8]) -> Result<Genesis, StoreError> {
    let genesis = serde_json::from_slice(bytes)
        .map_err(|error| StoreError::Damaged { what: format!("the genesis: {error}") })?;
    stored_flags(&genesis)?;
    Ok(genesis)
}

fn stored_flags(genesis: &Genesis) -> Result<(), StoreError> {
    let what = |error| StoreError::Damaged { what: format!("the genesis: {error}") };
    flags(genesis).map_err(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_of_another_type_is_an_error() {
        for field in FLAGS {
            for (value, is_right) in [
                (json!(true), true),
                (json!(false), true),
                (json!("true"), false),
                (json!(1), false),
            ] {
                let mut genesis = Genesis::default();
                genesis.config.extra_fields.insert(field.to_owned(), value.clone());
                assert_eq!(encode(&genesis).is_ok(), is_right, "{value}");
                assert_eq!(check(&genesis).is_ok(), is_right, "{value}");
                let bytes = serde_json::to_vec(&genesis).expect("JSON");
                assert_eq!(decode(&bytes).is_ok(), is_right, "{value}");
            }
        }
    }

    /// Checks a genesis with this `config` and these header `fields`, and returns the error.
    fn error(config: serde_json::Value, fields: serde_json::Value) -> Option<GenesisError> {
        let mut genesis: Genesis = serde_json::from_value(fields).expect("header fields");
        genesis.config = serde_json::from_value(config).expect("a configuration");
        check(&genesis).err()
    }

    #[test]
    fn what_blocks_would_not_obey_is_an_error() {
        let unknown = |field: &str| Some(GenesisError::Unknown { field: field.to_owned() });
        for field in
            ["bogotaTime", "verkletime", "ecip1017Block", "contractSizeLimit", "evmStackSize"]
        {
            assert_eq!(error(json!({field: 7}), json!({})), unknown(field));
            assert_eq!(error(json!({field: null}), json!({})), None);
        }
        assert_eq!(error(json!({"eip150Hash": "0x00", "qbft": {}}), json!({})), None);
        let order = |earlier, later, at| Some(GenesisError::Order { earlier, later, at });
        let times = |cancun, prague| json!({"cancunTime": cancun, "pragueTime": prague});
        assert_eq!(error(times(8, 7), json!({})), order("cancunTime", "pragueTime", 7));
        assert_eq!(error(times(7, 7), json!({})), None);
        let blocks = json!({"eip150Block": 9, "londonBlock": 3});
        assert_eq!(error(blocks, json!({})), order("eip150Block", "londonBlock", 3));
        // An omitted fork is activated by the next one that is present.
        assert_eq!(error(json!({"osakaTime": 5, "londonBlock": 0}), json!({})), None);
        for field in ["timestamp", "number"] {
            let last = GenesisError::Last { field, value: u64::MAX };
            assert_eq!(error(json!({}), json!({field: "0xffffffffffffffff"})), Some(last));
            assert_eq!(error(json!({}), json!({field: "0xfffffffffffffffe"})), None);
        }
    }

    /// A node could not even start on such a chain: it divided by zero, or overflowed.
    #[test]
    fn blobs_without_a_price_are_an_error() {
        let blobs = |max: u64, target: u64, fraction: u64| {
            let params = json!({"max": max, "target": target, "baseFeeUpdateFraction": fraction});
            error(json!({"blobSchedule": {"osaka": params}}), json!({}))
        };
        for (max, target, fraction) in [(1, 0, 1), (9, 9, u64::MAX), (MAX_BLOBS, 0, 7)] {
            assert_eq!(blobs(max, target, fraction), None);
        }
        for (max, target, fraction, wrong) in [
            (0, 0, 1, "max"),
            (MAX_BLOBS + 1, 1, 1, "max"),
            (6, 7, 1, "target"),
            (6, 3, 0, "baseFeeUpdateFraction"),
        ] {
            let found = blobs(max, target, fraction);
            let is_it = |it: &GenesisError| matches!(it, GenesisError::Blobs { field, .. } if *field == wrong);
            assert!(found.as_ref().is_some_and(is_it), "{wrong}: {found:?}");
        }
        for (field, most) in [("blobGasUsed", MAX_BLOBS << 17), ("excessBlobGas", MAX_EXCESS)] {
            let of = |value: u64| error(json!({}), json!({field: format!("{value:#x}")}));
            assert_eq!(of(most), None);
            let value = most + 1;
            assert_eq!(of(value), Some(GenesisError::BlobGas { field, value, most }));
        }
    }

    #[test]
    fn any_total_difficulty_can_be_read_again() {
        let mainnet = U256::from(58_750_000_000_000_000_000_000_u128);
        for total in [U256::ZERO, U256::from(u64::MAX), U256::from(1) << 65, mainnet, U256::MAX] {
            let mut genesis = Genesis::default();
            genesis.config.terminal_total_difficulty = Some(total);
            let read = decode(&encode(&genesis).expect("JSON")).expect("it is read");
            assert_eq!(read.config.terminal_total_difficulty, Some(total));
        }
    }
}
