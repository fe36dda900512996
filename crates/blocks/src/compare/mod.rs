//! Compares two executions of one block in full.
//!
//! Executions are equal if they have the same outcome of each transaction (status, reason, every
//! part of the gas, output and logs), the same receipts and requests, the same gas, and the same
//! bundle. Bundles are compared in a sorted form, because their maps have a random order and their
//! reverts have none: accounts with present and original information, status, slots with original
//! and present value, contracts, the reverts of each block with previous status, slots and wiping,
//! and both sizes.
//!
//! One field is not compared: whether an account in the bundle carries its code, which is a cache
//! of the code with its hash. If both sides carry it, the bytes must agree.

pub mod braid;
mod bundle;
mod differences;
mod outcomes;

pub use differences::Differences;

use crate::sequential::{SequentialOutcome, SequentialOutput, SkipReason};
use alloy_consensus::EthereumReceipt;
use alloy_eips::eip7685::Requests;
use alloy_primitives::Log;
use revm::{context::result::ExecutionResult, database::BundleState};

/// One execution of a block, as it is compared.
#[derive(Clone, Debug)]
pub struct Execution<'a> {
    /// Outcome of each transaction, in order.
    pub outcomes: Vec<ComparedOutcome<'a>>,
    /// Receipts of the executed transactions, in order.
    pub receipts: &'a [EthereumReceipt],
    /// EIP-7685 requests.
    pub requests: &'a Requests,
    /// Gas used by the block.
    pub gas_used: u64,
    /// Blob gas used by the block.
    pub blob_gas_used: u64,
    /// State changes with their reverts.
    pub bundle: &'a BundleState,
}

/// Outcome of a transaction, as it is compared.
#[derive(Clone, Debug)]
pub enum ComparedOutcome<'a> {
    /// The transaction was executed.
    Executed {
        /// Its result; the logs in it are ignored.
        result: &'a ExecutionResult,
        /// Its logs.
        logs: &'a [Log],
    },
    /// The transaction was skipped.
    Skipped(SkipReason),
}

impl<'a> From<&'a SequentialOutput> for Execution<'a> {
    fn from(output: &'a SequentialOutput) -> Self {
        let mut receipts = output.receipts.iter();
        let outcomes = output.outcomes.iter().map(|outcome| match outcome {
            SequentialOutcome::Executed(result) => {
                let logs = receipts.next().map_or(&[][..], |receipt| &receipt.logs);
                ComparedOutcome::Executed { result, logs }
            }
            SequentialOutcome::Skipped(reason) => ComparedOutcome::Skipped(reason.clone()),
        });
        Self {
            outcomes: outcomes.collect(),
            receipts: &output.receipts,
            requests: &output.requests,
            gas_used: output.gas_used,
            blob_gas_used: output.blob_gas_used,
            bundle: &output.bundle,
        }
    }
}

/// Lists the differences of `found` from `expected`.
#[must_use]
pub fn differences(expected: &Execution<'_>, found: &Execution<'_>) -> Differences {
    let mut out = Differences::default();
    outcomes::compare(&mut out, expected, found);
    out.field("the block", "gas used", &expected.gas_used, &found.gas_used);
    out.field("the block", "blob gas used", &expected.blob_gas_used, &found.blob_gas_used);
    out.field("the block", "requests", expected.requests, found.requests);
    bundle::compare(&mut out, expected.bundle, found.bundle);
    out
}

#[cfg(test)]
mod tests;
