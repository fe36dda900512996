//! Finds the field that keeps a JSON value from being a block file.
//!
//! This runs only after parsing has failed, so it may be slow: it parses each field on its own.

use super::FieldError;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U64, U128, U256};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A kind of value, with its description and its check.
#[derive(Clone, Copy)]
struct Kind {
    expected: &'static str,
    fits: fn(&Value) -> bool,
}

fn fits<'a, T: Deserialize<'a>>(value: &'a Value) -> bool {
    T::deserialize(value).is_ok()
}

const HASH: Kind = Kind { expected: "32 bytes in hex", fits: |value| fits::<B256>(value) };
const ADDRESS: Kind =
    Kind { expected: "an address: 20 bytes in hex", fits: |value| fits::<Address>(value) };
const RECIPIENT: Kind = Kind {
    expected: "an address in hex, or null for a creation",
    fits: |value| fits::<Option<Address>>(value) || value == "0x",
};
const BYTES: Kind = Kind { expected: "bytes in hex", fits: |value| fits::<Bytes>(value) };
const BLOOM: Kind = Kind { expected: "256 bytes in hex", fits: |value| fits::<Bloom>(value) };
const SEAL: Kind = Kind { expected: "8 bytes in hex", fits: |value| fits::<B64>(value) };
const WORD: Kind = Kind {
    expected: "a hex quantity of at most 256 bits, like \"0x1f\"",
    fits: |value| fits::<U256>(value),
};
const FEE: Kind = Kind {
    expected: "a hex quantity of at most 128 bits, like \"0x1f\"",
    fits: |value| fits::<U128>(value),
};
const QUANTITY: Kind = Kind {
    expected: "a hex quantity of at most 64 bits, like \"0x1f\"",
    fits: |value| fits::<U64>(value),
};
const NUMBER: Kind = Kind { expected: "a number from 0 to 2^64 - 1", fits: Value::is_u64 };
const TEXT: Kind = Kind { expected: "a string", fits: Value::is_string };
const TRUTH: Kind = Kind { expected: "true or false", fits: Value::is_boolean };
const TEXTS: Kind =
    Kind { expected: "an array of strings", fits: |value| fits::<Vec<String>>(value) };
const HASHES: Kind =
    Kind { expected: "an array of 32-byte hashes in hex", fits: |value| fits::<Vec<B256>>(value) };
const NUMBERS: Kind =
    Kind { expected: "an array of numbers", fits: |value| fits::<Vec<u64>>(value) };
const TRUTHS: Kind =
    Kind { expected: "an array of true and false", fits: |value| fits::<Vec<bool>>(value) };
const ACCESS_LIST: Kind = Kind {
    expected: "an array of {address, storageKeys}",
    fits: |value| fits::<alloy_eips::eip2930::AccessList>(value),
};
const AUTHORIZATIONS: Kind = Kind {
    expected: "an array of {chainId, address, nonce, yParity, r, s}",
    fits: |value| fits::<Vec<alloy_eips::eip7702::SignedAuthorization>>(value),
};

/// A named field, and whether it may be absent or null.
type Field = (&'static str, Kind, Need);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
}
use Need::{Optional, Required};

const META: &[Field] = &[
    ("chain_id", NUMBER, Required),
    ("fork", TEXT, Required),
    ("source", TEXT, Optional),
    ("license", TEXT, Optional),
    ("notes", TEXTS, Optional),
    ("synthetic", TEXTS, Optional),
    ("absent_codes", HASHES, Optional),
    ("witness", TRUTH, Optional),
    ("verified", TEXTS, Optional),
    ("without_requests", TRUTH, Optional),
];

const HEADER: &[Field] = &[
    ("parentHash", HASH, Required),
    ("sha3Uncles", HASH, Required),
    ("miner", ADDRESS, Required),
    ("stateRoot", HASH, Required),
    ("transactionsRoot", HASH, Required),
    ("receiptsRoot", HASH, Required),
    ("logsBloom", BLOOM, Required),
    ("difficulty", WORD, Required),
    ("number", QUANTITY, Required),
    ("gasLimit", QUANTITY, Required),
    ("gasUsed", QUANTITY, Required),
    ("timestamp", QUANTITY, Required),
    ("extraData", BYTES, Required),
    ("mixHash", HASH, Required),
    ("nonce", SEAL, Required),
    ("baseFeePerGas", QUANTITY, Optional),
    ("withdrawalsRoot", HASH, Optional),
    ("blobGasUsed", QUANTITY, Optional),
    ("excessBlobGas", QUANTITY, Optional),
    ("parentBeaconBlockRoot", HASH, Optional),
    ("requestsHash", HASH, Optional),
    ("blockAccessListHash", HASH, Optional),
    ("slotNumber", QUANTITY, Optional),
];

