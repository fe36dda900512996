//! Fuzz targets, and what compares Braid with sequential execution on threads.
//!
//! The bodies of the fuzz targets are plain functions here ([`targets`]), so the tests of this package replay
//! what fuzzing has found.

pub mod spec;
pub mod targets;

pub use braid_testkit::{
    code, faulty, generate, hooked, hostile, lineup, listed, memory, oracle, own, pace, plain,
    spoil,
};
