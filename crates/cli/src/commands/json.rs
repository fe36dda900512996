//! Reports as JSON, one object per line.

use super::{
    report::Totals,
    run::{Reporter, Unusable},
};
use braid_blocks::verify::{BlockRecord, BlockReport, MeasuredRecord, Setting, Verdict};
use serde::Serialize;
use serde_json::json;
use std::io::{self, Write};

/// Writes reports as JSON lines to standard output.
#[derive(Debug)]
pub(super) struct Json {
    setting: Setting,
}

impl Json {
    pub(super) fn new(setting: Setting) -> Self {
        Self { setting }
    }
}

/// An invalid block, or a file that is no block.
#[derive(Serialize)]
struct ErrorLine<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    txs: Option<usize>,
    ok: bool,
    error: String,
    /// Index of the invalid transaction; null if the error belongs to none.
    transaction: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(flatten)]
    setting: Setting,
}

#[derive(Serialize)]
struct TotalLine {
    total: bool,
    ok: bool,
    files: usize,
    right: usize,
    mismatches: usize,
    rejected: usize,
    unusable: usize,
    txs: usize,
    /// Number of blocks whose state root was compared with the header's.
    state_roots: usize,
    /// Number of blocks whose witness is too small to compute the state root.
    state_roots_not_checkable: usize,
    #[serde(flatten)]
    measured: MeasuredRecord,
    #[serde(flatten)]
    setting: Setting,
}

/// Writes an object on a line of its own.
pub(super) fn write_line(line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()
}

/// Writes an error about a file.
pub(super) fn write_error(file: &str, error: &str) -> io::Result<()> {
    write_line(&json!({ "file": file, "ok": false, "error": error }))
}

impl Reporter for Json {
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, report: &BlockReport) -> io::Result<()> {
        if let Verdict::Rejected { error, transaction } = &report.verdict {
            return write_line(&ErrorLine {
                file: &report.file,
                block: Some(report.block),
                txs: Some(report.transactions),
                ok: false,
                error: error.clone(),
                transaction: *transaction,
                field: None,
                setting: self.setting,
            });
        }
        write_line(&BlockRecord::new(report, self.setting))
    }

    fn unusable(&mut self, error: &Unusable) -> io::Result<()> {
        let (file, text, transaction, field) = match error {
            Unusable::Block(error) => {
                (&error.file, error.kind.to_string(), error.transaction(), error.field())
            }
            Unusable::List { block, error } => (block, error.to_string(), None, None),
        };
        write_line(&ErrorLine {
            file,
            block: None,
            txs: None,
            ok: false,
            error: text,
            transaction,
            field,
            setting: self.setting,
        })
    }

    fn total(&mut self, totals: &Totals) -> io::Result<()> {
        write_line(&TotalLine {
            total: true,
            ok: totals.right == totals.files(),
            files: totals.files(),
            right: totals.right,
            mismatches: totals.mismatches,
            rejected: totals.rejected,
            unusable: totals.unusable,
            txs: totals.transactions,
            state_roots: totals.state_roots,
            state_roots_not_checkable: totals.not_checkable,
            measured: MeasuredRecord::from(&totals.measured),
            setting: self.setting,
        })
    }
}
