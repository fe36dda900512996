//! Reads compiler output: `solc --combined-json`, `solc --standard-json`, artifacts of `forge
//! build`, and the output of `solc --storage-layout` and `forge inspect`.

use super::{layout::Layout, source_map::SourceMap};
use alloy_json_abi::JsonAbi;
use alloy_primitives::hex;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Compiler output for one contract.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// Name of the contract; empty if the file has none.
    pub name: String,
    /// Deployed code, if the file has it and it needs no library.
    pub code: Option<Vec<u8>>,
    /// Parts of the code that are filled in on deployment: offset and length.
    pub immutables: Vec<(usize, usize)>,
    /// Signatures of its functions.
    pub functions: BTreeMap<[u8; 4], String>,
    /// Its variables.
    pub layout: Option<Layout>,
    /// Its source map.
    pub source_map: Option<SourceMap>,
}

/// Why no names could be read from a file.
#[derive(Debug, Error)]
pub enum NamesError {
    /// The file cannot be read.
    #[error(
        "cannot read {path}: {source}; name a file that solc or forge has written",
        path = path.display()
    )]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not JSON.
    #[error("{path}: expected JSON, as solc or forge writes it: {source}", path = path.display())]
    Json {
        /// Path of the file.
        path: PathBuf,
        /// The parser's error, with its position.
        source: serde_json::Error,
    },
    /// The file contains no names.
    #[error(
        "{path}: found neither an ABI nor a storage layout; expected the output of solc --combined-json, \
         solc --standard-json, forge build or forge inspect",
        path = path.display()
    )]
    Nothing {
        /// Path of the file.
        path: PathBuf,
    },
}

/// Reads the contracts in the file at `path`; source paths are relative to `root`.
///
/// # Errors
/// Returns an error if the file cannot be read or contains no names.
pub fn read(path: &Path, root: &Path) -> Result<Vec<Compiled>, NamesError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| NamesError::Read { path: path.to_owned(), source })?;
    let file: Value = serde_json::from_str(&text)
        .map_err(|source| NamesError::Json { path: path.to_owned(), source })?;
    let found: Vec<Compiled> = contracts(&file, root)
        .into_iter()
        .filter(|it| it.layout.is_some() || !it.functions.is_empty() || it.source_map.is_some())
        .collect();
    if found.is_empty() { Err(NamesError::Nothing { path: path.to_owned() }) } else { Ok(found) }
}

fn contracts(file: &Value, root: &Path) -> Vec<Compiled> {
    let sources = sources(file, root);
    let Some(all) = file.get("contracts").and_then(Value::as_object) else {
        let name = text(file, &["contractName"]).unwrap_or_default().to_owned();
        return vec![contract(name, file, &sources)];
    };
    let mut found = Vec::new();
    for (path, contracts) in all {
        // `--combined-json` has keys of the form `file:contract`, `--standard-json` has nested
        // objects.
        if let Some((_, name)) = path.rsplit_once(':') {
            found.push(contract(name.to_owned(), contracts, &sources));
        } else {
            let contracts = contracts.as_object().into_iter().flat_map(Map::iter);
            found.extend(contracts.map(|(name, it)| contract(name.clone(), it, &sources)));
        }
    }
    found
}

/// Returns the source files by their numbers in source maps.
fn sources(file: &Value, root: &Path) -> BTreeMap<i64, PathBuf> {
    let mut found = BTreeMap::new();
    if let Some(list) = file.get("sourceList").and_then(Value::as_array) {
        let paths = list.iter().filter_map(Value::as_str);
        found.extend((0..).zip(paths).map(|(id, path)| (id, root.join(path))));
    }
    if let Some(all) = file.get("sources").and_then(Value::as_object) {
        let id = |it: &Value| it.get("id").and_then(Value::as_i64);
        found.extend(all.iter().filter_map(|(path, it)| Some((id(it)?, root.join(path)))));
    }
    // An artifact of forge has only the number of its own file.
    let id = file.get("id").and_then(Value::as_i64);
    if let (Some(id), Some(path)) = (id, text(file, &["ast", "absolutePath"])) {
        found.insert(id, root.join(path));
    }
    found
}

fn contract(name: String, it: &Value, sources: &BTreeMap<i64, PathBuf>) -> Compiled {
    let deployed = [&["evm", "deployedBytecode"][..], &["deployedBytecode"]];
    let deployed = deployed.iter().find_map(|path| at(it, path));
    let of = |key: &str| deployed.and_then(|it| it.get(key));
    let code = of("object").or_else(|| it.get("bin-runtime")).and_then(Value::as_str);
    let map = of("sourceMap").or_else(|| it.get("srcmap-runtime")).and_then(Value::as_str);
    let ranges = of("immutableReferences").and_then(Value::as_object);
    let ranges = ranges.into_iter().flat_map(Map::values).filter_map(Value::as_array).flatten();
    let number = |it: &Value, key: &str| usize::try_from(it.get(key)?.as_u64()?).ok();
    let immutables = ranges.filter_map(|it| Some((number(it, "start")?, number(it, "length")?)));
    let layout = [&["storageLayout"][..], &["storage-layout"], &[]];
    let layout = layout.iter().find_map(|path| Layout::parse(&inner(at(it, path)?)));
    let functions = if it.is_array() { Some(it.clone()) } else { it.get("abi").map(inner) };
    let functions: JsonAbi =
        functions.and_then(|abi| serde_json::from_value(abi).ok()).unwrap_or_default();
    Compiled {
        name,
        code: code.and_then(|code| hex::decode(code).ok()).filter(|code| !code.is_empty()),
        immutables: immutables.collect(),
        functions: functions.functions().map(|it| (it.selector().0, it.signature())).collect(),
        layout,
        source_map: map
            .filter(|map| !map.is_empty())
            .map(|map| SourceMap::new(map, sources.clone())),
    }
}

/// Parses JSON in a string, as written by older compilers.
fn inner(value: &Value) -> Value {
    let parsed = value.as_str().and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or_else(|| value.clone())
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path)?.as_str()
}

impl Compiled {
    /// Returns whether `code` is the contract's code, with any values of its immutables.
    #[must_use]
    pub fn is(&self, code: &[u8]) -> bool {
        let Some(own) = self.code.as_ref().filter(|own| own.len() == code.len()) else {
            return false;
        };
        let is_free = |at: usize| {
            self.immutables.iter().any(|(start, length)| (*start..start + length).contains(&at))
        };
        own.iter().zip(code).enumerate().all(|(at, (own, other))| own == other || is_free(at))
    }
}
