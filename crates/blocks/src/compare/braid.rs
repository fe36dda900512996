//! Compares Braid's results with the oracle's.

use super::{ComparedOutcome, Differences, Execution, differences};
use crate::sequential::{
    AccessLists, Position, SequentialError, SequentialErrorKind, SequentialOutput, SkipReason,
};
use braid_evm::{BlockError, BlockErrorKind, BlockOutput, BlockPosition, Outcome, Rejection};
use revm::context::result::{ExecutionResult, HaltReason, InvalidTransaction};
use std::fmt::Display;

/// The access list expected in Braid's output.
#[derive(Clone, Copy, Debug)]
pub enum ExpectedList<'a> {
    /// No list: the executor was not configured to return one.
    Absent,
    /// A list that the oracle cannot determine.
    Unknown,
    /// The oracle's list.
    Known(&'a AccessLists),
}

impl ExpectedList<'_> {
    /// Describes how the list of `found` differs.
    #[must_use]
    pub fn difference(self, found: &BlockOutput) -> Option<String> {
        match (self, &found.access_list) {
            (Self::Absent, None) | (Self::Unknown, Some(_)) => None,
            (Self::Known(expected), Some(found)) => expected.difference(found),
            (Self::Absent, Some(_)) => Some("access list: not requested, but present".into()),
            (Self::Unknown | Self::Known(_), None) => Some("access list: missing".into()),
        }
    }
}

/// Lists the differences of Braid's output from the oracle's. Braid's output must have an access list if and only if the oracle's has one.
#[must_use]
pub fn outputs(expected: &SequentialOutput, found: &BlockOutput) -> Differences {
    let list = expected.access_list.as_ref().map_or(ExpectedList::Absent, ExpectedList::Known);
    outputs_with_list(expected, list, found)
}

/// As [`outputs`], with another access list than that of `expected`.
#[must_use]
pub fn outputs_with_list(
    expected: &SequentialOutput,
    list: ExpectedList<'_>,
    found: &BlockOutput,
) -> Differences {
    let results = results(found);
    let mut executed = results.iter().zip(&found.receipts);
    let outcomes = found.outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Executed(_) => executed
            .next()
            .map(|(result, receipt)| ComparedOutcome::Executed { result, logs: &receipt.logs }),
        Outcome::Skipped(rejection) => Some(ComparedOutcome::Skipped(skip_reason(rejection))),
    });
    let execution = Execution {
        outcomes: outcomes.collect(),
        receipts: &found.receipts,
        requests: &found.requests,
        gas_used: found.gas_used,
        blob_gas_used: found.blob_gas_used,
        bundle: &found.bundle,
    };
    let mut out = differences(&Execution::from(expected), &execution);
    if let Some(difference) = list.difference(found) {
        out.add(|| difference);
    }
    out
}

/// Lists the differences of Braid's error from the oracle's: the position, the kind and, if both
/// come from the same source, the reason.
#[must_use]
pub fn errors<E: Display>(expected: &SequentialError<E>, found: &BlockError<E>) -> Differences {
    let mut out = Differences::default();
    let same_place = match (expected.at, found.at) {
        (Position::PreBlock, BlockPosition::PreBlock)
        | (Position::PostBlock, BlockPosition::PostBlock) => true,
        (Position::Transaction(expected), BlockPosition::Transaction(found)) => {
            expected == found.position()
        }
        _ => false,
    };
    let same_kind = match (&expected.kind, &found.kind) {
        (SequentialErrorKind::Base(expected), BlockErrorKind::Base(found)) => {
            expected.to_string() == found.to_string()
        }
        (SequentialErrorKind::Invalid(expected), BlockErrorKind::Invalid(found)) => {
            *expected == skip_reason(found)
        }
        // These errors come from different code on each side, with different messages.
        (
            SequentialErrorKind::Other(_),
            BlockErrorKind::SystemCall(_)
            | BlockErrorKind::Invalid(Rejection::Header(_) | Rejection::Custom(_)),
        ) => true,
        _ => false,
    };
    if !(same_place && same_kind) {
        out.add(|| format!("expected the error \"{expected}\", found \"{found}\""));
    }
    out
}

/// Returns the outcomes of executed transactions in revm's form, without logs.
fn results(output: &BlockOutput) -> Vec<ExecutionResult> {
    let executed = output.outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Executed(executed) => Some(executed.clone()),
        Outcome::Skipped(_) => None,
    });
    let result = |executed: braid_evm::Executed| match executed.into_result(Vec::new()) {
        ExecutionResult::Halt { reason, gas, logs } => {
            ExecutionResult::Halt { reason: without_context(reason), gas, logs }
        }
        result => result,
    };
    executed.map(result).collect()
}

/// Removes revm's description of a precompile's error, which the oracle's table of precompiles
/// drops.
fn without_context(reason: HaltReason) -> HaltReason {
    match reason {
        HaltReason::PrecompileErrorWithContext(_) => HaltReason::PrecompileError,
        other => other,
    }
}

/// Converts a rejection to the oracle's form; reasons that the oracle never returns become text.
fn skip_reason(rejection: &Rejection) -> SkipReason {
    match rejection {
        Rejection::Invalid(invalid) => SkipReason::Invalid(invalid.clone()),
        Rejection::BlockGas { limit, available } => {
            SkipReason::BlockGas { limit: *limit, available: *available }
        }
        other => SkipReason::Invalid(InvalidTransaction::Str(other.to_string().into())),
    }
}
