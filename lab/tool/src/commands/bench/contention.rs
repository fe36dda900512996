//! `braid-lab bench --contention`: a sweep over contention.

use super::LabBenchArgs;
use crate::bench::{
    Bounded,
    contention::{Cell, Plane, QUICK_SLOTS, SLOTS, Sweep, planes, whole},
};
use anstyle::{AnsiColor, Style};
use braid_blocks::{timing::Timing, workload::Contention};
use braid_cli::{
    bench::BenchError,
    commands::bench::{BenchArgs, Conditions, conditions, load, optional},
};
use braid_evm::{Config, Strategy};
use braid_terminal::{End, Progress, Stop, print_error};
use core::num::NonZeroU16;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io::{self, Write},
};

/// Fraction of its bound that a cell should reach.
const ENOUGH: f64 = 0.85;
/// Speed-up below which a cell counts as slower than sequential execution.
const SLOWER: f64 = 0.97;
/// Default number of rounds of a cell.
const ROUNDS: u32 = 5;
/// Maximum number of cells that are listed by name.
const LISTED: usize = 8;

const BOLD: Style = Style::new().bold();

/// Measured cells by their parameters.
type Cells = HashMap<Contention, Cell>;

/// Measures the requested sweep on each number of workers.
pub(super) fn contention(args: &LabBenchArgs) -> Result<End, Stop> {
    let conditions = conditions(&args.blocks);
    let _load = load(&args.blocks)?;
    let default = [Config::default().workers];
    let workers = if args.blocks.workers.is_empty() { &default[..] } else { &args.blocks.workers };
    let mut end = End::Right;
    for workers in workers {
        end = end.max(sweep(args, conditions, *workers)?);
    }
    Ok(end)
}

fn sweep(args: &LabBenchArgs, conditions: Conditions, workers: NonZeroU16) -> Result<End, Stop> {
    let BenchArgs { rounds, pause, seed, txs, json, .. } = args.blocks;
    let timing = Timing { rounds: rounds.unwrap_or(ROUNDS), pause };
    let sweep = Sweep { workers, timing, seed, transactions: txs };
    let planes = planes(if args.quick { &QUICK_SLOTS } else { &SLOTS });
    let all = wanted(args, &planes);
    let mut cells = Cells::new();
    let mut progress = Progress::new(all.len());
    for contention in all {
        progress.begin(&contention.to_string());
        let cell = sweep.cell(contention);
        progress.end();
        let cell = match cell {
            Ok(cell) => cell,
            Err(error @ BenchError::Different { .. }) => {
                print_error(&format!("{contention}: {error}"));
                return Ok(End::Mismatch);
            }
            Err(error) => return Err(Stop::Message(format!("{contention}: {error}"))),
        };
        if json {
            progress.aside(|| writeln!(io::stdout().lock(), "{}", line(&cell)))?;
        }
        cells.insert(contention, cell);
    }
    drop(progress);
    if !json {
        print(&planes, &cells, workers, conditions)?;
    }
    Ok(End::Right)
}

/// All cells, each once, in the order of the planes.
fn wanted(args: &LabBenchArgs, planes: &[Plane]) -> Vec<Contention> {
    if args.whole {
        return whole();
    }
    let mut all = Vec::new();
    for cell in planes.iter().flat_map(|plane| &plane.rows).flat_map(|(_, row)| row) {
        if !all.contains(cell) {
            all.push(*cell);
        }
    }
    all
}

