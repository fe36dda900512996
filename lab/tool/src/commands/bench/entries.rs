//! `braid-lab bench entries`: the entries through which a node executes a block.

use crate::bench::entries::{Entry, EntryTimes, measure};
use anstyle::Style;
use braid_blocks::{block::Block, block_file::FileDatabase, timing::Timing};
use braid_cli::{
    bench::{BenchError, Latency, Waiting, ratio, rounds_for, slowed},
    commands::bench::{Item, Unmeasured, items},
    profile,
};
use braid_evm::Config;
use braid_terminal::{End, Progress, Stop, pause_from, print_error, workers_from};
use clap::Args;
use core::num::NonZeroU16;
use serde_json::json;
use std::{
    io::{self, Write},
    time::Duration,
};

const EXAMPLES: &str = "\
Examples:
  braid-lab bench entries blocks/ --workers 1,2,4     real blocks, in memory
  braid-lab bench entries c_erc20 e_uni --db-latency 0us,5us,50us
  braid-lab bench entries --json blocks/ | jq 'select(.entry == \"factory\")'

alloy is the time of EthBlockExecutor over that of the entry, engine the time of Executor on the
same number of workers over that of the entry, CPU the entry's processor time over
EthBlockExecutor's.

Exit code: 0; 1 if a result differs from sequential execution; 2 if a block cannot be executed.";

/// Measure the entries of a node: Executor, the factory for alloy-evm, and alloy-evm's own executor
///
/// Every result is compared in full before anything is timed. The entries take turns, in random
/// order, each after a pause. The time of an entry over revm's State ends with the bundle.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct EntriesArgs {
    /// Block files, folders of them, or built-in workloads
    what: Vec<String>,
    /// Numbers of workers [default: one per core]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = workers_from)]
    workers: Vec<NonZeroU16>,
    /// Delays of each database read; 0us reads from memory
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0us")]
    db_latency: Vec<Latency>,
    /// How a delayed read waits
    #[arg(long, value_enum, value_name = "HOW", default_value = "spin")]
    db_waits: Waiting,
    /// Rounds of each block [default: 7; 28 for a block of fewer than 1000 transactions]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Pause before and after each timed run; 0 for none
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = pause_from)]
    pause: Duration,
    /// Transactions of each workload
    #[arg(long, value_name = "N")]
    txs: Option<u32>,
    /// Print one JSON object for each entry, number of workers and delay
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &EntriesArgs) -> Result<End, Stop> {
    let items = items(&args.what)?;
    if !args.json {
        begin()?;
    }
    let mut progress = Progress::new(items.len());
    let mut end = End::Right;
    for item in items {
        let name = item.name();
        progress.begin(&name);
        let found = one(args, item);
        progress.end();
        match found {
            Ok(measured) => progress.aside(|| {
                measured.iter().try_for_each(|(latency, times)| lines(args, &name, *latency, times))
            })?,
            Err(unmeasured) => {
                end = end.max(unmeasured.end);
                print_error(&unmeasured.message);
            }
        }
    }
    Ok(end)
}

/// Measures one block with each delay.
fn one(args: &EntriesArgs, item: Item) -> Result<Vec<(Latency, Vec<EntryTimes>)>, Unmeasured> {
    let name = item.name();
    let unmeasured = |error| Unmeasured::new(&name, error);
    let file = item.scaled(args.txs, 1, 1)?;
    let converted = file.to_block().map_err(|error| BenchError::Invalid(error.to_string()));
    let (block, database) = converted.map_err(unmeasured)?;
    let with = |latency: &Latency| Ok((*latency, delayed(args, &block, &database, *latency)?));
    args.db_latency.iter().map(with).collect::<Result<_, _>>().map_err(unmeasured)
}

fn delayed(
    args: &EntriesArgs,
    block: &Block,
    database: &FileDatabase,
    latency: Latency,
) -> Result<Vec<EntryTimes>, BenchError> {
    let default = [Config::default().workers];
    let workers = if args.workers.is_empty() { &default[..] } else { &args.workers };
    let rounds = args.rounds.unwrap_or(rounds_for(block.transactions.len()));
    let timing = Timing { rounds, pause: args.pause };
    if latency.0.is_zero() {
        return measure(block, &|| database.clone(), workers, timing);
    }
    let (slow, _) = slowed(database.clone(), latency, args.db_waits);
    measure(block, &|| slow.clone(), workers, timing)
}

fn begin() -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "build profile {}", profile::PROFILE)?;
    let bold = Style::new().bold();
    writeln!(
        out,
        "{bold}{:<30} {:>6} {:>18} {:>7} {:>10} {:>10} {:>6} {:>6} {:>6}{bold:#}",
        "block", "reads", "entry", "workers", "wall ms", "CPU ms", "alloy", "engine", "CPU"
    )
}

fn lines(
    args: &EntriesArgs,
    block: &str,
    latency: Latency,
    times: &[EntryTimes],
) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let of = |entry, workers| {
        let mut all = times.iter();
        all.find(|it| it.entry == entry && it.workers == workers).map(|it| &it.series)
    };
    let Some(alloy) = of(Entry::Alloy, None) else { return Ok(()) };
    for EntryTimes { entry, workers, series } in times {
        let [wall, cpu] = [series.wall(), series.cpu()].map(|time| 1e3 * time.as_secs_f64());
        let against_alloy = ratio(alloy.wall(), series.wall());
        let engine = of(Entry::Executor, *workers).map(|it| ratio(it.wall(), series.wall()));
        let cpu_ratio = ratio(series.cpu(), alloy.cpu());
        if args.json {
            let line = json!({
                "block": block,
                "read_us": latency.0.as_secs_f64() * 1e6,
                "entry": entry.to_string(),
                "workers": workers,
                "wall_ms": wall,
                "cpu_ms": cpu,
                "against_alloy": against_alloy,
                "against_engine": engine,
                "cpu_ratio": cpu_ratio,
                "spread": series.spread(),
                "profile": profile::PROFILE,
            });
            writeln!(out, "{line}")?;
            continue;
        }
        let workers = workers.map_or("-".to_owned(), |workers| workers.to_string());
        let engine = engine.map_or("-".to_owned(), |engine| format!("{engine:.2}"));
        let (latency, entry) = (latency.to_string(), entry.to_string());
        writeln!(
            out,
            "{block:<30} {latency:>6} {entry:>18} {workers:>7} {wall:>10.3} {cpu:>10.3} {against_alloy:>6.2} {engine:>6} {cpu_ratio:>6.2}"
        )?;
    }
    Ok(())
}
