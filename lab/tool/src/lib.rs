//! The commands of the `braid-lab` tool, with which the project tests itself: official test suites, stateless
//! transitions in the manner of geth's `evm t8n`, simulated workers, simulated shards, and measurements.
//!
//! It is not published, and may change at any time.

pub mod bench;
pub mod commands;
pub mod suite;
pub mod t8n;
