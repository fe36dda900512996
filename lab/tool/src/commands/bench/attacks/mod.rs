//! `braid-lab bench attacks`: attack blocks.

mod clock;

use crate::bench::attacks::{CPU, Extent, WALL, attacked, is_kept, peak};
use anstyle::{AnsiColor, Style};
use braid_blocks::workload::Attack;
use braid_cli::bench::priced::{Virtual, VirtualError};
use braid_terminal::{End, PolicyArg, Progress, Stop, pause_from, print_error, workers_from};
use clap::Args;
use core::num::NonZeroU16;
use serde_json::json;
use std::{
    io::{self, Write},
    process::{Command, Stdio},
    time::Duration,
};

const EXAMPLES: &str = "\
Examples:
  braid-lab bench attacks                        every attack, on 2 and 8 simulated workers
  braid-lab bench attacks \"read sets\" gas        those with these words in their names
  braid-lab bench attacks --json | jq 'select(.kept | not)'
  braid-lab bench attacks --clock                wall and processor time of whole blocks, of a
                                                 fourth and a hundredth of each, on this machine,
                                                 which should be idle
  braid-lab bench attacks --memory               bytes that each adds, and the most that it may

Exit code: 0; 1 if a result differs from sequential execution or a wrong access list goes unnoticed;
2 if nothing has such a name; with --memory also 1 if a block needs more than it may.";

/// Measure blocks made by an attacker, in virtual time or on the clock
///
/// Each attack is something that a sender or a block producer can put into a block to slow it down;
/// docs/SECURITY.md lists the measured costs and the limits. The time of a run is its gas, so the
/// figures are the same on every machine; with --clock, runs are timed on this machine.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AttacksArgs {
    /// Only attacks whose names contain one of these words
    words: Vec<String>,
    /// Numbers of workers; simulated without --clock [default: 2,8; with --clock, one per core]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = workers_from)]
    workers: Vec<NonZeroU16>,
    /// Let one in N transactions of each block attack [default: 1; with --clock, each of 1, 4 and
    /// 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    part: Option<u32>,
    /// Measure on the clock: wall time, and processor time until the workers sleep again, against
    /// sequential revm
    #[arg(long, conflicts_with = "memory")]
    clock: bool,
    /// With --clock: rounds [default: 7; 28 for a block of fewer than 1000 transactions]
    #[arg(long, value_name = "N", requires = "clock", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// With --clock: pause before and after each timed run, with a unit
    #[arg(long, value_name = "TIME", default_value = "5ms", requires = "clock", value_parser = pause_from)]
    pause: Duration,
    /// With --clock: how eagerly to speculate
    #[arg(long, value_enum, default_value_t, requires = "clock")]
    policy: PolicyArg,
    /// Measure memory instead, with each attack in processes of its own
    #[arg(long)]
    memory: bool,
    /// Print the bytes of one attack on this number of workers; with 0, executed sequentially
    #[arg(long, hide = true, value_name = "N")]
    probe: Option<u16>,
    /// Seed of the blocks
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object for each attack and number of workers
    #[arg(long)]
    json: bool,
}

impl AttacksArgs {
    /// Returns N of "one in N transactions attacks", and the seed.
    fn block(&self) -> (u32, u64) {
        (self.part.unwrap_or(1), self.seed)
    }

    /// Returns the numbers of simulated workers.
    fn simulated(&self) -> Vec<NonZeroU16> {
        let default = || [2, 8].into_iter().filter_map(NonZeroU16::new).collect();
        if self.workers.is_empty() { default() } else { self.workers.clone() }
    }
}

pub(super) fn run(args: &AttacksArgs) -> Result<End, Stop> {
    let wanted = wanted(&args.words)?;
    if let Some(workers) = args.probe {
        return probe(args, &wanted, workers);
    }
    if args.clock {
        return clock::run(args, &wanted);
    }
    if args.memory {
        return memory(args, &wanted);
    }
    if !args.json {
        let mut out = anstream::stdout().lock();
        writeln!(out, "simulated workers: a run takes as long as its gas")?;
        writeln!(
            out,
            "aim: at least {:.2} of sequential, runs of at most {CPU:.1} times",
            1.0 / WALL
        )?;
        let bold = Style::new().bold();
        let name = "sequential over Braid's time";
        writeln!(out, "{bold}{name:<40} on learned  fresh   runs{bold:#}")?;
    }
    let workers = args.simulated();
    let mut progress = Progress::new(wanted.len());
    for attack in wanted {
        progress.begin(&attack.to_string());
        let found = attacked(attack, args.block(), &workers);
        progress.end();
        let found = match found {
            Ok(found) => found,
            Err(error) => return Ok(failed(attack, &error)),
        };
        for (workers, found) in workers.iter().zip(&found) {
            progress.aside(|| line(args, attack, *workers, found))?;
        }
    }
    Ok(End::Right)
}

