//! Reading a genesis file in geth's format.

mod members;

use super::say;
use crate::chain_input::unpacked;
use alloy_eips::{
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::Address;
use braid_blocks::block_file::advice;
use braid_chain::{DECLARED_ACCESSES, FIXED_BASE_FEE, ZERO_BASE_FEE, genesis::check};
use braid_terminal::Stop;
use members::{Known, Members, Name, exact};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::Path,
};

/// Fields of a genesis other than its configuration and its accounts.
const FIELDS: [&str; 13] = [
    "nonce",
    "timestamp",
    "extraData",
    "gasLimit",
    "difficulty",
    "mixHash",
    "coinbase",
    "baseFeePerGas",
    "excessBlobGas",
    "blobGasUsed",
    "slotNumber",
    "number",
    "parentHash",
];
const CONFIG: &str = "config";
const ALLOC: &str = "alloc";
const CHAIN_ID: &str = "chainId";

/// Fields of the configuration that change a rule, or that are redundant.
const CONFIG_FIELDS: [&str; 39] = [
    CHAIN_ID,
    "homesteadBlock",
    "daoForkBlock",
    "daoForkSupport",
    "eip150Block",
    "eip150Hash",
    "eip155Block",
    "eip158Block",
    "byzantiumBlock",
    "constantinopleBlock",
    "petersburgBlock",
    "istanbulBlock",
    "muirGlacierBlock",
    "berlinBlock",
    "londonBlock",
    "arrowGlacierBlock",
    "grayGlacierBlock",
    "mergeNetsplitBlock",
    "shanghaiTime",
    "cancunTime",
    "pragueTime",
    "osakaTime",
    "amsterdamTime",
    "bogotaTime",
    "bpo1Time",
    "bpo2Time",
    "bpo3Time",
    "bpo4Time",
    "bpo5Time",
    "terminalTotalDifficulty",
    "terminalTotalDifficultyPassed",
    "ethash",
    "clique",
    "parlia",
    "depositContractAddress",
    "blobSchedule",
    DECLARED_ACCESSES,
    ZERO_BASE_FEE,
    FIXED_BASE_FEE,
];

const ACCOUNT_FIELDS: [&str; 5] = ["nonce", "balance", "code", "storage", "secretKey"];

/// Reads a genesis, plain or compressed. Warns of fields that have no effect.
///
/// # Errors
/// The file cannot be read; a field cannot be used, and the error names the field and its line; or
/// blocks would not obey the configuration.
pub(super) fn read(path: &Path) -> Result<Genesis, Stop> {
    let failed = |why: String| Stop::Message(format!("{}: {why}", path.display()));
    let mut text = Vec::new();
    let read = File::open(path).and_then(unpacked).and_then(|mut it| it.read_to_end(&mut text));
    read.map_err(|error| {
        failed(format!("{error}; {}", advice(&error, "braid-node demo writes a genesis")))
    })?;
    let (genesis, unused) = from_bytes(&text).map_err(failed)?;
    if !unused.is_empty() {
        let unused = unused.into_iter().collect::<Vec<_>>().join(", ");
        say(format!("warning: {}: without effect here: {unused}", path.display()));
    }
    if genesis.config.amsterdam_time.is_some() {
        say(format!(
            "warning: {}: config has amsterdamTime: `braid-node run --rpc` makes no blocks for this chain",
            path.display()
        ));
    }
    if let Some(missing) = missing_contract(&genesis) {
        say(format!(
            "warning: {}: alloc has only one of the two request contracts ({missing} is missing), so `braid-node run --rpc` makes no request calls",
            path.display()
        ));
    }
    Ok(genesis)
}

/// Parses and checks a genesis, and returns it with the names of unused members.
///
/// # Errors
/// As for [`read`], without the path.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<(Genesis, BTreeSet<String>), String> {
    let parsed = std::str::from_utf8(bytes).map_err(|error| error.to_string());
    // Editors on Windows put a byte-order mark before the text.
    let parsed = parsed.and_then(|text| parse(text.strip_prefix('\u{feff}').unwrap_or(text)));
    let (genesis, unused) = parsed.map_err(|why| format!("no genesis in geth's format: {why}"))?;
    check(&genesis).map_err(|error| error.to_string())?;
    Ok((genesis, unused))
}

/// Returns the contract for requests that is missing, if the other one is present.
fn missing_contract(genesis: &Genesis) -> Option<Address> {
    let is_there = |address: &Address| {
        genesis.alloc.get(address).is_some_and(|account| account.non_empty_code().is_some())
    };
    let config = &genesis.config;
    let begins = [config.prague_time, config.osaka_time].iter().any(Option::is_some);
    let needed = [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS];
    let is_asked = begins && needed.iter().any(is_there);
    needed.into_iter().find(|address| is_asked && !is_there(address))
}

/// Parses the genesis, and returns it with the names of unused members.
fn parse(text: &str) -> Result<(Genesis, BTreeSet<String>), String> {
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let known = Known::among(members, &[&FIELDS[..], &[CONFIG, ALLOC]].concat())?;
    let (Some(config), Some(alloc)) = (known.get(CONFIG), known.get(ALLOC)) else {
        return Err(other_format(&known));
    };
    let mut unused: BTreeSet<String> = known.others.keys().cloned().collect();
    let fields = known.fields.iter().filter(|(name, _)| FIELDS.contains(name));
    let mut genesis: Genesis = object(text, "", fields.map(|(name, value)| (*name, *value)))?;
    genesis.config = config_of(text, config, &mut unused)?;
    genesis.alloc = accounts(text, alloc, &mut unused)?;
    Ok((genesis, unused))
}

