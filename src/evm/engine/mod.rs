//! The EVM layer's implementation of the engine's traits: a block's transactions as a workload,
//! machines for private batches and sequential segments, and the ledger of committed transactions.

pub(super) mod batches;
pub(super) mod carry;
pub(super) mod feed;
pub(super) mod group;
pub(super) mod in_order;
pub(super) mod ledger;
pub(super) mod runner;
mod stream;
pub(super) mod workload;