const WITHDRAWAL: &[Field] = &[
    ("index", QUANTITY, Required),
    ("validatorIndex", QUANTITY, Required),
    ("address", ADDRESS, Required),
    ("amount", QUANTITY, Required),
];

const ACCOUNT: &[Field] =
    &[("balance", WORD, Required), ("nonce", QUANTITY, Required), ("code_hash", HASH, Optional)];

const EXPECTED: &[Field] = &[
    ("gasUsed", NUMBER, Optional),
    ("receiptsRoot", HASH, Optional),
    ("logsBloom", BLOOM, Optional),
    ("stateRoot", HASH, Optional),
    ("requestsHash", HASH, Optional),
    ("txGasUsed", NUMBERS, Optional),
    ("txSuccess", TRUTHS, Optional),
];

/// Fields of every transaction.
const TRANSACTION: &[Field] = &[
    ("from", ADDRESS, Required),
    ("hash", HASH, Required),
    ("nonce", QUANTITY, Required),
    ("gas", QUANTITY, Required),
    ("to", RECIPIENT, Optional),
    ("value", WORD, Required),
    ("input", BYTES, Required),
    ("r", WORD, Required),
    ("s", WORD, Required),
    ("v", WORD, Optional),
    ("yParity", WORD, Optional),
    ("blockHash", HASH, Optional),
    ("blockNumber", QUANTITY, Optional),
    ("transactionIndex", QUANTITY, Optional),
];

const GAS_PRICE: Field = ("gasPrice", FEE, Required);
const CHAIN_ID: Field = ("chainId", QUANTITY, Required);
const ACCESS: Field = ("accessList", ACCESS_LIST, Required);
const MAX_FEE: Field = ("maxFeePerGas", FEE, Required);
const TIP: Field = ("maxPriorityFeePerGas", FEE, Required);

/// Fields of each transaction type from 0 on, besides [`TRANSACTION`].
const BY_TYPE: [&[Field]; 5] = [
    &[GAS_PRICE],
    &[GAS_PRICE, CHAIN_ID, ACCESS],
    &[CHAIN_ID, ACCESS, MAX_FEE, TIP],
    &[
        CHAIN_ID,
        ACCESS,
        MAX_FEE,
        TIP,
        ("maxFeePerBlobGas", FEE, Required),
        ("blobVersionedHashes", HASHES, Required),
    ],
    &[CHAIN_ID, ACCESS, MAX_FEE, TIP, ("authorizationList", AUTHORIZATIONS, Required)],
];

/// Returns the first field of `file` that is missing or has a value of the wrong kind.
pub(super) fn first_wrong_field(file: &Value) -> Option<FieldError> {
    wrong_field(file).err()
}

fn wrong_field(file: &Value) -> Result<(), FieldError> {
    let file = object(Some(file), "(the whole file)")?;
    let meta = file.get("meta").ok_or_else(|| {
        let expected = "an object, as in the files that braid fetch and braid gen write";
        FieldError::new("meta", expected, "nothing")
    })?;
    check_fields(object(Some(meta), "meta")?, "meta", META)?;
    check_block(file.get("block"))?;
    if let Some(ommers) = present(file, "ommers") {
        check_all(ommers, "ommers", |ommer, path| {
            check_fields(object(Some(ommer), path)?, path, HEADER)
        })?;
    }
    check_accounts(object(file.get("pre_state"), "pre_state")?)?;
    check_map(object(file.get("codes"), "codes")?, "codes", HASH, BYTES)?;
    if let Some(hashes) = present(file, "block_hashes") {
        let number = Kind {
            expected: "a decimal block number",
            fits: |key| key.as_str().is_some_and(|key| key.parse::<u64>().is_ok()),
        };
        check_map(object(Some(hashes), "block_hashes")?, "block_hashes", number, HASH)?;
    }
    if let Some(expected) = present(file, "expected") {
        check_fields(object(Some(expected), "expected")?, "expected", EXPECTED)?;
    }
    Ok(())
}

