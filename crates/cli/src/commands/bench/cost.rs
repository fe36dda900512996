//! `braid bench --cost`: what sharing a transaction costs, and where.

use super::items::{Item, Unmeasured, items};
use super::{BenchArgs, Ready, ready, report::NAME};
use crate::{
    bench::{self, Cost, Costs, Subject, Way},
    profile,
};
use anstyle::Style;
use braid_blocks::timing::Timing;
use braid_terminal::{End, Progress, Stop};
use serde_json::json;
use std::io::{self, Write};

/// Measures every requested block.
pub(super) fn run(args: &BenchArgs) -> Result<End, Stop> {
    if let Some(warning) = profile::warning() {
        writeln!(anstream::stderr().lock(), "warning: {warning}")?;
    }
    let items = items(&args.what)?;
    let mut progress = Progress::new(items.len());
    if !args.json {
        begin()?;
    }
    let mut end = End::Right;
    for item in items {
        let name = item.name();
        progress.begin(&name);
        let costs = costs(args, item, &name);
        progress.end();
        progress.aside(|| match costs {
            Ok(costs) if args.json => json(&name, &costs),
            Ok(costs) => table(&name, &costs),
            Err(unmeasured) => {
                end = end.max(unmeasured.end);
                unmeasured.print(&name, args.json)
            }
        })?;
    }
    Ok(end)
}

fn costs(args: &BenchArgs, item: Item, name: &str) -> Result<Costs, Unmeasured> {
    let Ready { block, database, shared } = ready(args, item, name)?;
    let clone = || database.clone();
    let subject = Subject { name, block: &block, shared: &shared, database: &clone, reads: None };
    let rounds = args.rounds.unwrap_or_else(|| bench::rounds_for(block.transactions.len()));
    let timing = Timing { rounds, pause: args.pause };
    bench::costs(&subject, timing).map_err(|error| Unmeasured::new(name, error))
}

fn begin() -> io::Result<()> {
    let bold = Style::new().bold();
    writeln!(
        anstream::stdout().lock(),
        "microseconds per transaction\n\
         {bold}{:<NAME$} {:<14} {:>6} {:>6} {:>5} {:>6} {:>7} {:>6} {:>7} {:>10} {:>8} {:>6} {:>6} \
         {:>6} {:>6} {:>6}{bold:#}",
        "workload",
        "way",
        "ratio",
        "cpu",
        "+-",
        "beyond",
        "execute",
        "view",
        "publish",
        "coordinate",
        "validate",
        "commit",
        "wait",
        "plan",
        "bundle",
        "faults"
    )
}

fn table(name: &str, costs: &Costs) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{name:<NAME$} {:<14} {:>6.2} {:>6.2}", "revm", 1.0, costs.revm_us)?;
    for cost in &costs.ways {
        let Cost { way, workers, cpu_us, spread_us, beyond_us, ratio, faults, stages, view_us } =
            *cost;
        let way = match way {
            Way::Sequential => "sequential",
            Way::Speculative => "speculative",
        };
        write!(
            out,
            "{name:<NAME$} {:<14} {ratio:>6.2} {cpu_us:>6.2} {spread_us:>5.2} {beyond_us:>6.2}",
            format!("{way}, {workers}")
        )?;
        if let (Some(stages), Some(view)) = (stages, view_us) {
            write!(
                out,
                " {:>7.2} {view:>6.2} {:>7.2} {:>10.2} {:>8.2} {:>6.2} {:>6.2} {:>6.2} {:>6.2}",
                stages.execute,
                stages.publish,
                stages.coordinate,
                stages.validate,
                stages.commit,
                stages.wait,
                stages.plan,
                stages.bundle
            )?;
        }
        match faults {
            Some(faults) => writeln!(out, " {faults:>6.2}")?,
            None => writeln!(out, " {:>6}", "-")?,
        }
    }
    Ok(())
}

fn json(name: &str, costs: &Costs) -> io::Result<()> {
    let value = json!({ "workload": name, "revm_us": costs.revm_us, "ways": costs.ways });
    writeln!(io::stdout().lock(), "{value}")
}