/// Error message for an object without configuration or without accounts.
fn other_format(known: &Known<'_>) -> String {
    let missing = [CONFIG, ALLOC].into_iter().filter(|name| known.get(name).is_none());
    let missing = missing.collect::<Vec<_>>().join(" and no ");
    let others: Vec<&str> = known.others.keys().map(|name| &**name).collect();
    let has = |name: &str| known.others.contains_key(name);
    let is_what = match () {
        () if has("engine") && has("params") => "; this is a chain specification of Nethermind",
        () if has("accounts") && has("block") => "; this is a dump of anvil's state",
        () => "",
    };
    let found =
        if others.is_empty() { String::new() } else { format!(", but {}", others.join(", ")) };
    format!("it has no {missing}{found}{is_what}")
}

fn config_of(
    text: &str,
    config: &RawValue,
    unused: &mut BTreeSet<String>,
) -> Result<ChainConfig, String> {
    let known = Known::among(members(text, CONFIG, config)?, &CONFIG_FIELDS)
        .map_err(|why| format!("{CONFIG}.{why}"))?;
    if known.get(CHAIN_ID).is_none() {
        return Err(format!(
            "{CONFIG} has no {CHAIN_ID}; state one: signatures of a chain without would be valid on another, and 1 is \
             Ethereum's main network"
        ));
    }
    let fields = known.fields.iter().map(|(name, value)| (*name, *value));
    let mut read: ChainConfig = object(text, &format!("{CONFIG}."), fields)?;
    for (name, value) in known.others {
        let value = serde_json::from_str(value.get()).map_err(|error| error.to_string())?;
        unused.insert(format!("{CONFIG}.{name}"));
        read.extra_fields.insert(name, value);
    }
    Ok(read)
}

fn accounts(
    text: &str,
    alloc: &RawValue,
    unused: &mut BTreeSet<String>,
) -> Result<BTreeMap<Address, GenesisAccount>, String> {
    let mut accounts = BTreeMap::new();
    for (Name(name), value) in members(text, ALLOC, alloc)?.0 {
        let address = name
            .parse::<Address>()
            .map_err(|error| format!("{ALLOC}.{name}: {error} at line {}", line_of(text, &name)))?;
        // Fast path: all members are known and valid.
        let account = match serde_json::from_str(value.get()) {
            Ok(account) => account,
            Err(_) => account(text, &format!("{ALLOC}.{name}"), value, unused)?,
        };
        if accounts.insert(address, account).is_some() {
            return Err(format!("{ALLOC}.{name} is there twice, at line {}", line_of(text, &name)));
        }
    }
    Ok(accounts)
}

fn account(
    text: &str,
    name: &str,
    value: &RawValue,
    unused: &mut BTreeSet<String>,
) -> Result<GenesisAccount, String> {
    let known = Known::among(members(text, name, value)?, &ACCOUNT_FIELDS)
        .map_err(|why| format!("{name}.{why}"))?;
    unused.extend(known.others.keys().map(|other| format!("{other} in {ALLOC}")));
    if known.get("balance").is_none() {
        return Err(format!("{name} has no balance, at line {}", line_of(text, value.get())));
    }
    let mut account = GenesisAccount::default();
    for (field, value) in known.fields {
        // Fields are read one by one, each with a balance, which is mandatory.
        let mut read: GenesisAccount = match field {
            "balance" => object(text, &format!("{name}."), [(field, value)])?,
            _ => field_with_balance(text, name, (field, value))?,
        };
        match field {
            "nonce" => account.nonce = read.nonce,
            "balance" => account.balance = read.balance,
            "code" => account.code = read.code.take(),
            "storage" => account.storage = read.storage.take(),
            _ => account.private_key = read.private_key,
        }
    }
    Ok(account)
}

fn field_with_balance(
    text: &str,
    name: &str,
    (field, value): (&str, &RawValue),
) -> Result<GenesisAccount, String> {
    let json = Known::json([("balance", "\"0x0\"".to_owned()), (field, exact(value))]);
    serde_json::from_str(&json).map_err(|error| at(text, &format!("{name}.{field}"), value, &error))
}

/// Returns the members of an object that is itself a member.
fn members<'t>(text: &str, name: &str, value: &'t RawValue) -> Result<Members<'t>, String> {
    serde_json::from_str(value.get()).map_err(|error| at(text, name, value, &error))
}

/// Returns the object with these fields. An error names the first field that cannot be used, and
/// its line.
fn object<'t, T: DeserializeOwned>(
    text: &str,
    prefix: &str,
    fields: impl IntoIterator<Item = (&'static str, &'t RawValue)>,
) -> Result<T, String> {
    let fields: Vec<_> = fields.into_iter().collect();
    let json = |fields: &[(&str, &RawValue)]| {
        Known::json(fields.iter().map(|(name, value)| (*name, exact(value))))
    };
    serde_json::from_str(&json(&fields)).map_err(|error| {
        let alone = fields.iter().find_map(|field| {
            let error = serde_json::from_str::<T>(&json(&[*field])).err()?;
            Some(at(text, &format!("{prefix}{}", field.0), field.1, &error))
        });
        alone.unwrap_or_else(|| error.to_string())
    })
}

/// Formats the error of a value that was parsed separately, with its line in the whole text.
fn at(text: &str, name: &str, value: &RawValue, error: &serde_json::Error) -> String {
    let why = error.to_string();
    // The position within the value is meaningless.
    let why = why.split(" at line ").next().unwrap_or_default();
    let line = line_of(text, value.get()).saturating_add(error.line().saturating_sub(1));
    format!("{name}: {why} at line {line}")
}

/// Returns the line number, from 1, on which `part` of `text` begins.
fn line_of(text: &str, part: &str) -> usize {
    let offset = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1)
}
