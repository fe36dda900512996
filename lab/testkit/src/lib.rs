//! Shared code of the tests: hostile blocks and their simulation, plain revm with features of custom
//! chains.
//!
//! The feature `mutants`, which the shipped tool never has, adds the code that uses seeded bugs:
//! line-ups of executors, and schedules that a database forces.

pub mod hostile;
#[cfg(feature = "mutants")]
pub mod lineup;
pub mod own;
#[cfg(feature = "mutants")]
pub mod pace;
pub mod plain;
pub mod simulation;

pub use hostile::{generate, listed, oracle, spoil};
