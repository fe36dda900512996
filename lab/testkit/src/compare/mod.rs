//! Comparing two executions of one block in full.
//!
//! Equal means: the same outcome of each transaction (status, reason, every part of the gas, output
//! and logs), the same receipts and requests, the same gas, and the same bundle. A bundle is
//! compared on a sorted encoding, since its maps hash at random and its reverts have no order:
//! accounts with present and original information, status, slots with original and present value,
//! contracts, the reverts of each block with previous status, slots and wiping, and both sizes.
//!
//! One thing is left out: whether an account in the bundle carries its code along. That is a cache
//! of what its hash says; where both sides carry it, the bytes must agree.

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
    /// What each transaction left, in order.
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

/// What a transaction left, as it is compared.
#[derive(Clone, Debug)]
pub enum ComparedOutcome<'a> {
    /// It was executed.
    Executed {
        /// Its result; the logs in it are not looked at.
        result: &'a ExecutionResult,
        /// Its logs.
        logs: &'a [Log],
    },
    /// It was left out of the block.
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

/// Lists in what `found` differs from `expected`; at most `limit` differences are described, all
/// are counted.
#[must_use]
pub fn differences(expected: &Execution<'_>, found: &Execution<'_>, limit: usize) -> Differences {
    let mut out = Differences::new(limit);
    outcomes::compare(&mut out, expected, found);
    out.field("the block", "gas used", &expected.gas_used, &found.gas_used);
    out.field("the block", "blob gas used", &expected.blob_gas_used, &found.blob_gas_used);
    out.field("the block", "requests", expected.requests, found.requests);
    bundle::compare(&mut out, expected.bundle, found.bundle);
    out
}

#[cfg(test)]
mod tests;
