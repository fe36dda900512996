//! Fuzz targets, and what compares Braid with sequential execution on threads.
//!
//! The bodies of the fuzz targets are plain functions here ([`targets`]), so `cargo test` replays
//! what fuzzing has found.

pub mod lineup;
pub mod own;
pub mod pace;
pub mod plain;
pub mod spec;
pub mod targets;

pub use braid_cli::hostile::{code, faulty, generate, memory, oracle};
