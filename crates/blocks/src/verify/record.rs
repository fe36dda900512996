//! Reports as JSON: the fields of `braid run --json` and of the Python package.

use super::{
    checks::Check,
    report::{BlockReport, ListReport, Measured, Timed, Verdict},
};
use alloy_primitives::{Address, B256, U256};
use braid_evm::{Access, AccessListError, AccountField, Segment};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// Settings that all reports of one call share.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Setting {
    /// Number of workers.
    pub workers: u16,
    /// `validate` or `build`.
    pub mode: &'static str,
    /// Name of the policy.
    pub policy: &'static str,
    /// Number of timed rounds.
    pub rounds: u32,
    /// Use of access lists: `none`, `written` or `read`.
    #[serde(rename = "access_lists")]
    pub lists: &'static str,
    /// Whether each block has an access list as an untrusted hint.
    #[serde(rename = "access_list_hint")]
    pub hints: bool,
    /// Cargo profile of the tool.
    pub profile: &'static str,
}

/// A block that was executed.
#[derive(Debug, Serialize)]
pub struct BlockRecord<'a> {
    file: &'a str,
    block: u64,
    hash: B256,
    txs: usize,
    ok: bool,
    /// Checks by name, and whether each passed.
    checks: BTreeMap<&'static str, bool>,
    /// Checks that could not be made, by name, with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    not_checkable: BTreeMap<&'static str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<ListRecord>,
    /// How the transactions ran, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    segments: Vec<SegmentRecord>,
    #[serde(flatten)]
    measured: Option<MeasuredRecord>,
    #[serde(flatten)]
    setting: Setting,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    differences: &'a [String],
}

impl<'a> BlockRecord<'a> {
    /// Returns the record of a block that was executed with this setting.
    #[must_use]
    pub fn new(report: &'a BlockReport, setting: Setting) -> Self {
        let checks = report.checks.iter();
        let not_checkable = report.not_checkable.iter();
        Self {
            file: &report.file,
            block: report.block,
            hash: report.hash,
            txs: report.transactions,
            ok: report.verdict == Verdict::Right,
            checks: checks.map(|made| (made.check.name(), made.mismatch.is_none())).collect(),
            not_checkable: not_checkable
                .map(|why| (Check::StateRoot.name(), why.as_str()))
                .collect(),
            access_list: report.list.as_ref().map(ListRecord::from),
            segments: report.segments.iter().map(SegmentRecord::from).collect(),
            measured: report.measured.as_ref().map(MeasuredRecord::from),
            setting,
            differences: match &report.verdict {
                Verdict::Mismatch(differences) => differences,
                Verdict::Right | Verdict::Rejected { .. } => &[],
            },
        }
    }
}

/// A range of transactions that ran with the same strategy.
#[derive(Debug, Serialize)]
pub struct SegmentRecord {
    first: u32,
    /// Index after the last transaction.
    end: u32,
    /// Variant name of the [`braid_evm::Strategy`]; `reason` is that of the [`braid_evm::Reason`].
    strategy: String,
    reason: String,
    /// Strategy and reason in words.
    why: String,
}

impl From<&Segment> for SegmentRecord {
    fn from(segment: &Segment) -> Self {
        let Segment { first, end, strategy, reason, .. } = *segment;
        let why = format!("{strategy}: {reason}");
        let (strategy, reason) = (format!("{strategy:?}"), format!("{reason:?}"));
        Self { first, end, strategy, reason, why }
    }
}

/// An access list file.
#[derive(Debug, Serialize)]
struct ListRecord {
    file: String,
    /// Whether the file was written; otherwise it was read.
    written: bool,
    /// Why the file cannot be used, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// First difference between the list and the block.
    #[serde(skip_serializing_if = "Option::is_none")]
    mismatch: Option<MismatchRecord>,
}

#[derive(Debug, Serialize)]
struct MismatchRecord {
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

impl From<&ListReport> for ListRecord {
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
                Some(MismatchRecord {
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

/// Measurements of a block; times are null if no round was timed.
#[derive(Debug, Serialize)]
pub struct MeasuredRecord {
    gas: u64,
    skipped: usize,
    seq_ms: Option<f64>,
    seq_cpu_ms: Option<f64>,
    par_ms: Option<f64>,
    par_cpu_ms: Option<f64>,
    /// Sequential over parallel wall time.
    speedup: Option<f64>,
    /// Parallel over sequential processor time.
    cpu_ratio: Option<f64>,
    incarnations: u64,
    aborts: u64,
    speculative_share: f64,
    sequential: bool,
}

impl From<&Measured> for MeasuredRecord {
    fn from(measured: &Measured) -> Self {
        let Measured { gas, skipped, timed, stats } = *measured;
        Self {
            gas,
            skipped,
            seq_ms: timed.map(|it| milliseconds(it.sequential.wall)),
            seq_cpu_ms: timed.map(|it| milliseconds(it.sequential.cpu)),
            par_ms: timed.map(|it| milliseconds(it.parallel.wall)),
            par_cpu_ms: timed.map(|it| milliseconds(it.parallel.cpu)),
            speedup: timed.as_ref().and_then(Timed::speedup),
            cpu_ratio: timed.as_ref().and_then(Timed::cpu_ratio),
            incarnations: stats.incarnations,
            aborts: stats.aborts,
            speculative_share: stats.speculative_share(),
            sequential: stats.sequential,
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
