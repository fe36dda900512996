//! Output of `braid explain`.

use super::{Explained, Reached, Unusable, unexpected};
use crate::{
    commands::json::{write_error, write_line},
    explain::{
        Axis, Costly, OnWorkers, Question, Totals, json::BlockFields, json::CostlyFields, ratio,
        words,
    },
    inputs,
};
use anstyle::Style;
use braid_blocks::{block_file::STANDARD_STREAM, verify::SegmentRecord};
use braid_terminal::{counted, print_error, wrapped};
use serde::Serialize;
use std::io::{self, Write};

const BOLD: Style = Style::new().bold();
/// Width of the name column.
const NAME: usize = 24;

/// An output format.
pub(super) trait Printer {
    /// Called before the first block.
    fn begin(&mut self) -> io::Result<()>;
    /// Prints a block.
    fn block(&mut self, explained: &Explained) -> io::Result<()>;
    /// Reports a file that cannot be used.
    fn unusable(&mut self, error: &Unusable) -> io::Result<()>;
    /// Prints the total, after the last of several blocks.
    fn total(&mut self, totals: &Totals) -> io::Result<()>;
}

/// One JSON object per line.
pub(super) struct Json {
    pub(super) question: Question,
}

/// The full explanation of each block.
pub(super) struct Whole {
    pub(super) question: Question,
}

/// One line for each block.
pub(super) struct Lines {
    pub(super) question: Question,
}

/// An explanation as JSON.
#[derive(Serialize)]
pub(in crate::commands) struct BlockLine<'a> {
    file: &'a str,
    block: u64,
    ok: bool,
    /// Description of a mismatch, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// Number of workers of `on_workers`.
    workers: usize,
    /// Unit of the costs of conflicts: `gas` or `time_ns`.
    by: &'static str,
    #[serde(flatten)]
    fields: BlockFields,
    /// Null if nothing was measured.
    measured: Option<MeasuredFields>,
}

#[derive(Serialize)]
struct MeasuredFields {
    workers: usize,
    speedup: f64,
    seq_ms: f64,
    par_ms: f64,
    /// Processor time over wall time of the sequential runs; null unless the machine was busy.
    busy_share: Option<f64>,
    segments: Vec<SegmentRecord>,
}

#[derive(Serialize)]
struct TotalLine {
    total: bool,
    by: &'static str,
    blocks: usize,
    txs: usize,
    work: u64,
    longest: u64,
    late_read: u64,
    chain: u64,
    conflicts: Vec<CostlyFields>,
    other_conflicts: usize,
}

/// Returns a block's explanation as JSON.
pub(in crate::commands) fn block_line<'a>(
    explained: &'a Explained,
    question: &Question,
) -> BlockLine<'a> {
    let measured = explained.reached.as_ref().map(|reached| MeasuredFields {
        workers: reached.workers,
        speedup: reached.speedup,
        seq_ms: reached.sequential.as_secs_f64() * 1e3,
        par_ms: reached.parallel.as_secs_f64() * 1e3,
        busy_share: reached.busy_share,
        segments: reached.segments.iter().map(SegmentRecord::from).collect(),
    });
    BlockLine {
        file: &explained.name,
        block: explained.number,
        ok: explained.wrong.is_none(),
        error: explained.wrong.as_deref(),
        workers: question.workers,
        by: unit(explained.explanation.ordered_by(question.axis).0),
        fields: BlockFields::from(&explained.explanation),
        measured,
    }
}

/// Prints the full explanation of a block under its title.
pub(in crate::commands) fn whole(
    out: &mut impl Write,
    explained: &Explained,
    question: &Question,
) -> io::Result<()> {
    if let Some(wrong) = &explained.wrong {
        writeln!(out, "{}", words::capital(&unexpected(&explained.name, wrong)))?;
    }
    write!(out, "{}", words::block(&explained.explanation, question))?;
    match &explained.reached {
        Some(reached) => write_reached(out, explained, reached),
        None => Ok(()),
    }
}