fn check_block(block: Option<&Value>) -> Result<(), FieldError> {
    let fields = object(block, "block")?;
    check_fields(fields, "block", &[("hash", HASH, Required)])?;
    check_fields(fields, "block", HEADER)?;
    check_fields(fields, "block", &[("uncles", HASHES, Optional)])?;
    let transactions = fields.get("transactions").unwrap_or(&Value::Null);
    let whole = "an array of whole transactions";
    let Value::Array(list) = transactions else {
        return Err(FieldError::new("block.transactions", whole, describe(Some(transactions))));
    };
    for (index, transaction) in list.iter().enumerate() {
        let path = format!("block.transactions[{index}]");
        check_transaction(transaction, &path).map_err(|error| error.in_transaction(index))?;
    }
    if let Some(withdrawals) = present(fields, "withdrawals") {
        check_all(withdrawals, "block.withdrawals", |withdrawal, path| {
            check_fields(object(Some(withdrawal), path)?, path, WITHDRAWAL)
        })?;
    }
    Ok(())
}

fn check_transaction(transaction: &Value, path: &str) -> Result<(), FieldError> {
    let fields = object(Some(transaction), path)?;
    check_fields(fields, path, TRANSACTION)?;
    let tag = present(fields, "type");
    let kind = tag.map_or(Some(0), |tag| U64::deserialize(tag).ok().map(|tag| tag.to::<usize>()));
    let Some(specific) = kind.and_then(|kind| BY_TYPE.get(kind)) else {
        let field = format!("{path}.type");
        return Err(FieldError::new(field, "a type from 0x0 to 0x4", describe(tag)));
    };
    check_fields(fields, path, specific)?;
    match <alloy_rpc_types_eth::Transaction>::deserialize(transaction) {
        Ok(_) => Ok(()),
        Err(error) => Err(FieldError::new(path, "a signed transaction", error.to_string())),
    }
}

fn check_accounts(accounts: &Map<String, Value>) -> Result<(), FieldError> {
    for (address, account) in accounts {
        check_key("pre_state", address, ADDRESS)?;
        let path = format!("pre_state.{address}");
        let fields = object(Some(account), &path)?;
        check_fields(fields, &path, ACCOUNT)?;
        if let Some(storage) = fields.get("storage") {
            let path = format!("{path}.storage");
            check_map(object(Some(storage), &path)?, &path, WORD, WORD)?;
        }
    }
    Ok(())
}

fn check_fields(
    fields: &Map<String, Value>,
    path: &str,
    table: &[Field],
) -> Result<(), FieldError> {
    for (name, kind, need) in table {
        let value = fields.get(*name);
        let absent = value.is_none_or(Value::is_null);
        if absent && *need == Optional || value.is_some_and(|value| (kind.fits)(value)) {
            continue;
        }
        return Err(FieldError::new(format!("{path}.{name}"), kind.expected, describe(value)));
    }
    Ok(())
}

fn check_map(
    entries: &Map<String, Value>,
    path: &str,
    key: Kind,
    value: Kind,
) -> Result<(), FieldError> {
    for (name, entry) in entries {
        check_key(path, name, key)?;
        if !(value.fits)(entry) {
            let field = format!("{path}.{name}");
            return Err(FieldError::new(field, value.expected, describe(Some(entry))));
        }
    }
    Ok(())
}

fn check_key(path: &str, key: &str, kind: Kind) -> Result<(), FieldError> {
    if (kind.fits)(&Value::String(key.to_owned())) {
        return Ok(());
    }
    Err(FieldError::new(
        format!("{path}.{key}"),
        format!("a key that is {}", kind.expected),
        format!("the key {key:?}"),
    ))
}

fn check_all(
    list: &Value,
    path: &str,
    check: impl Fn(&Value, &str) -> Result<(), FieldError>,
) -> Result<(), FieldError> {
    let Value::Array(entries) = list else {
        return Err(FieldError::new(path, "an array", describe(Some(list))));
    };
    for (index, entry) in entries.iter().enumerate() {
        check(entry, &format!("{path}[{index}]"))?;
    }
    Ok(())
}

fn object<'a>(value: Option<&'a Value>, path: &str) -> Result<&'a Map<String, Value>, FieldError> {
    value
        .and_then(Value::as_object)
        .ok_or_else(|| FieldError::new(path, "an object", describe(value)))
}

fn present<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// Describes a value in one line.
fn describe(value: Option<&Value>) -> String {
    const LONGEST: usize = 60;
    match value {
        None => "nothing".to_owned(),
        Some(Value::Array(entries)) => format!("an array of {}", entries.len()),
        Some(Value::Object(fields)) => format!("an object of {} fields", fields.len()),
        Some(other) => {
            let text = other.to_string();
            match text.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
                None => text,
            }
        }
    }
}
