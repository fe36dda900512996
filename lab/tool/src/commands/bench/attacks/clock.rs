//! `braid-lab bench attacks --clock`.

use super::{AttacksArgs, failed};
use crate::bench::attacks::{BESIDE, CPU, Clocked, WALL, clocked};
use anstyle::{AnsiColor, Style};
use braid_blocks::workload::Attack;
use braid_cli::{bench::Series, profile};
use braid_evm::Config;
use braid_terminal::{End, Progress, Stop};
use core::num::NonZeroU16;
use serde_json::json;
use std::io::{self, Write};

/// Values of N of "one in N transactions attacks": the whole block; the share in the tests, where
/// wrong attempts weigh more; and short blocks, whose time is comparable with that of waking a
/// worker.
const PARTS: [u32; 3] = [1, 4, 100];

/// Result of one attack on some number of workers.
struct Line {
    attack: Attack,
    part: u32,
    workers: NonZeroU16,
    found: Clocked,
}

/// Times all `wanted` attacks.
pub(super) fn run(args: &AttacksArgs, wanted: &[Attack]) -> Result<End, Stop> {
    let default = [Config::default().workers];
    let workers = if args.workers.is_empty() { &default[..] } else { &args.workers };
    let parts = args.part.map_or(PARTS.to_vec(), |part| vec![part]);
    if !args.json {
        begin()?;
    }
    let mut progress = Progress::new(wanted.len() * parts.len() * workers.len());
    for part in parts {
        for (attack, workers) in
            wanted.iter().flat_map(|attack| workers.iter().map(move |count| (*attack, *count)))
        {
            progress.begin(&format!("{attack}, part {part}"));
            let on = (workers, args.policy.policy());
            let found = clocked(attack, (part, args.seed), on, args.rounds, args.pause);
            progress.end();
            match found {
                Ok(found) => {
                    let line = Line { attack, part, workers, found };
                    progress.aside(|| if args.json { line.object() } else { line.print() })?;
                }
                Err(error) => return Ok(failed(attack, &error)),
            }
        }
    }
    Ok(End::Right)
}

fn begin() -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "build profile {}; part N: one in N of the transactions", profile::PROFILE)?;
    writeln!(
        out,
        "aim: at most {WALL:.2} of sequential wall time and {:.1} ms, {CPU:.1} times its processor time",
        BESIDE.as_secs_f64() * 1e3
    )?;
    let bold = Style::new().bold();
    let name = "sequential over Braid's wall time";
    writeln!(out, "{bold}{name:<40} part on    seq ms learned  fresh    cpu{bold:#}",)
}

impl Line {
    fn print(&self) -> io::Result<()> {
        let Self { attack, part, workers, found } = self;
        let style = if found.is_kept() { Style::new() } else { AnsiColor::Red.on_default() };
        let (name, time) = (attack.to_string(), found.sequential.wall().as_secs_f64() * 1e3);
        let ratios = [found.learned_ratio(), found.fresh_ratio(), found.cpu_ratio()];
        let [learned, fresh, cpu] = ratios;
        writeln!(
            anstream::stdout().lock(),
            "{style}{name:<40} {part:>4} {workers:>2} {time:>9.3} {learned:>7.2} {fresh:>6.2} {cpu:>6.2}{style:#}"
        )
    }

    fn object(&self) -> io::Result<()> {
        let Self { attack, part, workers, found } = self;
        let times =
            |series: &Series| [series.wall(), series.cpu()].map(|time| time.as_secs_f64() * 1e3);
        let [sequential, fresh, learned] =
            [&found.sequential, &found.fresh, &found.learned].map(times);
        let value = json!({
            "attack": attack.to_string(),
            "part": part,
            "transactions": found.transactions,
            "workers": workers,
            "learned": found.learned_ratio(),
            "fresh": found.fresh_ratio(),
            "cpu": found.cpu_ratio(),
            "sequential_ms": sequential[0],
            "learned_ms": learned[0],
            "fresh_ms": fresh[0],
            "sequential_cpu_ms": sequential[1],
            "learned_cpu_ms": learned[1],
            "fresh_cpu_ms": fresh[1],
            "kept": found.is_kept(),
            "profile": profile::PROFILE,
        });
        writeln!(io::stdout().lock(), "{value}")
    }
}
