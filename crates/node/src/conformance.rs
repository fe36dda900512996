//! The public conformance cases of ethereum/execution-apis, against a node that serves their chain.
//!
//! The cases are no part of this repository: `BRAID_FIXTURES` names the folder with
//! `vectors/execution-apis`, by default `../shared` beside the repository. They are compared by the
//! rules of hive's rpc-compat: messages of errors are not compared, and a case that is marked
//! `speconly` is compared in its shape only.

use crate::{
    Limits, NodeConfig,
    testing::{Client, node},
};
use alloy_genesis::Genesis;
use braid_chain::{
    Chain, ChainConfig, Head, MemoryStore, Rules, StateRoots, create, genesis,
    rlp::{RlpItems, decode_block},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    env, fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// Cases that fail, each with its reason.
const DIFFERENT: &[(&str, &str)] = &[(
    "testing_buildBlockV1/build-block-invalid-transaction",
    "the specification disables methods for tests by default, and this one is not implemented",
)];

/// A case: its requests with the responses that are expected.
struct Case {
    is_shape_only: bool,
    exchanges: Vec<(String, Value)>,
}

/// Returns the folder of the cases; `None` if it is missing and need not be there.
fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let fixtures = env::var_os("BRAID_FIXTURES").map_or_else(beside, PathBuf::from);
    let folder = fixtures.join("vectors/execution-apis");
    if folder.exists() {
        return Some(folder);
    }
    let is_required = env::var_os("BRAID_REQUIRE_FIXTURES").is_some_and(|value| value == "1");
    assert!(!is_required, "BRAID_REQUIRE_FIXTURES=1, but there is no {}", folder.display());
    println!("skipped: there is no {}", folder.display());
    None
}

/// Executes the chain of the cases.
fn import(folder: &Path) -> MemoryStore {
    let file = fs::read(folder.join("genesis.json")).expect("reads");
    let genesis: Genesis = serde_json::from_slice(&file).expect("a genesis");
    let header = genesis::header(&genesis);
    let head = Head { number: 0, hash: header.hash_slow() };
    let mut batch = genesis::batch(&genesis, head);
    batch.state_root = Some(header.state_root);
    let store = MemoryStore::new();
    let described = genesis::encode(&genesis).expect("JSON");
    create(&store, &described, &batch, StateRoots::Computed).expect("created");
    let mut config = ChainConfig::default();
    (config.keep.rlp_blocks, config.keep.receipt_blocks) = (4_096, 4_096);
    let mut chain = Chain::open(store.clone(), config).expect("a chain");
    let rules = Rules::new(genesis.config);
    let blocks = fs::read(folder.join("chain.rlp")).expect("reads");
    for block in RlpItems::new(&*blocks) {
        let block = decode_block(&block.expect("an item"), &rules, NonZeroUsize::MIN);
        chain.execute(block.expect("a block")).expect("the block is valid");
    }
    chain.flush().expect("durable");
    store
}

/// Returns all cases by name, in the order in which hive sends them.
fn cases(folder: &Path) -> BTreeMap<String, Case> {
    let mut cases = BTreeMap::new();
    for method in fs::read_dir(folder.join("tests")).expect("a folder") {
        let method = method.expect("reads").path();
        for file in fs::read_dir(&method).expect("a folder") {
            let file = file.expect("reads").path();
            let name = format!(
                "{}/{}",
                method.file_name().expect("a name").to_string_lossy(),
                file.file_stem().expect("a name").to_string_lossy()
            );
            cases.insert(name, case(&fs::read_to_string(&file).expect("text")));
        }
    }
    cases
}

fn case(text: &str) -> Case {
    let (mut is_shape_only, mut exchanges, mut request) = (false, Vec::new(), None);
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("//") {
            is_shape_only |= comment.trim_start().starts_with("speconly:");
        } else if let Some(sent) = line.strip_prefix(">> ") {
            request = Some(sent.to_owned());
        } else if let Some(expected) = line.strip_prefix("<< ") {
            let expected = serde_json::from_str(expected).expect("JSON");
            exchanges.push((request.take().expect("a request"), expected));
        }
    }
    Case { is_shape_only, exchanges }
}

