//! Blocks to execute, and what their results are compared with: block files with the state before
//! the block, generated workloads, the sequential oracle over revm, the comparison of complete
//! results, state roots, and the measurement of both executions with its JSON records.

pub mod block;
pub mod block_file;
pub mod code;
pub mod compare;
pub mod database;
pub mod errors;
pub mod faulty;
pub mod fork;
pub mod hooked;
pub mod keys;
pub mod memory;
pub mod sequential;
pub mod state_root;
pub mod statistics;
pub mod timing;
pub mod verify;
pub mod workload;
