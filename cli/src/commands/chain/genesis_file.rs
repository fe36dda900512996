//! Reading a genesis file in geth's format.

use super::Stop;
use crate::chain_input::unpacked;
use alloy_genesis::{ChainConfig, Genesis};
use braid_testkit::block_file::advice;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

/// Reads a genesis, plain or packed. Warns if it states no chain id.
///
/// # Errors
/// The file cannot be read, or a field cannot be used: the error names field and line.
pub(super) fn read(path: &Path) -> Result<Genesis, Stop> {
    let failed = |why: String| Stop::Message(format!("{}: {why}", path.display()));
    let mut text = Vec::new();
    let read = File::open(path).and_then(unpacked).and_then(|mut it| it.read_to_end(&mut text));
    read.map_err(|error| {
        failed(format!("{error}; {}", advice(&error, "braid chain demo writes a genesis")))
    })?;
    let mut deserializer = serde_json::Deserializer::from_slice(&text);
    let genesis = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let why = in_config(&text).unwrap_or_else(|| error.to_string());
        failed(format!("no genesis in geth's format: {why}"))
    })?;
    let stated = serde_json::from_slice::<Stated>(&text);
    if !stated.is_ok_and(|stated| stated.config.chain_id.is_some()) {
        eprintln!("warning: {}: config has no chainId; the chain id is 1", path.display());
    }
    Ok(genesis)
}

/// What a genesis states; what it does not state has a default that may be unwanted.
#[derive(Debug, Deserialize)]
struct Stated {
    config: StatedConfig,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatedConfig {
    chain_id: Option<IgnoredAny>,
}

/// The configuration, whose fields are read one by one.
#[derive(Debug, Deserialize)]
struct RawConfig<'a> {
    #[serde(borrow)]
    config: BTreeMap<String, &'a RawValue>,
}

/// The first field of the configuration that cannot be used, with its line. An error of the whole
/// configuration names neither, as `ChainConfig` keeps fields that it does not know.
fn in_config(text: &[u8]) -> Option<String> {
    let RawConfig { config } = serde_json::from_slice(text).ok()?;
    config.iter().find_map(|(name, value)| {
        let alone = serde_json::to_string(&BTreeMap::from([(name, value)])).ok()?;
        let error = serde_json::from_str::<ChainConfig>(&alone).err()?;
        let error = error.to_string();
        // The place in the text of one field says nothing.
        let why = error.split(" at line ").next().unwrap_or_default();
        Some(format!("config.{name}: {why} at line {}", line_of(text, value.get())?))
    })
}

/// Number of the line on which `part` of `text` begins, from 1.
fn line_of(text: &[u8], part: &str) -> Option<usize> {
    let offset = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    Some(text.get(..offset)?.split(|byte| *byte == b'\n').count())
}
