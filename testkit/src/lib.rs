//! What the tool and the tests share: block files, generated workloads, the sequential oracle, comparison of results,
//! hostile blocks and their simulation.
//!
//! The feature `mutants`, which the shipped tool never has, adds what selects seeded bugs: line-ups of executors,
//! schedules that a database forces, and plain revm with a fee and a precompile of its own.

pub mod block;
pub mod block_file;
pub mod compare;
pub mod database;
pub mod errors;
pub mod fork;
pub mod hostile;
#[cfg(feature = "mutants")]
pub mod lineup;
#[cfg(feature = "mutants")]
pub mod own;
#[cfg(feature = "mutants")]
pub mod pace;
#[cfg(feature = "mutants")]
pub mod plain;
pub mod sequential;
pub mod simulation;
pub mod state_root;
pub mod workload;

pub use hostile::{code, faulty, generate, listed, memory, oracle, spoil};
