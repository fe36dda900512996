//! Executing a block both ways and comparing everything, as `braid run` does.

use crate::{
    failure::Failure,
    input::{Input, which},
    state::Subject,
};
use braid_blocks::{
    block_file::BlockFile,
    sequential::SequentialErrorKind,
    state_root::Witness,
    timing::Timing,
    verify::{self, BlockRecord, BlockReport, Setting, Verdict},
};
use braid_evm::Executor;
use pyo3::pybacked::PyBackedBytes;
use serde_json::{Value, json};

/// How a block is verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) timing: Timing,
    /// Whether senders are recovered from signatures and compared.
    pub(crate) signatures: bool,
    /// Whether maps are written as lists of `{key, value}`, which Arrow's reader of JSON takes.
    pub(crate) pairs: bool,
}

/// Verifies the block of `input` and returns the line about it: that of `braid run --json`.
pub(crate) fn verify(
    executor: &mut Executor,
    input: &Input,
    witness: Option<&PyBackedBytes>,
    name: &str,
    how: How,
    setting: Setting,
) -> Result<Vec<u8>, Failure> {
    let witness = input.witness(witness, name)?;
    let file = input.load(name)?;
    if how.signatures {
        file.check_signatures().map_err(|error| Failure::field(name, error))?;
    }
    let report = run(executor, &file, witness.as_ref(), name, how.timing)?;
    let record = BlockRecord::new(&report, Setting { rounds: how.timing.rounds, ..setting });
    let line = serde_json::to_value(&record).map(|line| match how.pairs {
        true => with_pairs(line),
        false => line,
    });
    line.and_then(|line| serde_json::to_vec(&line))
        .map_err(|error| Failure::Internal(error.to_string()))
}

/// Writes the maps of a line as lists.
fn with_pairs(mut line: Value) -> Value {
    for name in ["checks", "not_checkable"] {
        let entries = line[name].as_object().into_iter().flatten();
        line[name] = entries.map(|(key, value)| json!({ "key": key, "value": value })).collect();
    }
    line
}

/// Runs the block of `file` both ways and compares the results with each other and with the header.
pub(crate) fn run(
    executor: &mut Executor,
    file: &BlockFile,
    witness: Option<&Witness>,
    name: &str,
    timing: Timing,
) -> Result<BlockReport, Failure> {
    let Subject { block, state, .. } =
        &Subject::new(file).map_err(|error| Failure::field(name, error))?;
    let subject = verify::Subject { file, block, database: state, witness, list: None, hint: None };
    let ran = verify::verify(executor, &subject, name.to_owned(), timing);
    match &ran.error {
        Some(error)
            if matches!(ran.report.verdict, Verdict::Rejected { .. })
                || matches!(error.kind, SequentialErrorKind::Base(_)) =>
        {
            Err(Failure::sequential(name, which(file), error))
        }
        _ => Ok(ran.report),
    }
}
