//! The corpus of the seven families reaches every strategy and every change between strategies, and
//! that of the targets above the executor reaches what they are about. The test is alone in its
//! program, because the counts are per process.

use braid_fuzz::targets::{
    ALLOY, BUNDLE, CHAIN, DECLARED, FEES, FORKS, GENESIS, JOURNALS, JSON_RPC, LISTS, POOL, RLP,
    STRATEGIES, Target, reached,
};
use std::path::Path;

/// Counts that some input must reach.
const WANTED: [&str; 78] = [
    "Forced(Alternate), a run is aborted",
    "Forced(Alternate), speculation is committed",
    "Forced(Alternate), speculation is given up",
    "Auto, a run is aborted",
    "Auto, sequential on one thread",
    "Auto, contiguous batches",
    "Auto, batches, then speculation",
    "Auto, speculation is committed",
    "Auto, speculation is given up",
    "Auto, waste is predicted",
    "Auto, a long transaction begins first",
    "Forced(Speculative), a job is taken back",
    "Forced(Speculative), a read meets an estimate",
    "Forced(Speculative), a run is aborted",
    "Forced(Speculative), speculation is committed",
    "Sequential, sequential on one thread",
    "Forced(AccessList), contiguous batches",
    "Forced(ContiguousBatches), contiguous batches",
    "declared, all of it",
    "declared, and kept to",
    "declared, less than that",
    "ending, complete",
    "ending, list",
    "ending, invalid",
    "ending, unreadable",
    "engine, Fibers",
    "engine, Store",
    "engine, Threads",
    "entry, borrowed database",
    "entry, on a parent's bundle",
    "entry, pool",
    "entry, stream",
    "fork, AMSTERDAM",
    "fork, BERLIN",
    "fork, BYZANTIUM",
    "fork, CANCUN",
    "fork, FRONTIER",
    "fork, HOMESTEAD",
    "fork, ISTANBUL",
    "fork, LONDON",
    "fork, MERGE",
    "fork, OSAKA",
    "fork, PETERSBURG",
    "fork, PRAGUE",
    "fork, SHANGHAI",
    "fork, SPURIOUS_DRAGON",
    "fork, TANGERINE",
    "list, right",
    "list, wrong",
    "mode, Build",
    "mode, Validate",
    "precompile",
    "shape, chain",
    "shape, repeated",
    "shape, small",
    "shape, spread",
    "surcharge",
    "workers, 1",
    "workers, 2",
    "workers, 3",
    "workers, 4",
    "workers, 5",
    "workers, 7",
    "workers, 8",
    "alloy, all blocks",
    "alloy, an invalid block",
    "alloy, handles",
    "alloy, served",
    "chain, a kill",
    "chain, Prune",
    "chain, Unwind",
    "chain, Wrong",
    "genesis, accepted",
    "json_rpc, a block",
    "pool, a block",
    "rlp, a block",
    "rlp, a transaction",
    "rlp, an access list",
];

const TARGETS: [Target; 13] = [
    STRATEGIES, FEES, FORKS, JOURNALS, BUNDLE, LISTS, DECLARED, ALLOY, RLP, GENESIS, POOL, CHAIN,
    JSON_RPC,
];

#[test]
fn every_strategy_and_transition_is_reached() {
    for target in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        for entry in std::fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            let bytes = std::fs::read(&path).expect("the file can be read");
            let checked = target.check_chosen(&bytes);
            checked.unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
        }
    }
    let reached = reached();
    println!("{reached}");
    let missed: Vec<_> = WANTED.into_iter().filter(|what| reached.count(what) == 0).collect();
    assert!(missed.is_empty(), "not reached: {missed:#?}");
}
