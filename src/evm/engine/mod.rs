//! What the engine asks of Ethereum: the transactions of a block as a workload, machines for
//! private batches and for stretches in order, and the ledger of what is committed.

pub(super) mod batches;
pub(super) mod carry;
pub(super) mod feed;
pub(super) mod group;
pub(super) mod ledger;
pub(super) mod runner;
mod stream;
pub(super) mod workload;
