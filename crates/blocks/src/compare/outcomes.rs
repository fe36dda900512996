//! Compares outcomes and receipts.

use super::{ComparedOutcome, Differences, Execution};
use alloy_consensus::EthereumReceipt;
use alloy_primitives::Log;
use revm::context::result::{ExecutionResult, HaltReason, Output, SuccessReason};

pub(super) fn compare(out: &mut Differences, expected: &Execution<'_>, found: &Execution<'_>) {
    let lengths = (expected.outcomes.len(), found.outcomes.len());
    out.field("the block", "number of outcomes", &lengths.0, &lengths.1);
    for (index, pair) in expected.outcomes.iter().zip(&found.outcomes).enumerate() {
        outcome(out, &format!("transaction {index}"), pair.0, pair.1);
    }
    let lengths = (expected.receipts.len(), found.receipts.len());
    out.field("the block", "number of receipts", &lengths.0, &lengths.1);
    for (index, pair) in expected.receipts.iter().zip(found.receipts).enumerate() {
        receipt(out, &format!("receipt {index}"), pair.0, pair.1);
    }
}

fn outcome(
    out: &mut Differences,
    place: &str,
    expected: &ComparedOutcome<'_>,
    found: &ComparedOutcome<'_>,
) {
    use ComparedOutcome::{Executed, Skipped};
    match (expected, found) {
        (
            Executed { result: expected, logs: expected_logs },
            Executed { result: found, logs: found_logs },
        ) => {
            out.field(place, "status", &Status::of(expected), &Status::of(found));
            out.field(place, "gas", expected.gas(), found.gas());
            out.field(place, "output", &expected.output(), &found.output());
            out.field(place, "created address", &created(expected), &created(found));
            logs(out, place, expected_logs, found_logs);
        }
        (Skipped(expected), Skipped(found)) => {
            out.field(place, "reason for the skip", expected, found);
        }
        (Executed { .. }, Skipped(reason)) => {
            out.add(|| format!("{place}: expected to be executed, found skipped: {reason}"));
        }
        (Skipped(reason), Executed { .. }) => {
            out.add(|| format!("{place}: expected to be skipped ({reason}), found executed"));
        }
    }
}

/// How an execution ended.
#[derive(Debug, PartialEq)]
enum Status {
    Success(SuccessReason),
    Revert,
    Halt(HaltReason),
}

impl Status {
    fn of(result: &ExecutionResult) -> Self {
        match result {
            ExecutionResult::Success { reason, .. } => Self::Success(*reason),
            ExecutionResult::Revert { .. } => Self::Revert,
            ExecutionResult::Halt { reason, .. } => Self::Halt(reason.clone()),
        }
    }
}

/// Returns `Some` for a creation, with the address of the contract, if it has one.
fn created(result: &ExecutionResult) -> Option<Option<alloy_primitives::Address>> {
    match result {
        ExecutionResult::Success { output: Output::Create(_, address), .. } => Some(*address),
        _ => None,
    }
}

fn receipt(
    out: &mut Differences,
    place: &str,
    expected: &EthereumReceipt,
    found: &EthereumReceipt,
) {
    out.field(place, "type", &expected.tx_type, &found.tx_type);
    out.field(place, "success", &expected.success, &found.success);
    let gas = (expected.cumulative_gas_used, found.cumulative_gas_used);
    out.field(place, "cumulative gas used", &gas.0, &gas.1);
    logs(out, place, &expected.logs, &found.logs);
}

fn logs(out: &mut Differences, place: &str, expected: &[Log], found: &[Log]) {
    out.field(place, "number of logs", &expected.len(), &found.len());
    for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
        out.field(place, &format!("log {index}"), expected, found);
    }
}