/// Reports why an attack has no figures.
fn failed(attack: Attack, error: &VirtualError) -> End {
    print_error(&format!("{attack}: {error}"));
    let is_wrong = !matches!(error, VirtualError::Invalid(_));
    if is_wrong { End::Mismatch } else { End::BadInput }
}

fn wanted(words: &[String]) -> Result<Vec<Attack>, Stop> {
    let has = |attack: &Attack, word: &String| attack.to_string().contains(word.as_str());
    if let Some(word) = words.iter().find(|word| !Attack::ALL.iter().any(|it| has(it, word))) {
        let names: Vec<String> = Attack::ALL.iter().map(ToString::to_string).collect();
        let names = names.join("; ");
        return Err(Stop::Message(format!("{word}: no attack has that in its name: {names}")));
    }
    let is_wanted = |it: &Attack| words.is_empty() || words.iter().any(|word| has(it, word));
    Ok(Attack::ALL.into_iter().filter(is_wanted).collect())
}

fn line(
    args: &AttacksArgs,
    attack: Attack,
    workers: NonZeroU16,
    found: &Virtual,
) -> io::Result<()> {
    let Virtual { fresh, learned, runs, .. } = found;
    let mut out = anstream::stdout().lock();
    if args.json {
        let value = json!({
            "attack": attack.to_string(),
            "workers": workers,
            "learned": learned,
            "fresh": fresh,
            "runs": runs,
            "kept": is_kept(found),
        });
        return writeln!(out, "{value}");
    }
    let style = if is_kept(found) { Style::new() } else { AnsiColor::Red.on_default() };
    let name = attack.to_string();
    writeln!(out, "{style}{name:<40} {workers:>2} {learned:>7.2} {fresh:>6.2} {runs:>6.2}{style:#}")
}

/// Runs in the process that [`probed`] starts.
fn probe(args: &AttacksArgs, wanted: &[Attack], workers: u16) -> Result<End, Stop> {
    let Some(attack) = wanted.first() else { return Ok(End::BadInput) };
    let peak = peak(*attack, args.block(), NonZeroU16::new(workers));
    let peak = peak.map_err(|error| Stop::Message(error.to_string()))?;
    let untold =
        || Stop::Message("this system does not report it how much memory is used".to_owned());
    writeln!(io::stdout().lock(), "{}", peak.ok_or_else(untold)?)?;
    Ok(End::Right)
}

/// Measures the memory of an attack in a process of its own, in bytes.
fn probed(args: &AttacksArgs, attack: Attack, workers: u16) -> Result<u64, Stop> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "attacks", &attack.to_string()]);
    let (part, seed) = args.block();
    command.arg(format!("--probe={workers}")).arg(format!("--part={part}"));
    command.arg(format!("--seed={seed}")).stdin(Stdio::null());
    // Otherwise memory freed by the generator would be reused, and hide the growth.
    let output = command.env("MIMALLOC_PURGE_DELAY", "0").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = || Stop::Message(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    text.trim().parse().map_err(|_| failed())
}

/// Measures memory and compares it with the limits.
fn memory(args: &AttacksArgs, wanted: &[Attack]) -> Result<End, Stop> {
    let mut end = End::Right;
    let mut progress = Progress::new(wanted.len());
    // A rejected block has no result whose memory could be measured.
    for attack in wanted.iter().filter(|it| !matches!(it, Attack::LieLast | Attack::LieAll)) {
        progress.begin(&attack.to_string());
        let sequential = probed(args, *attack, 0)?;
        for workers in args.simulated() {
            let extent = Extent::of(*attack, args.block(), workers.get());
            let extent = extent.map_err(|error| Stop::Message(error.to_string()))?;
            let (most, found) = (extent.most_bytes(), probed(args, *attack, workers.get())?);
            if found > most {
                end = End::Mismatch;
            }
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            progress.aside(|| {
                let mut out = anstream::stdout().lock();
                if args.json {
                    let value = json!({
                        "attack": attack.to_string(),
                        "workers": workers,
                        "sequential_bytes": sequential,
                        "bytes": found,
                        "most_bytes": most,
                    });
                    return writeln!(out, "{value}");
                }
                let name = attack.to_string();
                let [sequential, found, most] = [sequential, found, most].map(mib);
                writeln!(
                    out,
                    "{name:<40} {workers:>2} {found:>7.1} MiB, at most {most:>7.1}, sequential {sequential:>6.1}"
                )
            })?;
        }
        progress.end();
    }
    Ok(end)
}
