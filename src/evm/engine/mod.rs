//! Implements the engine's traits for Ethereum: a block's transactions as a workload, machines for
//! private batches, and the ledger of committed transactions. Sequential segments use some of these
//! parts without the engine.

pub(super) mod batches;
pub(super) mod feed;
pub(super) mod group;
pub(super) mod ledger;
pub(super) mod pending_writes;
pub(super) mod runner;
pub(super) mod sequential;
mod stream;
pub(super) mod workload;
