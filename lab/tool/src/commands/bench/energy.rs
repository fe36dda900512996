//! `braid-lab bench energy`: processor time and energy per gas.

use crate::bench::energy::{Cost, EnergyError, Meter, Ways};
use anstyle::Style;
use braid_cli::{
    commands::bench::{Item, items},
    profile,
};
use braid_evm::Config;
use braid_terminal::{End, Progress, Stop, print_error, workers_from};
use clap::Args;
use core::num::NonZeroU16;
use serde_json::{Value, json};
use std::io::{self, Write};

const EXAMPLES: &str = "\
Examples:
  braid-lab bench energy blocks/                   real blocks, on one worker and on all
  braid-lab bench energy e_uni c_erc20 --workers 1,2,4
  braid-lab bench energy --json blocks/ | jq 'select(.block == null)'

Joules are those of the processors' counters (RAPL), with all else that runs: only Linux tells them, and only root.

Exit code: 0; 1 if a result differs from sequential execution; 2 if a block cannot be executed.";

/// Measure processor seconds, and joules if the machine counts them, per million gas
///
/// Executes each block sequentially with revm and with Braid on each number of workers, in turn and
/// without pauses. The last lines are the sums over all blocks.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct EnergyArgs {
    /// Block files, folders of them, or built-in workloads
    what: Vec<String>,
    /// Numbers of workers [default: 1, 2, 4, ... and one per core]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = workers_from)]
    workers: Vec<NonZeroU16>,
    /// Rounds of each block
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Transactions of each workload
    #[arg(long, value_name = "N")]
    txs: Option<u32>,
    /// Print one JSON object for each way of executing each block, and for each sum
    #[arg(long)]
    json: bool,
}

/// Returns 1, 2, 4 and so on, and `all`.
fn doubling(all: NonZeroU16) -> Vec<NonZeroU16> {
    let below = (0..16).map(|power| 1_u16 << power).take_while(|count| *count < all.get());
    below.chain([all.get()]).filter_map(NonZeroU16::new).collect()
}

pub(super) fn run(args: &EnergyArgs) -> Result<End, Stop> {
    let items = items(&args.what)?;
    let all = doubling(Config::default().workers);
    let workers = if args.workers.is_empty() { all } else { args.workers.clone() };
    let meter = Meter::of_machine();
    let counts_joules = meter.read().is_some();
    let mut ways = Ways::new(&workers, meter).map_err(|error| Stop::Message(error.to_string()))?;
    if !args.json {
        begin(counts_joules)?;
    }
    let mut progress = Progress::new(items.len());
    let mut end = End::Right;
    let count = items.len();
    for item in items {
        let name = item.name();
        progress.begin(&name);
        let found = one(args, item, &mut ways);
        progress.end();
        match found {
            Ok((sequential, parallel)) if count > 1 || args.json => {
                progress.aside(|| lines(args, Some(&name), &sequential, &workers, &parallel))?;
            }
            Ok(_) => {}
            Err((reason, message)) => {
                end = end.max(reason);
                print_error(&format!("{name}: {message}"));
            }
        }
    }
    drop(progress);
    if ways.sequential.gas > 0 {
        let parallel: Vec<Cost> = ways.parallel.iter().map(|(_, cost)| *cost).collect();
        lines(args, None, &ways.sequential, &workers, &parallel)?;
    }
    Ok(end)
}

type Found = Result<(Cost, Vec<Cost>), (End, String)>;

fn one(args: &EnergyArgs, item: Item, ways: &mut Ways) -> Found {
    let file = item.scaled(args.txs, 1, 1).map_err(|it| (it.end, it.message))?;
    let converted = file.to_block().map_err(|error| (End::BadInput, error.to_string()));
    let (block, database) = converted?;
    drop(file);
    ways.execute(&block, &database, args.rounds).map_err(|error| {
        let end = match error {
            EnergyError::Different(_) => End::Mismatch,
            EnergyError::Invalid(_) => End::BadInput,
        };
        (end, error.to_string())
    })
}

fn begin(counts_joules: bool) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let joules = if counts_joules { "" } else { "; this machine does not tell joules" };
    writeln!(out, "build profile {}{joules}", profile::PROFILE)?;
    let bold = Style::new().bold();
    writeln!(
        out,
        "{bold}{:<38} {:>10} {:>12} {:>12} {:>9} {:>10}{bold:#}",
        "block", "way", "CPU ms/Mgas", "wall ms/Mgas", "CPU ratio", "J/Mgas"
    )
}

/// Prints the cost of a block, or of all blocks.
fn lines(
    args: &EnergyArgs,
    block: Option<&str>,
    sequential: &Cost,
    workers: &[NonZeroU16],
    parallel: &[Cost],
) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let all = [(None, sequential)].into_iter();
    for (workers, cost) in all.chain(workers.iter().map(Some).zip(parallel)) {
        let ratio = cost.cpu_per_mgas() / sequential.cpu_per_mgas().max(f64::MIN_POSITIVE);
        if args.json {
            writeln!(out, "{}", object(block, workers.copied(), cost, ratio))?;
            continue;
        }
        let way = workers.map_or("sequential".to_owned(), |workers| format!("{workers} workers"));
        let joules = cost.joules_per_mgas().map_or("-".to_owned(), |it| format!("{it:.3}"));
        let name = block.unwrap_or("all");
        let [cpu, wall] = [cost.cpu_per_mgas(), cost.wall_per_mgas()].map(|seconds| 1e3 * seconds);
        writeln!(out, "{name:<38} {way:>10} {cpu:>12.3} {wall:>12.3} {ratio:>9.2} {joules:>10}")?;
    }
    Ok(())
}

fn object(block: Option<&str>, workers: Option<NonZeroU16>, cost: &Cost, ratio: f64) -> Value {
    json!({
        "block": block,
        "workers": workers,
        "cpu_seconds_per_mgas": cost.cpu_per_mgas(),
        "seconds_per_mgas": cost.wall_per_mgas(),
        "joules_per_mgas": cost.joules_per_mgas(),
        "cpu_ratio": ratio,
        "gas": cost.gas,
        "profile": profile::PROFILE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_double_up_to_all() {
        let of = |all: u16| -> Vec<u16> {
            doubling(NonZeroU16::new(all).unwrap()).into_iter().map(NonZeroU16::get).collect()
        };
        assert_eq!(of(1), [1]);
        assert_eq!(of(2), [1, 2]);
        assert_eq!(of(6), [1, 2, 4, 6]);
        assert_eq!(of(16), [1, 2, 4, 8, 16]);
    }
}
