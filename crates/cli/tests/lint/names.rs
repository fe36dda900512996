//! Names from the output of compilers.

use super::compiled;
use alloy_primitives::{Address, U256, keccak256};
use braid_cli::explain::{
    Preimages,
    names::{Compiled, Names, NamesError, read},
};
use serde_json::{Value, json};
use std::{fs, path::Path, sync::Arc};

/// Returns solc's layout of: struct Hero { address owner; uint32 wins; uint32 losses; uint256[2]
/// bag; } mapping(address => mapping(uint256 => Hero)) heroes; uint64[] times; string name; uint128
/// a; uint128 b; Hero first.
fn layout() -> Value {
    let variable = |label: &str, slot: u32, offset: u32, kind: &str| json!({ "label": label, "slot": slot.to_string(), "offset": offset, "type": kind, "astId": 1, "contract": "A" });
    let value = |bytes: u32, label: &str| json!({ "encoding": "inplace", "label": label, "numberOfBytes": bytes.to_string() });
    json!({
        "storage": [
            variable("heroes", 0, 0, "m"), variable("times", 1, 0, "times"), variable("name", 2, 0, "string"),
            variable("a", 3, 0, "u128"), variable("b", 3, 16, "u128"), variable("first", 4, 0, "hero"),
        ],
        "types": {
            "m": { "encoding": "mapping", "label": "", "numberOfBytes": "32", "key": "t_address", "value": "n" },
            "n": { "encoding": "mapping", "label": "", "numberOfBytes": "32", "key": "t_uint256", "value": "hero" },
            "times": { "encoding": "dynamic_array", "label": "", "numberOfBytes": "32", "base": "u64" },
            "string": { "encoding": "bytes", "label": "string", "numberOfBytes": "32" },
            "u128": value(16, "uint128"), "u64": value(8, "uint64"), "u32": value(4, "uint32"),
            "u256": value(32, "uint256"), "address": value(20, "address"),
            "bag": { "encoding": "inplace", "label": "uint256[2]", "numberOfBytes": "64", "base": "u256" },
            "hero": { "encoding": "inplace", "label": "struct A.Hero", "numberOfBytes": "96", "members": [
                variable("owner", 0, 0, "address"), variable("wins", 0, 20, "u32"),
                variable("losses", 0, 24, "u32"), variable("bag", 1, 0, "bag"),
            ] },
        },
    })
}

fn written(folder: &Path, value: &Value) -> Result<Vec<Compiled>, NamesError> {
    let path = folder.join("names.json");
    fs::write(&path, value.to_string()).expect("writes");
    read(&path, folder)
}

#[test]
fn variables_in_mappings_structures_arrays_and_shared_slots_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let compiled = written(folder.path(), &layout()).expect("a layout").remove(0);
    let account = Address::repeat_byte(7);
    let mut names = Names::default();
    names.add(account, &Arc::new(compiled));
    let mut hashes = Preimages::default();
    let mut hash = |words: &[U256]| {
        let input: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes::<32>()).collect();
        let hash = U256::from_be_bytes(keccak256(&input).0);
        hashes.add(hash, &input);
        hash
    };
    let player = Address::repeat_byte(0xab);
    let outer = hash(&[player.into_word().into(), U256::ZERO]);
    let hero = hash(&[U256::from(5), outer]);
    let times = hash(&[U256::from(1)]);
    let named = |slot: U256| {
        let fields = names.fields(&account, &hashes.path(slot));
        let pairs = fields.into_iter().map(|it| (it.name, it.pattern, it.offset, it.bytes));
        pairs.collect::<Vec<_>>()
    };
    let field = |name: &str, pattern: &str, offset: u32, bytes: u32| {
        (name.to_owned(), pattern.to_owned(), offset, bytes)
    };
    let key = format!("heroes[{player}][5]");
    assert_eq!(
        named(hero),
        [
            field(&format!("{key}.owner"), "heroes[*][*].owner", 0, 20),
            field(&format!("{key}.wins"), "heroes[*][*].wins", 20, 4),
            field(&format!("{key}.losses"), "heroes[*][*].losses", 24, 4),
        ]
    );
    let bag = field(&format!("{key}.bag[1]"), "heroes[*][*].bag[*]", 0, 32);
    assert_eq!(named(hero + U256::from(2)), [bag]);
    assert_eq!(named(times + U256::from(2)), [field("times[8 to 11]", "times[*]", 0, 32)]);
    assert_eq!(named(U256::from(1)), [field("times.length", "times.length", 0, 32)]);
    assert_eq!(named(U256::from(2)), [field("name", "name", 0, 32)]);
    assert_eq!(named(U256::from(3)), [field("a", "a", 0, 16), field("b", "b", 16, 16)]);
    assert_eq!(named(U256::from(6)), [field("first.bag[1]", "first.bag[*]", 0, 32)]);
    assert_eq!(named(U256::from(7)), []);
    // Of two variables in a slot, the one whose bytes change is named.
    let fields = names.fields(&account, &hashes.path(U256::from(3)));
    let (before, after) = (U256::from(9), U256::from(9) | (U256::from(1) << 128));
    let differ: Vec<bool> = fields.iter().map(|field| field.differs(before, after)).collect();
    assert_eq!(differ, [false, true]);
    assert_eq!(names.fields(&Address::ZERO, &hashes.path(U256::from(3))), []);
}

#[test]
fn each_format_of_solc_and_forge_is_read() {
    let standard: Value =
        serde_json::from_str(&fs::read_to_string(compiled()).expect("the file")).expect("JSON");
    let contract = &standard["contracts"]["src/Mint.sol"]["SerialMint"];
    let deployed = &contract["evm"]["deployedBytecode"];
    let code = deployed["object"].as_str().expect("code");
    let combined = json!({ "sourceList": ["src/Mint.sol"], "contracts": { "src/Mint.sol:SerialMint": {
        // Compilers before 0.8.10 write the ABI as text.
        "abi": contract["abi"].to_string(), "storage-layout": contract["storageLayout"],
        "bin-runtime": code, "srcmap-runtime": deployed["sourceMap"],
    } } });
    let forge = json!({ "abi": contract["abi"], "storageLayout": contract["storageLayout"],
        "deployedBytecode": { "object": format!("0x{code}"), "sourceMap": deployed["sourceMap"],
            "immutableReferences": { "9": [{ "start": 2, "length": 3 }] } } });
    let folder = tempfile::tempdir().expect("a folder");
    for file in [&standard, &combined, &forge] {
        let found = written(folder.path(), file).expect("names");
        let is_it = |it: &&Compiled| it.name == "SerialMint" || file == &forge;
        let it = found.iter().find(is_it).expect("the contract");
        let mut bytes = alloy_primitives::hex::decode(code).expect("hex");
        assert!(it.is(&bytes) && it.layout.is_some() && it.source_map.is_some());
        assert!(it.functions.values().any(|name| name == "mint()"), "{:?}", it.functions);
        bytes[3] ^= 1;
        assert_eq!(it.is(&bytes), file == &forge, "an immutable may be anything");
        bytes[9] ^= 1;
        assert!(!it.is(&bytes) && !it.is(&[]));
    }
    let abi = written(folder.path(), &contract["abi"]).expect("an ABI");
    assert!(abi[0].layout.is_none() && abi[0].functions.values().any(|name| name == "nextId()"));
    let nothing = written(folder.path(), &json!({})).expect_err("no names").to_string();
    assert!(nothing.contains("names.json") && nothing.contains("storage layout"), "{nothing}");
    assert!(read(Path::new("no.json"), folder.path()).is_err());
}
