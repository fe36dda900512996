//! Blocks for tests: hand-made and random ones, and their comparison with sequential execution.
//!
//! The bodies of the fuzz targets are plain functions here ([`targets`]), so `cargo test` replays
//! what fuzzing has found.

pub mod code;
pub mod generate;
pub mod lineup;
pub mod memory;
pub mod oracle;
pub mod pace;
pub mod targets;
