//! Executes one transaction: the view of the state that it reads, its run in revm, and its outputs.
//!
//! Every read of the EVM goes through [`view`], which records it. [`effects`] turns changes into a
//! write set.

pub(super) mod activity;
pub(super) mod any;
pub(super) mod balances;
pub(super) mod base;
pub(super) mod block_context;
pub(super) mod bundle_shards;
pub(super) mod change;
mod context;
#[cfg(feature = "alloy")]
pub(super) mod custom_evm;
pub(super) mod effects;
pub(super) mod extensions;
mod handler;
pub(super) mod input;
mod journal;
mod keccak;
pub(super) mod location;
pub(super) mod machine;
mod opcodes;
pub(super) mod payees;
pub(super) mod precompile;
pub(super) mod rejection;
#[cfg(test)]
mod second_tests;
pub(super) mod stopped;
pub(super) mod trial;
pub(super) mod tx_output;
pub(super) mod view;
pub(super) mod window;
pub(super) mod work;