/// Sends the requests of a case, and describes the first response that differs.
fn differs(client: &Client, case: &Case) -> Option<String> {
    for (request, expected) in &case.exchanges {
        let (_, found) = client.runtime.block_on(client.post(1, request.clone()));
        let mut found: Value = match serde_json::from_str(&found) {
            Ok(found) => found,
            Err(error) => return Some(format!("{error}: {found}")),
        };
        let mut expected = expected.clone();
        if case.is_shape_only && found.get("error").is_none() {
            match has_shape(&found["result"], &expected["result"]) {
                true => continue,
                false => return Some(shown(&found, &expected)),
            }
        }
        let shown = shown(&found, &expected);
        remove_messages(&mut found, &mut expected);
        if found != expected {
            return Some(shown);
        }
    }
    None
}

/// Shows the members that differ.
fn shown(found: &Value, expected: &Value) -> String {
    let mut lines = Vec::new();
    difference("", found, expected, &mut lines);
    lines.truncate(12);
    lines.join("\n    ")
}

fn difference(path: &str, found: &Value, expected: &Value, lines: &mut Vec<String>) {
    match (found, expected) {
        (Value::Object(one), Value::Object(other)) => {
            let names: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for name in names {
                let (one, other) = (&found[name], &expected[name]);
                difference(&format!("{path}.{name}"), one, other, lines);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                difference(&format!("{path}[{index}]"), one, other, lines);
            }
        }
        (one, other) if one != other => {
            let short = |value: &Value| value.to_string().chars().take(200).collect::<String>();
            lines.push(format!("{path}: found {}, expected {}", short(one), short(other)));
        }
        _ => {}
    }
}

/// Removes the messages of errors that are in both.
fn remove_messages(found: &mut Value, expected: &mut Value) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (name, expected) in expected.iter_mut() {
                let Some(found) = found.get_mut(name) else { continue };
                let has = |value: &Value| value.get("message").is_some();
                match name == "error" && has(found) && has(expected) {
                    true => [found, expected].into_iter().for_each(|error| {
                        error.as_object_mut().and_then(|error| error.remove("message"));
                    }),
                    false => remove_messages(found, expected),
                }
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.iter_mut().zip(expected).for_each(|(one, other)| remove_messages(one, other));
        }
        _ => {}
    }
}

/// Whether `found` has the members of `expected`, of the same kinds. Names that are addresses
/// or numbers are data, and each element of an array has the shape of some expected one.
fn has_shape(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let is_data = |name: &String| name.starts_with(|first: char| first.is_ascii_digit());
            if found.keys().chain(expected.keys()).all(is_data) {
                let any = |one: &Value| expected.values().any(|other| has_shape(one, other));
                return expected.is_empty() || found.values().all(any);
            }
            // A member may be missing if it is null or depends on the node.
            let is_optional =
                |name: &str, value: &Value| name == "deleteStrategy" || value.is_null();
            expected.iter().all(|(name, expected)| match found.get(name) {
                Some(found) => has_shape(found, expected),
                None => is_optional(name, expected),
            })
        }
        (Value::Array(found), Value::Array(expected)) => found
            .iter()
            .all(|one| expected.is_empty() || expected.iter().any(|it| has_shape(one, it))),
        (Value::String(found), Value::String(expected)) => {
            found.starts_with("0x") == expected.starts_with("0x")
        }
        (Value::Null, Value::Null)
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_)) => true,
        _ => false,
    }
}

#[test]
fn the_cases_of_the_execution_apis_pass() {
    let Some(folder) = folder() else { return };
    let served = node(&import(&folder), NodeConfig::default());
    let client = Client::new(&served.shared(), Limits::default());
    let cases = cases(&folder);
    let (mut passed, mut wrong) = (0, Vec::new());
    for (name, case) in &cases {
        let difference = differs(&client, case);
        let known = DIFFERENT.iter().find(|(known, _)| known == name);
        passed += usize::from(difference.is_none());
        match (difference, known) {
            (Some(difference), None) => wrong.push(format!("{name}\n    {difference}")),
            (None, Some(_)) => wrong.push(format!("{name} passes, and is listed as different")),
            _ => {}
        }
    }
    println!("{passed} of {} cases pass", cases.len());
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}
