//! Block files, the sequential oracle, comparison of results, and the commands of the `braid` tool.

pub mod bench;
pub mod block;
pub mod block_file;
pub mod chain_input;
pub mod checks;
pub mod commands;
pub mod compare;
pub mod fetch;
pub mod fork;
pub mod hostile;
pub mod profile;
pub mod sequential;
pub mod simulation;
pub mod state_root;
pub mod suite;
pub mod t8n;
pub mod workload;
