//! Sequential execution: the oracle that everything parallel is compared with.
//!
//! Plain revm, driven transaction by transaction by alloy-evm's Ethereum block executor over a
//! [`State`](revm::database::State) that keeps a bundle with reverts, as a node does it today.
//! `before_requests` has what the executable specification does otherwise at the end of a block.
//! Nothing here calls Braid's execution; only the type of the input is shared.
//!
//! [`execute`] rejects a block with an invalid transaction, [`build`] leaves such transactions
//! out. [`Prepared`] separates taking in from running; [`Plain`] leaves out what the block executor
//! does between two transactions, for measurements.

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
pub use lists::AccessLists;
pub(crate) use lists::Lists;
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

/// What to do with an invalid transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInvalid {
    /// The block is invalid: stop and say which transaction it was.
    Reject,
    /// Leave the transaction out and go on.
    Skip,
}

/// Everything that executing a block sequentially gives.
#[derive(Clone, Debug)]
pub struct SequentialOutput {
    /// What each transaction left, in order.
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
    /// What the block accesses, if that was asked for.
    pub access_list: Option<AccessLists>,
}

/// What one transaction left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequentialOutcome {
    /// It was executed. The logs have been moved to its receipt.
    Executed(ExecutionResult),
    /// It was left out.
    Skipped(SkipReason),
}

/// Why a transaction cannot be part of the block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// The EVM's own rules forbid it: nonce, funds, fees, form.
    #[error("{0}")]
    Invalid(InvalidTransaction),
    /// The gas that is left in the block is less than the transaction may use.
    #[error("its gas limit of {limit} is above the {available} that the block has left")]
    BlockGas {
        /// The transaction's gas limit.
        limit: u64,
        /// Gas left in the block.
        available: u64,
    },
}

/// Executes `block` on `db`, one transaction after the other; an invalid one rejects the block.
///
/// # Errors
/// The first error in block order, with the place where it happened.
pub fn execute<D: DatabaseRef>(
    block: &Block,
    db: D,
) -> Result<SequentialOutput, SequentialError<D::Error>> {
    Prepared::new(block).run(db, OnInvalid::Reject)
}

/// Executes `block` on `db`, one transaction after the other; invalid ones are left out.
///
/// # Errors
/// The first error in block order that is no invalid transaction.
pub fn build<D: DatabaseRef>(
    block: &Block,
    db: D,
) -> Result<SequentialOutput, SequentialError<D::Error>> {
    Prepared::new(block).run(db, OnInvalid::Skip)
}
