//! Reports as JSON, one object per line.

use super::{
    report::{BlockReport, ListReport, Measured, Totals, Verdict},
    run::{Reporter, Setting, Unusable},
};
use crate::checks::Check;
use alloy_primitives::{Address, U256};
use braid_blocks::timing::Times;
use braid_evm::{Access, AccessListError, AccountField, Segment};
use braid_terminal::PROFILE;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

/// Writes reports as JSON lines to standard output.
#[derive(Debug)]
pub(super) struct Json {
    setting: Setting,
}

impl Json {
    pub(super) fn new(setting: Setting) -> Self {
        Self { setting }
    }

    fn setting(&self) -> SettingLine {
        let Setting { workers, mode, policy, rounds, lists, hints } = self.setting;
        SettingLine {
            workers,
            mode,
            policy,
            rounds,
            access_lists: lists,
            access_list_hint: hints,
            profile: PROFILE,
        }
    }
}

#[derive(Serialize)]
struct SettingLine {
    workers: u16,
    mode: &'static str,
    policy: &'static str,
    rounds: u32,
    /// `none`, `written` or `read`.
    access_lists: &'static str,
    /// Whether each block has an access list as an untrusted hint.
    access_list_hint: bool,
    /// Cargo profile of the tool.
    profile: &'static str,
}

/// A block that was executed.
#[derive(Serialize)]
struct BlockLine<'a> {
    file: &'a str,
    block: u64,
    txs: usize,
    ok: bool,
    /// Checks by name, and whether each passed.
    checks: BTreeMap<&'static str, bool>,
    /// Checks that could not be made, by name, with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    not_checkable: BTreeMap<&'static str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<ListLine>,
    /// How the transactions ran, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    segments: Vec<SegmentLine>,
    #[serde(flatten)]
    measured: Option<MeasuredLine>,
    #[serde(flatten)]
    setting: SettingLine,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    differences: &'a [String],
}

/// A range of transactions that ran with the same strategy.
#[derive(Serialize)]
pub(super) struct SegmentLine {
    first: u32,
    /// Index after the last transaction.
    end: u32,
    /// Variant name of the [`braid_evm::Strategy`]; `reason` is that of the [`braid_evm::Reason`].
    strategy: String,
    reason: String,
    /// Strategy and reason in words.
    why: String,
}

impl From<&Segment> for SegmentLine {
    fn from(segment: &Segment) -> Self {
        let Segment { first, end, strategy, reason, .. } = *segment;
        let why = format!("{strategy}: {reason}");
        let (strategy, reason) = (format!("{strategy:?}"), format!("{reason:?}"));
        Self { first, end, strategy, reason, why }
    }
}

/// An access list file.
#[derive(Serialize)]
struct ListLine {
    file: String,
    /// Whether the file was written; otherwise it was read.
    written: bool,
    /// Why the file cannot be used, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// First difference between the list and the block.
    #[serde(skip_serializing_if = "Option::is_none")]
    mismatch: Option<MismatchLine>,
}

#[derive(Serialize)]
struct MismatchLine {
    /// Block access index.
    index: u64,
    account: Address,
    /// `account`, `balance`, `nonce`, `code`, `slot`, or `other` for fields of later forks.
    field: &'static str,
    slot: Option<U256>,
    /// The list's entry: a value, code, `unchanged`, or null if there is none.
    listed: Option<String>,
    /// The result of the execution, in the same form.
    executed: Option<String>,
}

impl From<&ListReport> for ListLine {
    fn from(list: &ListReport) -> Self {
        let words = |access: &Access| match access {
            Access::Unchanged => "unchanged".to_owned(),
            Access::Value(value) => format!("{value:#x}"),
            Access::Code(code) => code.to_string(),
            other => format!("{other:?}"),
        };
        let mismatch = match &list.wrong {
            Some(AccessListError::Mismatch(wrong)) => {
                let (field, slot) = match wrong.field {
                    AccountField::Account => ("account", None),
                    AccountField::Balance => ("balance", None),
                    AccountField::Nonce => ("nonce", None),
                    AccountField::Code => ("code", None),
                    AccountField::Slot(slot) => ("slot", Some(slot)),
                    _ => ("other", None),
                };
                Some(MismatchLine {
                    index: wrong.index,
                    account: wrong.address,
                    field,
                    slot,
                    listed: wrong.listed.as_ref().map(words),
                    executed: wrong.executed.as_ref().map(words),
                })
            }
            _ => None,
        };
        let error = list.wrong.as_ref().map(ToString::to_string);
        Self { file: list.file.display().to_string(), written: list.written, error, mismatch }
    }
}

#[derive(Serialize)]
struct MeasuredLine {
    gas: u64,
    skipped: usize,
    seq_ms: f64,
    seq_cpu_ms: f64,
    par_ms: f64,
    par_cpu_ms: f64,
    /// Sequential over parallel wall time.
    speedup: Option<f64>,
    /// Parallel over sequential processor time.
    cpu_ratio: Option<f64>,
    incarnations: u64,
    aborts: u64,
    speculative_share: f64,
    sequential: bool,
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
    setting: SettingLine,
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
    measured: MeasuredLine,
    #[serde(flatten)]
    setting: SettingLine,
}

impl From<&Measured> for MeasuredLine {
    fn from(measured: &Measured) -> Self {
        let Times { wall: sequential, cpu: sequential_cpu } = measured.sequential;
        let Times { wall: parallel, cpu: parallel_cpu } = measured.parallel;
        Self {
            gas: measured.gas,
            skipped: measured.skipped,
            seq_ms: milliseconds(sequential),
            seq_cpu_ms: milliseconds(sequential_cpu),
            par_ms: milliseconds(parallel),
            par_cpu_ms: milliseconds(parallel_cpu),
            speedup: measured.speedup(),
            cpu_ratio: measured.cpu_ratio(),
            incarnations: measured.stats.incarnations,
            aborts: measured.stats.aborts,
            speculative_share: measured.stats.speculative_share(),
            sequential: measured.stats.sequential,
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Writes an object on a line of its own.
pub(super) fn write_line(line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()
}

impl Reporter for Json {
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, report: &BlockReport) -> io::Result<()> {
        let (file, setting) = (report.file.as_str(), self.setting());
        let differences = match &report.verdict {
            Verdict::Rejected { error, transaction } => {
                return write_line(&ErrorLine {
                    file,
                    block: Some(report.block),
                    txs: Some(report.transactions),
                    ok: false,
                    error: error.clone(),
                    transaction: *transaction,
                    field: None,
                    setting,
                });
            }
            Verdict::Mismatch(differences) => differences.as_slice(),
            Verdict::Right => &[],
        };
        let checks = report.checks.iter();
        write_line(&BlockLine {
            file,
            block: report.block,
            txs: report.transactions,
            ok: report.verdict == Verdict::Right,
            checks: checks.map(|made| (made.check.name(), made.mismatch.is_none())).collect(),
            not_checkable: report
                .not_checkable
                .iter()
                .map(|why| (Check::StateRoot.name(), why.as_str()))
                .collect(),
            access_list: report.list.as_ref().map(ListLine::from),
            segments: report.segments.iter().map(SegmentLine::from).collect(),
            measured: report.measured.as_ref().map(MeasuredLine::from),
            setting,
            differences,
        })
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
            setting: self.setting(),
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
            measured: MeasuredLine::from(&totals.measured),
            setting: self.setting(),
        })
    }
}
