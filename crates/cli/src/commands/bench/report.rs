//! Prints figures as a table or as JSON.

use crate::bench::{Figures, Half, Means, Series, Simulated};
use anstyle::Style;
use braid_blocks::statistics::{median_time, quantiles};
use braid_terminal::PROFILE;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    io::{self, Write},
    time::Duration,
};

/// Receives figures.
pub(super) trait Report {
    /// Called before the first block.
    fn begin(&mut self) -> io::Result<()>;
    /// Called for each block and number of workers.
    fn line(&mut self, figures: &Figures) -> io::Result<()>;
    /// Called after the last block.
    fn end(&mut self) -> io::Result<()>;
}

/// Conditions of all measurements.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Pause before each timed run.
    pub pause: Duration,
    /// Number of busy processes per core.
    pub busy: u32,
    /// Access lists that Braid reads or computes.
    pub lists: ListsInUse,
}

/// Use of access lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListsInUse {
    /// Each block has its list.
    pub given: bool,
    /// Each block has its list as a hint.
    pub hint: bool,
    /// Braid computes the list of each block.
    pub made: bool,
}

impl Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "profile {PROFILE}, {:?} before each run, ", self.pause)?;
        match self.busy {
            0 => f.write_str("no added load"),
            1 => f.write_str("one computing process on each core"),
            each => write!(f, "{each} computing processes on each core"),
        }?;
        let ListsInUse { given, hint, made } = self.lists;
        f.write_str(if given { ", with access lists" } else { "" })?;
        f.write_str(if hint { ", with access lists as hints" } else { "" })?;
        f.write_str(if made { ", making access lists" } else { "" })
    }
}

const BOLD: Style = Style::new().bold();

/// Width of the name column.
pub(super) const NAME: usize = 17;

/// Formats a ratio that may be absent.
#[must_use]
pub fn optional(ratio: Option<f64>) -> String {
    ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
}

/// Writes a table to standard output.
#[derive(Debug)]
pub(super) struct Table {
    conditions: Conditions,
    /// Speed-ups of all lines, for the summary.
    ratios: Vec<(u16, f64)>,
    /// Times in which a cache line went from one core to another and back.
    round_trips: Vec<Duration>,
    means: Means,
}

impl Table {
    pub(super) const fn new(conditions: Conditions) -> Self {
        Self { conditions, ratios: Vec::new(), round_trips: Vec::new(), means: Means::new() }
    }
}

impl Report for Table {
    fn begin(&mut self) -> io::Result<()> {
        writeln!(anstream::stdout().lock(), "{}", self.conditions)?;
        writeln!(
            anstream::stdout().lock(),
            "{BOLD}{:<NAME$} {:>7} {:>6} {:>9} {:>6} {:>5} {:>7} {:>5} {:>7} {:>7} {:>6} {:>6}{BOLD:#}",
            "workload",
            "workers",
            "txs",
            "seq us/tx",
            "ratio",
            "cpu",
            "journal",
            "bound",
            "ceiling",
            "aborted",
            "Mgas/s",
            "spread",
        )
    }

    fn line(&mut self, figures: &Figures) -> io::Result<()> {
        self.ratios.push((figures.workers, figures.ratio()));
        self.round_trips.extend(&figures.round_trips);
        self.means.add(&figures.workload, figures.workers, figures.ratio());
        let mut out = anstream::stdout().lock();
        writeln!(
            out,
            "{:<NAME$} {:>7} {:>6} {:>9.2} {:>6.2} {:>5.2} {:>7} {:>5} {:>7} {:>6.1}% {:>6.0} {:>5.0}%",
            figures.workload,
            figures.workers,
            figures.transactions,
            figures.sequential_micros(),
            figures.ratio(),
            figures.cpu_ratio(),
            optional(figures.journal_ratio()),
            optional(figures.bound_ratio()),
            optional(figures.ceiling()),
            figures.abort_share() * 100.0,
            figures.mgas_per_second(),
            figures.parallel.spread() * 100.0,
        )?;
        if let Some([sequential, parallel]) = figures.reads {
            writeln!(out, "  reads: {sequential} sequential, {parallel} parallel")?;
        }
        for line in details(figures) {
            writeln!(out, "  {line}")?;
        }
        out.flush()
    }

