//! Known cycles of imports.

/// Files that import each other in a cycle, and why. None of them is in a room of `evm`.
pub(crate) const CIRCLES: [(&str, &[&str], &str); 19] = [
    (
        "src",
        &["worker/coordinator.rs", "worker/shared.rs"],
        "what workers share holds the coordinator, who works on what they share",
    ),
    (
        "crates/chain/src",
        &["pipeline/model.rs", "pipeline/properties.rs"],
        "a model and its properties",
    ),
    (
        "crates/chain/src",
        &["trie/mod.rs", "trie/update.rs"],
        "what a trie is defined with is what an update takes",
    ),
    (
        "lab/tool/src",
        &["bench/sustain/figures.rs", "bench/sustain/mod.rs", "bench/sustain/supply.rs"],
        "the options of the load are defined beside what drives it",
    ),
    (
        "crates/cli/src",
        &["commands/human.rs", "commands/json.rs", "commands/run.rs"],
        "options are defined beside the first command that took them",
    ),
    (
        "lab/tool/src",
        &["commands/suites/amplify.rs", "commands/suites/statetest.rs"],
        "a case is read by one and run by the other",
    ),
    (
        "crates/cli/src",
        &["fetch/mod.rs", "fetch/prestate.rs", "fetch/state.rs"],
        "a client is defined beside what it fetches",
    ),
    (
        "lab/tool/src",
        &["suite/block_test/import.rs", "suite/block_test/mod.rs"],
        "a test is defined beside what imports its blocks",
    ),
    (
        "crates/node/src",
        &["call.rs", "error/mod.rs", "overrides.rs", "words/mod.rs"],
        "an error is put into words out of the call that failed",
    ),
    (
        "crates/node/src",
        &["entries.rs", "server/mod.rs", "socket.rs"],
        "the service that answers a request's calls is defined beside what builds it",
    ),
    (
        "crates/node/src",
        &["feed.rs", "filters.rs", "logs.rs", "params.rs", "shared/mod.rs"],
        "filters and subscriptions are in the state that the server shares, which they read",
    ),
    (
        "crates/node/src",
        &["methods/debug/mod.rs", "methods/debug/trace.rs"],
        "a tracer is defined beside the methods that name it",
    ),
    (
        "crates/node/src",
        &["methods/simulate/block.rs", "methods/simulate/mod.rs", "methods/simulate/plan.rs"],
        "a simulated block is defined beside the calls that it executes",
    ),
    (
        "models/src",
        &["model.rs", "properties.rs"],
        "a model is made with its properties, which are those of its states",
    ),
    (
        "models/src",
        &["private_suites.rs", "suites.rs"],
        "suites share the small blocks that they are made of",
    ),
    (
        "crates/blocks/src",
        &[
            "block_file/diagnose.rs",
            "block_file/error.rs",
            "block_file/read.rs",
            "state_root/witness.rs",
        ],
        "an error of a file names what was being read",
    ),
    (
        "lab/testkit/src",
        &["hostile/generate/cast.rs", "hostile/generate/mod.rs", "hostile/generate/program.rs"],
        "who takes part is drawn with what they do",
    ),
    (
        "crates/blocks/src",
        &["workload/mod.rs", "workload/wallet.rs", "workload/world.rs"],
        "a workload is defined beside the world that it needs",
    ),
    (
        "lab/testkit/toy/src",
        &["store/mod.rs", "store/world.rs"],
        "scripts are defined beside what plays them",
    ),
];
