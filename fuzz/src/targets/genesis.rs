//! Genesis files, from reading to a chain that begins with them: arbitrary bytes, and valid files
//! with changed fields.
//!
//! A file that is accepted must survive the store and an export: both give the same genesis again,
//! with the same first block.

use super::reached;
use super::spoilt::Good;
use alloy_genesis::Genesis;
use arbitrary::Unstructured;
use braid_chain::{Head, MemoryStore, StateRoots, create, export, genesis, open, verify};
use braid_node::testing::genesis as read;
use braid_node::{Node, NodeConfig, NodeError};
use braid_testkit::hostile::files::edges;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::num::NonZeroU16;
use std::sync::LazyLock;

static GOOD: LazyLock<[Good; 2]> = LazyLock::new(|| [old(), new()].map(Good::new));

static EDGES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut edges = edges();
    edges.extend([
        json!(u64::MAX - 1),
        json!("0xfffffffffffffffe"),
        json!("7"),
        json!("0x400000000000000000"),
    ]);
    edges
});

pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(()) };
    let text = match kind % 4 {
        0 => rest.to_vec(),
        kind => {
            let good = &GOOD[usize::from(kind) % GOOD.len()];
            good.spoilt(&EDGES, &mut Unstructured::new(rest)).to_string().into_bytes()
        }
    };
    let Ok(read) = read(&text) else { return Ok(()) };
    reached::note("genesis, accepted");
    begin(&read)
}

/// Begins a chain with the genesis, and compares what the store and an export give.
fn begin(given: &Genesis) -> Result<(), String> {
    let header = genesis::header(given);
    let head = Head { number: header.number, hash: header.hash_slow() };
    let mut batch = genesis::batch(given, head);
    batch.state_root = Some(header.state_root);
    let encoded = genesis::encode(given).map_err(|error| format!("not encoded: {error}"))?;
    let store = MemoryStore::new();
    let created = create(&store, &encoded, &batch, StateRoots::Computed);
    created.map_err(|error| format!("not created: {error}"))?;
    let reader = open(&store).map_err(|error| format!("not opened: {error}"))?;
    verify(&reader).map_err(|error| format!("not verified: {error}"))?;
    same("head", reader.head(), head)?;
    let stored = reader.genesis().and_then(|bytes| genesis::decode(&bytes));
    let stored = stored.map_err(|error| format!("not decoded: {error}"))?;
    let without_accounts = |it: &Genesis| Genesis { alloc: Default::default(), ..it.clone() };
    same("stored genesis", &stored, &without_accounts(given))?;

    let mut file = Vec::new();
    export(&reader, &mut file, |_| ()).map_err(|error| format!("not exported: {error}"))?;
    let again = read(&file).map_err(|error| format!("the exported file is not read: {error}"))?;
    same("exported genesis", &without_accounts(&again), &without_accounts(given))?;
    same("first block of the export", genesis::header(&again).hash_slow(), head.hash)?;
    // Except for the root, which only the header states.
    let accounts = genesis::batch(&again, head);
    same("exported accounts", &accounts, &genesis::batch(given, head))?;
    serve(store)
}

/// Opens a node, which computes the environment of the next block.
fn serve(store: MemoryStore) -> Result<(), String> {
    let mut config = NodeConfig::default();
    config.chain.executor = braid_evm::Config::with_workers(NonZeroU16::MIN);
    match Node::open(store, config) {
        Ok(_) | Err(NodeError::Amsterdam) => Ok(()),
        Err(error) => Err(format!("not served: {error}")),
    }
}

fn same<T: PartialEq + Debug>(what: &str, found: T, right: T) -> Result<(), String> {
    if found == right { Ok(()) } else { Err(format!("{what}: {found:?} instead of {right:?}")) }
}

/// Returns a genesis before the merge, with decimal numbers.
fn old() -> Value {
    json!({
        "config": {
            "chainId": 7, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
            "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
            "berlinBlock": 0, "londonBlock": 3, "daoForkBlock": 2, "daoForkSupport": true,
            "clique": {"period": 5, "epoch": 30_000}, "zeroBaseFee": false,
        },
        "nonce": "0x42", "timestamp": "0x0", "gasLimit": "0x1c9c380", "difficulty": "0x20000",
        "mixHash": format!("0x{}", "00".repeat(32)), "coinbase": format!("0x{}", "11".repeat(20)),
        "extraData": "0x1234", "number": "0x0", "parentHash": format!("0x{}", "22".repeat(32)),
        "alloc": {"00000000000000000000000000000000000000aa": {"balance": "1000"}},
    })
}

/// Returns a genesis of Osaka, with code, storage and limits of blobs.
fn new() -> Value {
    let slots = json!({
        format!("0x{}", "00".repeat(32)): format!("0x{}", "01".repeat(32)),
        format!("0x{}", "33".repeat(32)): format!("0x{}", "00".repeat(32)),
    });
    json!({
        "config": {
            "chainId": 7, "mergeNetsplitBlock": 0, "shanghaiTime": 0, "cancunTime": 0,
            "pragueTime": 0, "osakaTime": 0, "bpo1Time": 0, "terminalTotalDifficulty": 0,
            "terminalTotalDifficultyPassed": true, "declaredAccesses": false, "fixedBaseFee": true,
            "depositContractAddress": format!("0x{}", "44".repeat(20)),
            "blobSchedule": {
                "cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477},
                "osaka": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716},
                "bpo1": {"target": 10, "max": 15, "baseFeeUpdateFraction": 8_346_193},
            },
        },
        "timestamp": "0x5", "gasLimit": "0x1c9c380", "difficulty": "0x0",
        "baseFeePerGas": "0x7", "blobGasUsed": "0x0", "excessBlobGas": "0x20000",
        "alloc": {
            format!("0x{}", "aa".repeat(20)): {"balance": "0x1", "nonce": "0x2"},
            format!("0x{}", "bb".repeat(20)): {
                "balance": "0x0", "code": "0x6001600055", "storage": slots,
            },
            format!("0x{}", "cc".repeat(20)): {"balance": "0x0"},
        },
    })
}
