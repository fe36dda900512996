//! The published libraries, and whose types they show.

/// A library that users depend on.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) package: &'static str,
    /// Features that add to the interface.
    pub(super) features: &'static str,
    /// The file of the list.
    pub(super) list: &'static str,
    /// A list with fewer items means that rustdoc's format has changed.
    pub(super) fewest: usize,
    /// Crates whose types and traits the interface may show, by where those are defined. Those of revm and alloy are
    /// its purpose; a new major version of one is a new major version of ours.
    pub(super) public: &'static [&'static str],
    /// Folders of its source with hidden modules: a tool that is built from the same package.
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
        // The channel that `worker::Context` waits on; of the engine, not of the Ethereum layer.
        "crossbeam_channel",
        "revm_bytecode",
        "revm_context",
        "revm_context_interface",
        "revm_database",
        "revm_database_interface",
        // What an inspector runs in: `ReplayContext`, and the interpreter.
        "revm_handler",
        "revm_inspector",
        "revm_interpreter",
        "revm_primitives",
        "revm_state",
        // The feature `serde`.
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
        // What `Node::run` is stopped by.
        "crossbeam_channel",
        "std",
    ],
    tool: &["chain_input", "commands", "metrics", "top"],
};
