//! `braid bench --virtual`: blocks in virtual time, with the gas of a run as its time.

use super::items::{Item, Unmeasured, items};
use super::{BenchArgs, Ready, ready, report::NAME};
use crate::bench::{
    Half, Means,
    priced::{Virtual, VirtualError, virtual_ratios_of},
};
use anstyle::Style;
use braid_terminal::{End, Progress, Stop};
use core::num::NonZeroU16;
use serde_json::json;
use std::io::{self, Write};

/// A block on some number of workers.
struct Line<'a> {
    name: &'a str,
    workers: NonZeroU16,
    transactions: usize,
    figures: Virtual,
}

/// Simulates every requested block.
pub(super) fn run(args: &BenchArgs) -> Result<End, Stop> {
    let items = items(&args.what)?;
    let mut progress = Progress::new(items.len());
    if !args.json {
        begin(args)?;
    }
    let (mut means, mut end) = (Means::new(), End::Right);
    for item in items {
        let name = item.name();
        progress.begin(&name);
        let simulated = simulate(args, item, &name);
        progress.end();
        progress.aside(|| match simulated {
            Ok((transactions, all)) => {
                args.priced.iter().zip(all).try_for_each(|(&workers, figures)| {
                    means.add(&name, workers.get(), figures.slower());
                    let line = Line { name: &name, workers, transactions, figures };
                    if args.json { json(&line) } else { table(&line) }
                })
            }
            Err(unmeasured) => {
                end = end.max(unmeasured.end);
                unmeasured.print(&name, args.json)
            }
        })?;
    }
    drop(progress);
    if !args.json {
        let mut out = anstream::stdout().lock();
        means.lines().iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    Ok(end)
}

/// Returns the block's number of transactions and its speed-ups on each number of workers.
fn simulate(args: &BenchArgs, item: Item, name: &str) -> Result<(usize, Vec<Virtual>), Unmeasured> {
    let Ready { block, database, shared } = ready(args, item, name)?;
    let all = virtual_ratios_of(&block, &shared, &database, &args.priced);
    let all = all.map_err(|error| {
        let is_different = matches!(error, VirtualError::Different { .. });
        let end = if is_different { End::Mismatch } else { End::BadInput };
        Unmeasured { end, message: format!("{name}: {error}") }
    })?;
    Ok((block.transactions.len(), all))
}

fn begin(args: &BenchArgs) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let with = if args.bal { ", with access lists" } else { "" };
    let with = if args.bal_hint { ", with access lists as hints" } else { with };
    writeln!(out, "simulated workers: a run takes as long as its gas{with}")?;
    let bold = Style::new().bold();
    writeln!(
        out,
        "{bold}{:<NAME$} {:>7} {:>6} {:>7} {:>6} {:>6} {:>6} {:>7}{bold:#}",
        "workload", "workers", "txs", "learned", "fresh", "runs", "chain", "longest"
    )
}

fn table(line: &Line<'_>) -> io::Result<()> {
    let Line { name, workers, transactions, figures } = line;
    let Virtual { fresh, learned, runs, chain_bound, longest_bound } = figures;
    writeln!(
        anstream::stdout().lock(),
        "{name:<NAME$} {workers:>7} {transactions:>6} {learned:>7.2} {fresh:>6.2} {runs:>6.2} {chain_bound:>6.2} \
         {longest_bound:>7.2}"
    )
}

fn json(line: &Line<'_>) -> io::Result<()> {
    let Line { name, workers, transactions, figures } = line;
    let value = json!({
        "workload": name,
        "half": Half::of(name),
        "workers": workers,
        "txs": transactions,
        "learned": figures.learned,
        "fresh": figures.fresh,
        "runs": figures.runs,
        "chain_bound": figures.chain_bound,
        "longest_bound": figures.longest_bound,
    });
    writeln!(io::stdout().lock(), "{value}")
}
