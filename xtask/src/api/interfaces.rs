//! The published libraries, each with the crates whose types it may show.

/// A library that users depend on.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) package: &'static str,
    /// Features that add items to the interface.
    pub(super) features: &'static str,
    /// Path of the committed list.
    pub(super) list: &'static str,
    /// Minimum number of items; fewer mean that rustdoc's format has changed.
    pub(super) fewest: usize,
    /// Crates that define the types and traits which the interface may show. Exposing those of revm
    /// and alloy is the purpose of the library; a new major version of one of them requires a new
    /// major version of ours.
    pub(super) public: &'static [&'static str],
    /// Source folders whose hidden modules belong to a tool in the same package.
    pub(super) tool: &'static [&'static str],
}

pub(super) const ALL: [Interface; 3] = [EVM, CHAIN, NODE];

const EVM: Interface = Interface {
    package: "braid-evm",
    features: "alloy,serde,tokio",
    list: "docs/API.txt",
    fewest: 100,
    public: &[
        "alloc",
        "alloy_consensus",
        "alloy_eip7928",
        "alloy_eips",
        "alloy_evm",
        "alloy_primitives",
        "core",
        // The channel that `worker::Context` waits on, in the engine rather than the Ethereum
        // layer.
        "crossbeam_channel",
        "revm_bytecode",
        "revm_context",
        "revm_context_interface",
        "revm_database",
        "revm_database_interface",
        // Context of an inspector: `ReplayContext` and the interpreter.
        "revm_handler",
        "revm_inspector",
        "revm_interpreter",
        // What a precompile returns.
        "revm_precompile",
        "revm_primitives",
        "revm_state",
        // For the feature `serde`.
        "serde_core",
        "std",
    ],
    tool: &[],
};

const CHAIN: Interface = Interface {
    package: "braid-chain",
    features: "",
    list: "crates/chain/API.txt",
    fewest: 100,
    public: &[
        "alloc",
        "alloy_consensus",
        "alloy_eips",
        "alloy_genesis",
        "alloy_primitives",
        "alloy_rlp",
        "braid_evm",
        "core",
        "revm_bytecode",
        "revm_context",
        "revm_context_interface",
        "revm_database",
        "revm_database_interface",
        "revm_primitives",
        "revm_state",
        "std",
    ],
    tool: &[],
};

const NODE: Interface = Interface {
    package: "braid-node",
    features: "",
    list: "crates/node/API.txt",
    fewest: 20,
    public: &[
        "alloc",
        "braid_chain",
        "braid_evm",
        "core",
        // The channel that stops `Node::run`.
        "crossbeam_channel",
        "std",
    ],
    tool: &["chain_input", "commands", "metrics", "top"],
};