/// Returns the name of a unit of costs.
const fn unit(axis: Axis) -> &'static str {
    match axis {
        Axis::Gas => "gas",
        Axis::Time => "time_ns",
    }
}

impl Printer for Json {
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, explained: &Explained) -> io::Result<()> {
        write_line(&block_line(explained, &self.question))
    }

    fn unusable(&mut self, error: &Unusable) -> io::Result<()> {
        write_error(error.file(), &error.to_string())
    }

    fn total(&mut self, totals: &Totals) -> io::Result<()> {
        let (conflicts, other_conflicts) = totals.costly(self.question.top);
        write_line(&TotalLine {
            total: true,
            by: unit(self.question.axis),
            blocks: totals.blocks,
            txs: totals.transactions,
            work: totals.work,
            longest: totals.longest,
            late_read: totals.late_read,
            chain: totals.chain,
            conflicts: conflicts.iter().map(CostlyFields::from).collect(),
            other_conflicts,
        })
    }
}

impl Printer for Whole {
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, explained: &Explained) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        let Explained { name, number, explanation, .. } = explained;
        let count = explanation.transactions;
        let count = counted(count, "transaction");
        writeln!(out, "{BOLD}{}{BOLD:#}: block {number}, {count}", title(name))?;
        let mut text = Vec::new();
        whole(&mut text, explained, &self.question)?;
        writeln!(out, "{}", wrapped(&String::from_utf8_lossy(&text)))?;
        out.flush()
    }

    fn unusable(&mut self, error: &Unusable) -> io::Result<()> {
        print_error(error);
        Ok(())
    }

    fn total(&mut self, totals: &Totals) -> io::Result<()> {
        write_total(totals, &self.question)
    }
}

/// Prints the measured speed-up against the bounds, and how the transactions ran.
fn write_reached(out: &mut impl Write, it: &Explained, reached: &Reached) -> io::Result<()> {
    let Reached { workers, speedup, sequential, parallel, segments, .. } = reached;
    let milliseconds = |time: &std::time::Duration| time.as_secs_f64() * 1e3;
    writeln!(
        out,
        "Measured here on {}: {speedup:.2}x, {:.2} ms instead of {:.2} ms.",
        counted(*workers, "worker"),
        milliseconds(parallel),
        milliseconds(sequential)
    )?;
    if let Some(warning) = reached.warning() {
        writeln!(out, "  {warning}")?;
    }
    let (axis, costs) = it.explanation.ordered_by(Axis::Time);
    let rows = &costs.bounds.workers;
    if let Some(on) = rows.iter().find(|on| on.workers == *workers) {
        let OnWorkers { chain, late_read, no_conflicts, .. } = *on;
        let [chain, late_read, no_conflicts] =
            [chain, late_read, no_conflicts].map(|span| ratio(costs.bounds.work, span));
        let unit = if axis == Axis::Time { "time" } else { "gas" };
        writeln!(
            out,
            "  bounds on {}, in {unit}: conflict chain {chain:.2}x, late read {late_read:.2}x, \
             no conflicts {no_conflicts:.2}x",
            counted(*workers, "worker")
        )?;
    }
    for segment in segments {
        let (first, last) = (segment.first, segment.end.saturating_sub(1));
        let which = match first == last {
            true => format!("transaction {first}"),
            false => format!("transactions {first} to {last}"),
        };
        writeln!(out, "  {which} ran {} ({})", segment.strategy, segment.reason)?;
    }
    Ok(())
}

