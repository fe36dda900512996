//! Sequential execution: the oracle for all parallel execution.
//!
//! The oracle is plain revm, driven transaction by transaction by alloy-evm's Ethereum block
//! executor over a [`State`](revm::database::State) that keeps a bundle with reverts, as in today's
//! nodes. `before_requests` covers the end of a block where the executable specification differs.
//! Nothing here calls Braid's execution; only the type of the input is shared.
//!
//! [`execute`] rejects a block with an invalid transaction, [`build`] skips such transactions.
//! [`Prepared`] separates preparing from running. [`Plain`] leaves out the block executor's work
//! between two transactions, for measurements.

mod any;
mod database;
mod error;
mod finish;
mod journal;
mod lists;
mod parts;
mod plain;
mod prepared;
mod spec;
mod traced;

pub use error::{Position, SequentialError, SequentialErrorKind};
pub use finish::{before_requests, request_contracts};
pub use journal::{Journaled, OneJournal};
pub use lists::{AccessLists, Lists};
pub use parts::{Receipts, envelope, increments};
pub use plain::Plain;
pub use prepared::{OwnPrecompile, Prepared};
pub use spec::ForkSpec;
pub use traced::{Trace, Traced, Tracer, trace_all};

use crate::block::Block;
use alloy_consensus::EthereumReceipt;
use alloy_eips::eip7685::Requests;
use revm::{
    DatabaseRef,
    context::result::{ExecutionResult, InvalidTransaction},
    database::BundleState,
};

/// How to treat an invalid transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInvalid {
    /// Reject the block, with the index of the transaction.
    Reject,
    /// Skip the transaction.
    Skip,
}

/// Output of executing a block sequentially.
#[derive(Clone, Debug)]
pub struct SequentialOutput {
    /// Outcome of each transaction, in order.
    pub outcomes: Vec<SequentialOutcome>,
    /// Receipts of the executed transactions, in order.
    pub receipts: Vec<EthereumReceipt>,
    /// EIP-7685 requests; empty before Prague.
    pub requests: Requests,
    /// Gas used by the block.
    pub gas_used: u64,
    /// Blob gas used by the block.
    pub blob_gas_used: u64,
    /// The state changes of the whole block with their reverts.
    pub bundle: BundleState,
    /// Accesses of the block, if requested.
    pub access_list: Option<AccessLists>,
}

/// Outcome of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequentialOutcome {
    /// The transaction was executed. Its logs have been moved to its receipt.
    Executed(ExecutionResult),
    /// The transaction was skipped.
    Skipped(SkipReason),
}

/// Why a transaction cannot be part of the block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// The EVM's own rules forbid it: nonce, funds, fees, form.
    #[error("{0}")]
    Invalid(InvalidTransaction),
    /// The transaction's gas limit exceeds the gas that is left in the block.
    #[error("its gas limit of {limit} is above the {available} that the block has left")]
    BlockGas {
        /// The transaction's gas limit.
        limit: u64,
        /// Gas left in the block.
        available: u64,
    },
}

/// Executes `block` on `db` sequentially; an invalid transaction rejects the block.
///
/// # Errors
/// Returns the first error in block order, with its position.
pub fn execute<D: DatabaseRef>(
    block: &Block,
    db: D,
) -> Result<SequentialOutput, SequentialError<D::Error>> {
    Prepared::new(block).run(db, OnInvalid::Reject)
}

/// Executes `block` on `db` sequentially; invalid transactions are skipped.
///
/// # Errors
/// Returns the first error in block order that is not an invalid transaction.
pub fn build<D: DatabaseRef>(
    block: &Block,
    db: D,
) -> Result<SequentialOutput, SequentialError<D::Error>> {
    Prepared::new(block).run(db, OnInvalid::Skip)
}
