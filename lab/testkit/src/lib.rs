//! Shared code of the tool and the tests: block files, generated workloads, the sequential oracle,
//! comparison of results, hostile blocks and their simulation.
//!
//! The feature `mutants`, which the shipped tool never has, adds the code that uses seeded bugs:
//! line-ups of executors, and schedules that a database forces.

pub mod block;
pub mod block_file;
pub mod compare;
pub mod database;
pub mod errors;
pub mod fork;
pub mod hooked;
pub mod hostile;
#[cfg(feature = "mutants")]
pub mod lineup;
pub mod own;
#[cfg(feature = "mutants")]
pub mod pace;
pub mod plain;
pub mod sequential;
pub mod simulation;
pub mod state_root;
pub mod statistics;
pub mod workload;

pub use hostile::{code, faulty, generate, listed, memory, oracle, spoil};