/// Returns a cell as a JSON object.
fn line(cell: &Cell) -> Value {
    let Contention { slots, order, when, micros, told_by } = cell.contention;
    let cell = &cell.measured;
    json!({
        "slots": slots,
        "order": order.to_string(),
        "when": when.to_string(),
        "us": micros,
        "told_by": told_by.to_string(),
        "transactions": cell.learned.transactions,
        "workers": cell.learned.workers,
        "sequential_us": cell.learned.sequential_micros(),
        "learned": cell.learned.ratio(),
        "fresh": cell.fresh.ratio(),
        "cpu": cell.cpu(),
        "ceiling": cell.learned.ceiling(),
        "chain_bound": cell.chain_bound,
        "late_read_bound": cell.late_bound,
        "bound": cell.bound(),
        "share": cell.share(),
        "spread": cell.learned.parallel.spread().max(cell.fresh.parallel.spread()),
        "aborted": cell.fresh.abort_share(),
        "segments": cell.segments.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn letter(strategy: Option<Strategy>) -> char {
    match strategy {
        Some(Strategy::Sequential) => 'q',
        Some(Strategy::Speculative) => 's',
        Some(Strategy::ContiguousBatches) => 'b',
        _ => '-',
    }
}

fn style(cell: &Bounded) -> Style {
    let color = match cell.share() {
        _ if cell.slower() < SLOWER => AnsiColor::Red,
        share if share < ENOUGH => AnsiColor::Yellow,
        _ => AnsiColor::Green,
    };
    color.on_default()
}

/// Prints the planes as matrices, then lists the outliers.
fn print(
    planes: &[Plane],
    cells: &Cells,
    workers: NonZeroU16,
    conditions: Conditions,
) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{BOLD}contention, {workers} workers{BOLD:#}, {conditions}")?;
    writeln!(
        out,
        "ratio to sequential revm (learned or fresh, the slower one), percent of the bound,\n\
         how most of it ran: q sequentially, s speculatively, b in contiguous batches"
    )?;
    for plane in planes {
        write!(out, "\n{BOLD}{:>11}", plane.name)?;
        plane.columns.iter().try_for_each(|column| write!(out, " {column:>13}"))?;
        writeln!(out, "{BOLD:#}")?;
        for (slots, row) in &plane.rows {
            write!(out, "{slots:>5} slots")?;
            for cell in row.iter().filter_map(|cell| cells.get(cell)) {
                let cell = &cell.measured;
                let (style, share) = (style(cell), cell.share() * 100.0);
                let letter = letter(cell.strategy());
                let slower = cell.slower();
                write!(out, " {style}{slower:>6.2} {share:>3.0}% {letter}{style:#}")?;
            }
            writeln!(out)?;
        }
    }
    sum_up(&mut out, cells)
}

fn sum_up(out: &mut impl Write, cells: &Cells) -> io::Result<()> {
    let mut all: Vec<&Cell> = cells.values().collect();
    all.sort_by(|one, other| one.measured.share().total_cmp(&other.measured.share()));
    let count =
        |is: &dyn Fn(&Bounded) -> bool| all.iter().filter(|cell| is(&cell.measured)).count();
    let costly = |cell: &Bounded| cell.cpu() > 1.25;
    writeln!(
        out,
        "\n{} cells: {} below {SLOWER} of sequential, {} below {ENOUGH} of the bound, {} that take more than 1.25 of \
         sequential processor time",
        all.len(),
        count(&|cell| cell.slower() < SLOWER),
        count(&|cell| cell.share() < ENOUGH),
        count(&costly),
    )?;
    writeln!(
        out,
        "farthest from the bound (chain bound, late-read bound, both before the ceiling):"
    )?;
    for cell in all.iter().take(LISTED) {
        let Cell { contention, measured } = cell;
        let Bounded { learned, fresh, chain_bound, late_bound, .. } = measured;
        writeln!(
            out,
            "  {contention}: learned {:.2}, fresh {:.2}, cpu {:.2}, bounds {chain_bound:.2} {late_bound:.2}, \
             ceiling {}{}",
            learned.ratio(),
            fresh.ratio(),
            measured.cpu(),
            optional(learned.ceiling()),
            measured
                .longest()
                .map_or(String::new(), |it| format!(", {}: {}", it.strategy, it.reason)),
        )?;
    }
    out.flush()
}
