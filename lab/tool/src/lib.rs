//! The commands of the `braid-lab` tool, with which the project tests itself: official test suites,
//! stateless transitions like geth's `evm t8n`, simulated workers, and simulated shards.
//!
//! The crate is not published, and may change at any time.

pub mod bench;
pub mod commands;
pub mod suite;
pub mod t8n;