impl Printer for Lines {
    fn begin(&mut self) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        let unit = match self.question.axis {
            Axis::Gas => "gas",
            Axis::Time => "time",
        };
        writeln!(
            out,
            "Upper bounds on the speed-up of each block, by {unit}. For details, name one block, or use --whole."
        )?;
        writeln!(
            out,
            "{BOLD}{:<NAME$} {:>6} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9}{BOLD:#}",
            "block",
            "txs",
            unit,
            "no confl.",
            "late read",
            "chain",
            format!("on {}", self.question.workers),
            "measured",
        )
    }

    fn block(&mut self, explained: &Explained) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        let (axis, costs) = explained.explanation.ordered_by(self.question.axis);
        let bounds = &costs.bounds;
        let times = |span| format!("{:.2}x", ratio(bounds.work, span));
        let on = bounds.workers.iter().find(|on| on.workers == self.question.workers);
        let measured = explained.reached.as_ref();
        let first = explained.explanation.conflicts.first.first();
        writeln!(
            out,
            "{:<NAME$} {:>6} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9}",
            inputs::short(&explained.name),
            explained.explanation.transactions,
            words::cost(axis, bounds.work),
            times(bounds.longest),
            times(bounds.late_read),
            times(bounds.chain),
            on.map_or_else(String::new, |on| times(on.chain)),
            measured.map_or("-".to_owned(), |reached| format!("{:.2}x", reached.speedup)),
        )?;
        if let Some(first) = first.filter(|it| it.waits > 0) {
            write!(out, "{}", wrapped(&format!("    waits for {}", first.words)))?;
        }
        if let Some(warning) = measured.and_then(Reached::warning) {
            write!(out, "{}", wrapped(&format!("    {warning}")))?;
        }
        if let Some(wrong) = &explained.wrong {
            let line = format!("    {}", unexpected(&explained.name, wrong));
            write!(out, "{}", wrapped(&line))?;
        }
        out.flush()
    }

    fn unusable(&mut self, error: &Unusable) -> io::Result<()> {
        print_error(error);
        Ok(())
    }

    fn total(&mut self, totals: &Totals) -> io::Result<()> {
        write_total(totals, &self.question)
    }
}

/// Returns a block's name for people.
fn title(name: &str) -> String {
    if name == STANDARD_STREAM { "standard input".to_owned() } else { inputs::short(name) }
}

fn write_total(totals: &Totals, question: &Question) -> io::Result<()> {
    let mut text = Vec::new();
    total_lines(&mut text, totals, question)?;
    let mut out = anstream::stdout().lock();
    out.write_all(wrapped(&String::from_utf8_lossy(&text)).as_bytes())?;
    out.flush()
}

fn total_lines(out: &mut impl Write, totals: &Totals, question: &Question) -> io::Result<()> {
    let Totals { blocks, transactions, work, longest, chain, late_read, .. } = totals;
    if *blocks == 0 {
        return writeln!(out, "No block could be explained; the errors are above.");
    }
    let times = |span: &u64| ratio(*work, *span);
    writeln!(
        out,
        "{BOLD}{}{BOLD:#}, {}, one block after the other: no conflicts \
         {:.2}x, late read {:.2}x, \
         conflict chain {:.2}x.",
        counted(*blocks, "block"),
        counted(*transactions, "transaction"),
        times(longest),
        times(late_read),
        times(chain)
    )?;
    let (costly, others) = totals.costly(question.top);
    if costly.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "Most expensive locations on the longest chains of all blocks ({}):",
        words::cost(question.axis, *chain)
    )?;
    for (index, it) in costly.iter().enumerate() {
        let Costly { words, chain_cost, waits, blocks, locations, .. } = it;
        writeln!(out, "{:>2}. {words}", index + 1)?;
        let first = locations.first().map_or_else(String::new, ToString::to_string);
        let more = match locations.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let cost = words::cost(question.axis, *chain_cost);
        let (waits, blocks) = (counted(*waits, "transaction"), counted(*blocks, "block"));
        writeln!(out, "    {first}{more}: {waits} in {blocks}, {cost}")?;
    }
    if others > 0 {
        let all = costly.len().saturating_add(others);
        writeln!(out, "{others} more: --top {all} lists all.")?;
    }
    Ok(())
}
