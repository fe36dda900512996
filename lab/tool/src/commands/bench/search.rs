//! `braid-lab bench search`: searches for slow blocks.

use crate::bench::search::{By, Found, Search, SearchError, Worst};
use braid_cli::bench::priced::VirtualError;
use braid_terminal::{End, Progress, Stop, print_error, workers_from};
use clap::Args;
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, Write},
    num::{NonZeroU16, NonZeroUsize},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const EXAMPLES: &str = "\
Examples:
  braid-lab bench search                           a minute, on 2 and 8 simulated workers
  braid-lab bench search --seconds 3600 --seed 7 --out slow/    an hour; the worst blocks as files
  braid-lab bench search --by cpu                  blocks whose runs take most processor time
  braid-lab bench search --blocks 300 --below 0.9  alike on every machine; exit code 1 below 0.9
  braid bench slow/                                what was found, by the clock

Exit code: 0; 1 if a result differs from sequential execution, or a block below --below was found;
2 if a block cannot be made.";

/// Search for blocks on which Braid is slow, in virtual time
///
/// Changes one property of a block at a time and continues from the worse block. Properties are the
/// slots at which calls conflict and their order, how conflicts can be predicted, the time and the
/// gas limit of calls, payments, senders, one giant call, and the producer's activity. The worse
/// block is the one that breaks a promise of docs/SECURITY.md by more, unless --by selects another
/// criterion. The time of a run is its gas; of an executor's first and later executions, the slower
/// one counts. A seed finds the same blocks on every machine.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SearchArgs {
    /// Duration in seconds
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Try N blocks, however long that takes
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    blocks: Option<NonZeroUsize>,
    /// Seed of the search
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Numbers of simulated workers
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "2,8", value_parser = workers_from)]
    workers: Vec<NonZeroU16>,
    /// Criterion by which a block is worse than another
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    by: By,
    /// Keep the N worst blocks
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Write the worst blocks into this folder as block files
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Fail if the speed-up of a block is below this
    #[arg(long, value_name = "RATIO", value_parser = ratio_from)]
    below: Option<f64>,
    /// Print one JSON object per line, one for each of the worst blocks
    #[arg(long)]
    json: bool,
}

/// Runs the requested search.
pub(super) fn run(args: &SearchArgs) -> Result<End, Stop> {
    if let Some(folder) = &args.out {
        // Fails before the search, not after an hour of it, if the folder cannot be written.
        fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error.to_string()))?;
    }
    let mut worst = Worst::new(args.top.max(1));
    let begun = Instant::now();
    let looked = look(args, &mut worst);
    // Blocks found before an error are valid results.
    print(&worst, args)?;
    if let Some(folder) = &args.out {
        write(&worst, folder, args.seed)?;
    }
    let (seen, slowest) = match looked {
        Ok(looked) => looked,
        Err(error) if matches!(error.error, VirtualError::Different { .. }) => {
            print_error(&format!("seed {}: {error}", args.seed));
            return Ok(End::Mismatch);
        }
        Err(error) => return Err(Stop::Message(error.to_string())),
    };
    if !args.json {
        let (time, seed) = (begun.elapsed().as_secs_f64(), args.seed);
        writeln!(anstream::stdout().lock(), "{seen} blocks in {time:.0} s, seed {seed}")?;
    }
    let is_below = args.below.is_some_and(|least| slowest < least);
    Ok(if is_below { End::Mismatch } else { End::Right })
}

/// Searches for the requested time; returns the number of blocks and the lowest speed-up.
fn look(args: &SearchArgs, worst: &mut Worst) -> Result<(usize, f64), SearchError> {
    let mut progress = Progress::open_ended();
    let begun = Instant::now();
    let all = Search::new(args.seed, args.workers.clone(), args.by);
    let (mut seen, mut slowest) = (0_usize, f64::INFINITY);
    for found in all.take(args.blocks.map_or(usize::MAX, NonZeroUsize::get)) {
        let found = found?;
        seen += 1;
        slowest = slowest.min(found.ratio);
        if worst.add(found) {
            let Found { ratio, runs, shape, .. } = found;
            progress.begin(&format!("{seen} blocks, {ratio:.2} runs {runs:.2} {shape}"));
        }
        if args.blocks.is_none() && begun.elapsed() >= Duration::from_secs(args.seconds) {
            break;
        }
    }
    progress.end();
    Ok((seen, slowest))
}

fn print(worst: &Worst, args: &SearchArgs) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for found in worst.all() {
        if args.json {
            writeln!(out, "{}", line(found, args.seed))?;
        } else {
            let Found { ratio, runs, workers, shape, .. } = found;
            writeln!(out, "{ratio:.2}, runs {runs:.2}, worst on {workers} workers: {shape}")?;
        }
    }
    out.flush()
}

fn line(found: &Found, seed: u64) -> Value {
    json!({
        "ratio": found.ratio,
        "workers": found.workers,
        "runs": found.runs,
        "badness": found.badness,
        "shape": found.shape.to_string(),
        "seed": seed,
    })
}

/// Parses a speed-up.
fn ratio_from(text: &str) -> Result<f64, &'static str> {
    let ratio = text.parse().ok().filter(|it: &f64| it.is_finite() && *it >= 0.0);
    ratio.ok_or("expected a number, as 0.9")
}

fn unwritable(folder: &Path, error: &str) -> Stop {
    Stop::Message(format!(
        "cannot write {}: {error}; name another folder with --out",
        folder.display()
    ))
}

fn write(worst: &Worst, folder: &Path, seed: u64) -> Result<(), Stop> {
    let failed = |error: String| unwritable(folder, &error);
    for (place, found) in (1..).zip(worst.all()) {
        let file = found.shape.sealed_block(seed).map_err(|error| failed(error.to_string()))?;
        let path = folder.join(format!("slow-{place:02}.json.zst"));
        file.write(&path).map_err(|error| failed(error.to_string()))?;
    }
    Ok(())
}
