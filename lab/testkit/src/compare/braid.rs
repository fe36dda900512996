//! Comparing what Braid gave with what the oracle gave.

use super::{ComparedOutcome, Differences, Execution, differences};
use crate::sequential::{
    AccessLists, Position, SequentialError, SequentialErrorKind, SequentialOutput, SkipReason,
};
use braid_evm::{At, BlockError, BlockErrorKind, BlockOutput, Outcome, Rejection};
use revm::context::result::{ExecutionResult, HaltReason, InvalidTransaction};
use std::fmt::Display;

/// The access list that Braid's output must have.
#[derive(Clone, Copy, Debug)]
pub enum ExpectedList<'a> {
    /// None: the executor was not asked for one.
    Absent,
    /// One that the oracle cannot tell.
    Unknown,
    /// The one that the oracle has made.
    Known(&'a AccessLists),
}

impl ExpectedList<'_> {
    /// In what the list of `found` differs from it, in words.
    #[must_use]
    pub fn difference(self, found: &BlockOutput) -> Option<String> {
        match (self, &found.access_list) {
            (Self::Absent, None) | (Self::Unknown, Some(_)) => None,
            (Self::Known(expected), Some(found)) => expected.difference(found),
            (Self::Absent, Some(_)) => Some("access list: it was not asked for".into()),
            (Self::Unknown | Self::Known(_), None) => Some("access list: it is missing".into()),
        }
    }
}

/// Lists in what Braid's output differs from the oracle's; at most `limit` differences are
/// described. Braid's has an access list if, and only if, the oracle's has one.
#[must_use]
pub fn outputs(expected: &SequentialOutput, found: &BlockOutput, limit: usize) -> Differences {
    let list = expected.access_list.as_ref().map_or(ExpectedList::Absent, ExpectedList::Known);
    outputs_with_list(expected, list, found, limit)
}

/// As [`outputs`], with another access list than that of `expected`.
#[must_use]
pub fn outputs_with_list(
    expected: &SequentialOutput,
    list: ExpectedList<'_>,
    found: &BlockOutput,
    limit: usize,
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
    let mut out = differences(&Execution::from(expected), &execution, limit);
    if let Some(difference) = list.difference(found) {
        out.add(|| difference);
    }
    out
}

/// Lists in what Braid's error differs from the oracle's: the place, the kind and, where both
/// have the same source, the reason.
#[must_use]
pub fn errors<E: Display>(expected: &SequentialError<E>, found: &BlockError<E>) -> Differences {
    let mut out = Differences::new(1);
    let same_place = match (expected.at, found.at) {
        (Position::PreBlock, At::PreBlock) | (Position::PostBlock, At::PostBlock) => true,
        (Position::Transaction(expected), At::Transaction(found)) => expected == found.position(),
        _ => false,
    };
    let same_kind = match (&expected.kind, &found.kind) {
        (SequentialErrorKind::Base(expected), BlockErrorKind::Base(found)) => {
            expected.to_string() == found.to_string()
        }
        (SequentialErrorKind::Invalid(expected), BlockErrorKind::Invalid(found)) => {
            *expected == skip_reason(found)
        }
        // These come from different code on both sides, in words of its own.
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

/// The outcomes of executed transactions as revm writes them, without logs.
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

/// revm says in words what a precompile found wrong; the oracle's table of precompiles drops the
/// words.
fn without_context(reason: HaltReason) -> HaltReason {
    match reason {
        HaltReason::PrecompileErrorWithContext(_) => HaltReason::PrecompileError,
        other => other,
    }
}

/// A rejection as the oracle writes it; what the oracle never says becomes text.
fn skip_reason(rejection: &Rejection) -> SkipReason {
    match rejection {
        Rejection::Invalid(invalid) => SkipReason::Invalid(invalid.clone()),
        Rejection::BlockGas { limit, available } => {
            SkipReason::BlockGas { limit: *limit, available: *available }
        }
        other => SkipReason::Invalid(InvalidTransaction::Str(other.to_string().into())),
    }
}
