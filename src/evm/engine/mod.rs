//! The EVM layer's implementation of the engine's traits: a block's transactions as a workload,
//! machines for private batches, and the ledger of committed transactions. Sequential segments run
//! beside the engine, on parts of it.

pub(super) mod batches;
pub(super) mod feed;
pub(super) mod group;
pub(super) mod ledger;
pub(super) mod pending_writes;
pub(super) mod runner;
pub(super) mod sequential;
mod stream;
pub(super) mod workload;
