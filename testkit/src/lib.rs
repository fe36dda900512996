//! What tests share: line-ups of executors, schedules that a database forces, and plain revm with a fee and a
//! precompile of its own. Each compares Braid with sequential execution on threads.

pub mod lineup;
pub mod own;
pub mod pace;
pub mod plain;

pub use braid_cli::hostile::{code, faulty, generate, memory, oracle};
