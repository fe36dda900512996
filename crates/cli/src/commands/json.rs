//! Reports as JSON, one object per line.

use super::{
    report::{BlockReport, ListReport, Measured, Times, Totals, Verdict},
    run::{Reporter, Setting, Unusable},
};
use crate::checks::Check;
use alloy_primitives::{Address, U256};
use braid_evm::{Access, AccessListError, AccountField, Stretch};
use braid_terminal::PROFILE;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

/// Writes reports as JSON lines to the standard output.
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
    /// Whether each block has a list that may be wrong.
    access_list_hint: bool,
    /// Cargo profile of the tool.
    profile: &'static str,
}

/// One block that was run to its end.
#[derive(Serialize)]
struct BlockLine<'a> {
    file: &'a str,
    block: u64,
    txs: usize,
    ok: bool,
    /// Name of the check, and whether it came out right.
    checks: BTreeMap<&'static str, bool>,
    /// Name of a check that could not be made, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    not_checkable: BTreeMap<&'static str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<ListLine>,
    /// How the transactions ran, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    path: Vec<StretchLine>,
    #[serde(flatten)]
    measured: Option<MeasuredLine>,
    #[serde(flatten)]
    setting: SettingLine,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    differences: &'a [String],
}

/// Transactions that ran in one way.
#[derive(Serialize)]
pub(super) struct StretchLine {
    first: u32,
    /// The first transaction after it.
    end: u32,
    /// The names of [`braid_evm::Strategy`] and [`braid_evm::Reason`].
    strategy: String,
    reason: String,
    /// Both in words.
    why: String,
}

impl From<&Stretch> for StretchLine {
    fn from(stretch: &Stretch) -> Self {
        let Stretch { first, end, strategy, reason, .. } = *stretch;
        let why = format!("{strategy}: {reason}");
        let (strategy, reason) = (format!("{strategy:?}"), format!("{reason:?}"));
        Self { first, end, strategy, reason, why }
    }
}

/// The file of an access list.
#[derive(Serialize)]
struct ListLine {
    file: String,
    /// Whether it was written; read otherwise.
    written: bool,
    /// What is wrong with it, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Where it differs from what the block does.
    #[serde(skip_serializing_if = "Option::is_none")]
    mismatch: Option<MismatchLine>,
}

#[derive(Serialize)]
struct MismatchLine {
    /// Block access index.
    index: u64,
    account: Address,
    /// `account`, `balance`, `nonce`, `code`, `slot`, or `other` for what a later fork may add.
    field: &'static str,
    slot: Option<U256>,
    /// What the list says: a value, code, `unchanged`, or null if it says nothing.
    listed: Option<String>,
    /// What the execution did, in the same words.
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
    /// Sequential over parallel time on the clock.
    speedup: Option<f64>,
    /// Parallel over sequential processor time.
    cpu_ratio: Option<f64>,
    incarnations: u64,
    discarded: u64,
    speculative_share: f64,
    alone: bool,
}

/// A block that is invalid, or a file that is no block.
#[derive(Serialize)]
struct ErrorLine<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    txs: Option<usize>,
    ok: bool,
    error: String,
    /// Index of the transaction that is wrong; null if the error belongs to none.
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
    /// Blocks whose state root was compared with the header's.
    state_roots: usize,
    /// Blocks with a witness that does not tell the state root.
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
            discarded: measured.stats.discarded,
            speculative_share: measured.stats.speculative_share(),
            alone: measured.stats.alone,
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
            path: report.path.iter().map(StretchLine::from).collect(),
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