    /// Prints how fast the cores were, and quartiles of the speed-ups if there are many blocks.
    fn end(&mut self) -> io::Result<()> {
        if let (Some(lowest), Some(highest)) =
            (self.round_trips.iter().min(), self.round_trips.iter().max())
        {
            let median = median_time(self.round_trips.iter().copied());
            writeln!(
                anstream::stdout().lock(),
                "from core to core and back: {} ns ({} to {})",
                median.as_nanos(),
                lowest.as_nanos(),
                highest.as_nanos(),
            )?;
        }
        let mut workers: Vec<u16> = self.ratios.iter().map(|(workers, _)| *workers).collect();
        workers.sort_unstable();
        workers.dedup();
        for workers in workers {
            let mine = self.ratios.iter().filter(|(of, _)| *of == workers);
            let ratios: Vec<f64> = mine.map(|(_, ratio)| *ratio).collect();
            if ratios.len() < 8 {
                continue;
            }
            let (count, below) =
                (ratios.len(), ratios.iter().filter(|ratio| **ratio < 0.97).count());
            let parts = [0.0, 0.25, 0.5, 0.75, 1.0];
            let Some([lowest, first, median, third, highest]) = quantiles(ratios, parts) else {
                continue;
            };
            writeln!(
                anstream::stdout().lock(),
                "{count} blocks on {workers} workers: lowest {lowest:.2}, quartiles {first:.2} \
                 {median:.2} {third:.2}, highest {highest:.2}; {below} below 0.97",
            )?;
        }
        let mut out = anstream::stdout().lock();
        self.means.lines().iter().try_for_each(|line| writeln!(out, "{line}"))
    }
}

/// Returns microseconds per transaction in each stage, in the order of the work.
fn stages(figures: &Figures) -> Option<[(&'static str, f64); 8]> {
    let stages = figures.stages?;
    let each = |micros: f64| micros / figures.transactions.max(1) as f64;
    Some([
        ("plan", each(stages.plan)),
        ("execute", each(stages.execute)),
        ("publish", each(stages.publish)),
        ("coordinate", each(stages.coordinate)),
        ("validate", each(stages.validate)),
        ("commit", each(stages.commit)),
        ("wait", each(stages.wait)),
        ("bundle", each(stages.bundle)),
    ])
}

/// Returns a line each for stages, memory and virtual time, as far as measured.
fn details(figures: &Figures) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(stages) = stages(figures) {
        let stage = |(name, micros): &(&str, f64)| format!("{name} {micros:.2}");
        let stages: Vec<String> = stages.iter().map(stage).collect();
        lines.push(format!("us/tx: {}", stages.join(", ")));
    }
    if let Some([sequential, parallel]) = figures.memory {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        lines.push(format!(
            "memory: {:.1} MiB sequential, {:.1} MiB parallel",
            mib(sequential),
            mib(parallel)
        ));
    }
    if let Some((simulated, bounds)) = &figures.simulated {
        let one = |one: &Simulated| format!("{}: {:.2}", one.workers, one.ratio());
        let all: Vec<String> = simulated.iter().map(one).collect();
        let here = figures.simulated_here().map_or(String::new(), |it| format!(" here: {it:.2},"));
        lines.push(format!(
            "simulated ratio at workers {} ({}{here} really: {:.2}); work/chain {:.1}",
            all.join(", "),
            figures.workers,
            figures.ratio(),
            bounds.ratio(u16::MAX)
        ));
    }
    lines
}

/// Writes JSON lines to standard output.
#[derive(Debug)]
pub(super) struct Json {
    conditions: Conditions,
}

