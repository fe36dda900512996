//! Reports as a table.

use super::{
    report::Totals,
    run::{Reporter, Unusable},
};
use crate::{inputs, profile};
use anstyle::{AnsiColor, Style};
use braid_blocks::verify::{BlockReport, Measured, Setting, Timed, Verdict};
use braid_terminal::print_error;
use std::{
    cmp::Reverse,
    io::{self, Write},
    time::Duration,
};

/// Writes a table to standard output, in colour on a terminal.
#[derive(Debug)]
pub(super) struct Human {
    setting: Setting,
}

impl Human {
    pub(super) fn new(setting: Setting) -> Self {
        Self { setting }
    }
}

const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();
const BOLD: Style = Style::new().bold();

/// Width of the name column.
const NAME: usize = 21;

impl Reporter for Human {
    fn begin(&mut self) -> io::Result<()> {
        let Setting { workers, mode, policy, rounds, lists, hints, profile } = self.setting;
        let mut out = anstream::stdout().lock();
        writeln!(
            out,
            "workers {workers}, mode {mode}, policy {policy}, rounds {rounds} (times are medians), \
             profile {profile}, compared with sequential revm{}",
            match (lists, hints) {
                ("none", false) => String::new(),
                ("none", true) => ", access lists as hints".to_owned(),
                (lists, false) => format!(", access lists {lists}"),
                (lists, true) => format!(", access lists {lists}, others as hints"),
            }
        )?;
        writeln!(
            out,
            "{BOLD}{:<NAME$} {:>6} {:>10} {:>9} {:>9} {:>8} {:>5} {:>9} {:>7}  result{BOLD:#}",
            "block", "txs", "gas", "seq ms", "par ms", "speed-up", "cpu", "aborted", "specul.",
        )
    }

    fn block(&mut self, report: &BlockReport) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        let name = inputs::short(&report.file);
        match &report.measured {
            Some(measured) => {
                write!(out, "{name:<NAME$} {}", columns(report.transactions, measured))?;
            }
            None => write!(out, "{name:<NAME$} {:>6}", report.transactions)?,
        }
        match &report.verdict {
            Verdict::Right => {
                let skipped = report.measured.map_or(0, |measured| measured.skipped);
                write!(out, "  {GREEN}ok{GREEN:#}")?;
                if skipped > 0 {
                    write!(out, ", {skipped} skipped")?;
                }
                if let Some(list) = report.list.as_ref().filter(|list| list.written) {
                    write!(out, ", {}", list.file.display())?;
                }
                if let Some(why) = &report.not_checkable {
                    write!(out, ", {YELLOW}state root{YELLOW:#} {why}")?;
                }
                writeln!(out)?;
            }
            Verdict::Mismatch(differences) => {
                writeln!(out, "  {RED}MISMATCH{RED:#}")?;
                for line in differences {
                    writeln!(out, "    {line}")?;
                }
            }
            Verdict::Rejected { error, .. } => {
                writeln!(out, "  {YELLOW}invalid block{YELLOW:#}: {error}")?;
                writeln!(
                    out,
                    "    Sequential revm rejects it, too: check meta.fork and pre_state \
                     (docs/BLOCK_FILE.md)."
                )?;
            }
        }
        out.flush()
    }

    fn unusable(&mut self, error: &Unusable) -> io::Result<()> {
        print_error(error);
        Ok(())
    }

    fn total(&mut self, totals: &Totals) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        let columns = columns(totals.transactions, &totals.measured);
        let blocks = totals.files().saturating_sub(totals.unusable);
        let name = format!("total of {blocks} block{}", if blocks == 1 { "" } else { "s" });
        write!(out, "{BOLD}{name:<NAME$} {columns}{BOLD:#}")?;
        let counts = [
            (totals.right, "ok", GREEN),
            (totals.mismatches, "MISMATCH", RED),
            (totals.rejected, "invalid", YELLOW),
            (totals.unusable, "unusable", RED),
        ];
        let mut before = "  ";
        for (count, what, style) in counts.into_iter().filter(|(count, ..)| *count > 0) {
            write!(out, "{before}{style}{count} {what}{style:#}")?;
            before = ", ";
        }
        let roots = [(totals.state_roots, "compared"), (totals.not_checkable, "not checkable")];
        before = "; state roots: ";
        for (count, what) in roots.into_iter().filter(|(count, _)| *count > 0) {
            write!(out, "{before}{count} {what}")?;
            before = ", ";
        }
        writeln!(out)?;
        let mut ran: Vec<_> = totals.ran.iter().collect();
        ran.sort_by_key(|((strategy, reason), count)| {
            (Reverse(**count), strategy.to_string(), reason.to_string())
        });
        for (index, ((strategy, reason), count)) in ran.into_iter().enumerate() {
            let what = if index == 0 { "first round ran" } else { "" };
            writeln!(out, "{what:<NAME$} {count:>6} {strategy}: {reason}")?;
        }
        if let Some(share) = totals.measured.timed.as_ref().and_then(Timed::busy_share) {
            writeln!(
                out,
                "{YELLOW}The machine was busy{YELLOW:#}: the sequential runs had {:.0} % of a \
                 core, so the times are unreliable; stop other programs and run it again.",
                share * 100.0
            )?;
        }
        if let Some(warning) = profile::warning() {
            writeln!(out, "{warning}")?;
        }
        if let Some(sentence) = totals.sentence() {
            writeln!(out, "{sentence}")?;
        }
        out.flush()
    }
}

/// Returns all columns from the number of transactions to the speculative share.
fn columns(transactions: usize, measured: &Measured) -> String {
    let timed = measured.timed.as_ref();
    let times = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"));
    format!(
        "{transactions:>6} {:>10} {:>9} {:>9} {:>8} {:>5} {:>9} {:>6.0}%",
        measured.gas,
        milliseconds(timed.map(|it| it.sequential.wall)),
        milliseconds(timed.map(|it| it.parallel.wall)),
        times(timed.and_then(Timed::speedup)),
        times(timed.and_then(Timed::cpu_ratio)),
        measured.stats.aborts,
        measured.stats.speculative_share() * 100.0,
    )
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.2}", time.as_secs_f64() * 1000.0))
}