impl Json {
    pub(super) const fn new(conditions: Conditions) -> Self {
        Self { conditions }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    workload: &'a str,
    half: Half,
    /// Cargo profile of the tool.
    profile: &'static str,
    /// Pause before each timed run.
    pause_us: u128,
    /// Number of busy processes per core.
    busy: u32,
    /// Whether Braid executed the block with its access list.
    access_list: bool,
    /// Whether Braid had the list as a hint.
    access_list_hint: bool,
    /// Whether Braid computed the list.
    makes_access_list: bool,
    workers: u16,
    txs: usize,
    gas: u64,
    rounds: usize,
    /// Sequential over parallel wall time.
    ratio: f64,
    /// Parallel over sequential processor time.
    cpu_ratio: f64,
    /// Time of one journal over parallel time.
    journal_ratio: Option<f64>,
    /// Sequential time over that of two concurrent halves.
    bound_ratio: Option<f64>,
    /// Speed-up that the cores allow: one sequential execution per worker, all at once.
    ceiling: Option<f64>,
    /// Processor time over wall time of sequential execution.
    seq_share: f64,
    /// (Slowest - fastest) / median of the parallel times.
    spread: f64,
    seq_spread: f64,
    seq_us_per_tx: f64,
    seq_ms: f64,
    seq_cpu_ms: f64,
    par_ms: f64,
    par_cpu_ms: f64,
    /// Wall times by round.
    seq_rounds_ms: Vec<f64>,
    par_rounds_ms: Vec<f64>,
    /// Time in which a cache line goes from one core to another and back, by round.
    core_round_trips_ns: Vec<u128>,
    mgas_per_s: f64,
    txs_per_s: f64,
    incarnations: u64,
    aborts: u64,
    estimate_reads: u64,
    speculative_share: f64,
    fallback_segments: u64,
    learned_conflict_segments: u64,
    scheduled_early: u64,
    helped_transactions: u64,
    contiguous_batches: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq_reads: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    par_reads: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages_us_per_tx: Option<BTreeMap<&'static str, f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq_peak_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    par_peak_bytes: Option<u64>,
    /// Speed-up in virtual time, by number of workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    simulated_ratio: Option<BTreeMap<u16, f64>>,
    /// Simulated speed-up on the measured number of workers, corrected by `ceiling` for cores that
    /// slow each other down.
    simulated_here: Option<f64>,
    /// Time of all transactions over that of the longest chain of dependent ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    work_over_chain: Option<f64>,
}

/// Returns wall times in milliseconds, by round.
pub(super) fn rounds_ms(series: &Series) -> Vec<f64> {
    series.samples.iter().map(|sample| sample.wall.as_secs_f64() * 1e3).collect()
}

impl<'a> Line<'a> {
    fn new(conditions: Conditions, figures: &'a Figures) -> Self {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let (sequential, parallel) = (&figures.sequential, &figures.parallel);
        Self {
            workload: &figures.workload,
            half: Half::of(&figures.workload),
            profile: PROFILE,
            pause_us: conditions.pause.as_micros(),
            busy: conditions.busy,
            access_list: conditions.lists.given,
            access_list_hint: conditions.lists.hint,
            makes_access_list: conditions.lists.made,
            workers: figures.workers,
            txs: figures.transactions,
            gas: figures.gas,
            rounds: parallel.samples.len(),
            ratio: figures.ratio(),
            cpu_ratio: figures.cpu_ratio(),
            journal_ratio: figures.journal_ratio(),
            bound_ratio: figures.bound_ratio(),
            ceiling: figures.ceiling(),
            seq_share: figures.sequential_share(),
            spread: parallel.spread(),
            seq_spread: sequential.spread(),
            seq_us_per_tx: figures.sequential_micros(),
            seq_ms: milliseconds(sequential.wall()),
            seq_cpu_ms: milliseconds(sequential.cpu()),
            par_ms: milliseconds(parallel.wall()),
            par_cpu_ms: milliseconds(parallel.cpu()),
            seq_rounds_ms: rounds_ms(sequential),
            par_rounds_ms: rounds_ms(parallel),
            core_round_trips_ns: figures.round_trips.iter().map(Duration::as_nanos).collect(),
            mgas_per_s: figures.mgas_per_second(),
            txs_per_s: figures.transactions_per_second(),
            incarnations: figures.stats.incarnations,
            aborts: figures.stats.aborts,
            estimate_reads: figures.stats.estimate_reads,
            speculative_share: figures.stats.speculative_share(),
            fallback_segments: figures.stats.fallback_segments,
            learned_conflict_segments: figures.stats.learned_conflict_segments,
            scheduled_early: figures.stats.scheduled_early,
            helped_transactions: figures.stats.helped_transactions,
            contiguous_batches: figures.stats.contiguous_batches,
            seq_reads: figures.reads.map(|[sequential, _]| sequential),
            par_reads: figures.reads.map(|[_, parallel]| parallel),
            stages_us_per_tx: stages(figures).map(BTreeMap::from),
            seq_peak_bytes: figures.memory.map(|[sequential, _]| sequential),
            par_peak_bytes: figures.memory.map(|[_, parallel]| parallel),
            simulated_ratio: figures
                .simulated
                .as_ref()
                .map(|(all, _)| all.iter().map(|one| (one.workers, one.ratio())).collect()),
            simulated_here: figures.simulated_here(),
            work_over_chain: figures.simulated.as_ref().map(|(_, bounds)| bounds.ratio(u16::MAX)),
        }
    }
}

impl Report for Json {
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn line(&mut self, figures: &Figures) -> io::Result<()> {
        let mut text = serde_json::to_vec(&Line::new(self.conditions, figures))?;
        text.push(b'\n');
        let mut out = io::stdout().lock();
        out.write_all(&text)?;
        out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}
