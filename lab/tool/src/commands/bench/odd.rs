//! `braid-lab bench odd`: blocks with one unusual property each.

use crate::bench::Bounded;
use anstyle::{AnsiColor, Style};
use braid_blocks::{block::Block, block_file::FileDatabase, timing::Timing, workload::Odd};
use braid_cli::{
    bench::{
        BenchError,
        priced::{Virtual, VirtualError, virtual_ratios},
    },
    commands::bench::{Conditions, ListsInUse, optional},
};
use braid_evm::Config;
use braid_terminal::{End, Progress, Stop, pause_from, print_error, workers_from};
use clap::Args;
use core::num::NonZeroU16;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    time::Duration,
};

const EXAMPLES: &str = "\
Examples:
  braid-lab bench odd                  every row, by the clock
  braid-lab bench odd swaps \"by rules\" rows with these words in their names
  braid-lab bench odd --virtual        on 2 and 8 simulated workers: alike on every machine
  braid-lab bench odd --json           one JSON object for each row

Exit code: 0; 1 if a result differs from sequential execution, or a row is below --below; 2 if nothing has such a name.";

/// Measure blocks with one unusual property each
///
/// Covers the producer's account and its activity, how the database represents absent accounts, old
/// forks, one giant transaction, few large transactions, and arguments that never repeat. Each row
/// compares Braid with sequential revm, once with an executor that has executed the block before
/// and once with one that does not learn, and with the first row of its group.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct OddArgs {
    /// Only rows whose names contain one of these words
    words: Vec<String>,
    /// Numbers of workers
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = workers_from)]
    workers: Vec<NonZeroU16>,
    /// Simulate workers, with the gas of a run as its time [default workers: 2 and 8]
    #[arg(long = "virtual")]
    is_virtual: bool,
    /// Rounds of each row
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Pause before each timed run, with a unit
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = pause_from)]
    pause: Duration,
    /// Seed of the blocks
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Fail if the speed-up of a row is below this
    #[arg(long, value_name = "RATIO")]
    below: Option<f64>,
    /// Print one JSON object for each row
    #[arg(long)]
    json: bool,
}

/// Speed-up below which a row counts as slower than sequential execution.
const SLOWER: f64 = 0.95;
/// Ratio to the first row of its group below which a row is marked.
const FALLS: f64 = 0.9;

/// Figures of a row.
enum Figures {
    Timed(Box<Bounded>),
    Virtual(Virtual),
}

impl Figures {
    fn slower(&self) -> f64 {
        match self {
            Self::Timed(measured) => measured.slower(),
            Self::Virtual(figures) => figures.slower(),
        }
    }
}

/// A row on some number of workers.
struct Line<'a> {
    row: &'a Odd,
    workers: NonZeroU16,
    transactions: usize,
    figures: Figures,
    /// Ratio to the first row of the group.
    against: f64,
}

/// Why a row has no figures.
struct Unmeasured {
    /// Whether a result differs from the sequential one.
    is_different: bool,
    message: String,
}

/// Measures the requested rows.
pub(super) fn run(args: &OddArgs) -> Result<End, Stop> {
    let rows = wanted(&args.words)?;
    let workers = workers(args);
    if !args.json {
        begin(args)?;
    }
    let mut progress = Progress::new(rows.len());
    // Name of the group, with its first row's speed-ups by number of workers.
    let mut first: (&str, Vec<f64>) = ("", Vec::new());
    let mut end = End::Right;
    for row in &rows {
        progress.begin(&row.to_string());
        let (block, database) =
            row.block(args.seed).map_err(|error| Stop::Message(format!("{row}: {error}")))?;
        let found = measure(args, row, &block, &database, &workers);
        progress.end();
        let found = match found {
            Ok(found) => found,
            Err(Unmeasured { is_different, message }) => {
                print_error(&format!("{row}: {message}"));
                return Ok(if is_different { End::Mismatch } else { End::BadInput });
            }
        };
        let is_new = first.0 != row.group;
        if is_new {
            first = (row.group, found.iter().map(Figures::slower).collect());
        }
        if is_new && !args.json {
            let transactions = block.transactions.len();
            let title = format!("{}, {transactions} transactions", row.group);
            progress.aside(|| writeln!(anstream::stdout().lock(), "{title}"))?;
        }
        for ((workers, figures), first) in workers.iter().zip(found).zip(&first.1) {
            if args.below.is_some_and(|least| figures.slower() < least) {
                end = End::Mismatch;
            }
            let against = figures.slower() / first.max(f64::MIN_POSITIVE);
            let transactions = block.transactions.len();
            let line = Line { row, workers: *workers, transactions, figures, against };
            progress.aside(|| if args.json { json(&line) } else { table(&line) })?;
        }
    }
    Ok(end)
}

fn wanted(words: &[String]) -> Result<Vec<Odd>, Stop> {
    let has = |row: &Odd, word: &String| row.to_string().contains(word.as_str());
    let mut rows = Odd::all();
    if let Some(word) = words.iter().find(|word| !rows.iter().any(|row| has(row, word))) {
        return Err(Stop::Message(format!(
            "{word}: no row has that in its name; groups are {}",
            groups(&rows).join(", ")
        )));
    }
    rows.retain(|row| words.is_empty() || words.iter().any(|word| has(row, word)));
    Ok(rows)
}

/// Returns each group once, in order.
fn groups(rows: &[Odd]) -> Vec<&'static str> {
    let mut groups: Vec<_> = rows.iter().map(|row| row.group).collect();
    groups.dedup();
    groups
}

fn workers(args: &OddArgs) -> Vec<NonZeroU16> {
    if !args.workers.is_empty() {
        return args.workers.clone();
    }
    if args.is_virtual {
        return [2, 8].into_iter().filter_map(NonZeroU16::new).collect();
    }
    vec![Config::default().workers]
}

fn measure(
    args: &OddArgs,
    row: &Odd,
    block: &Block,
    database: &FileDatabase,
    workers: &[NonZeroU16],
) -> Result<Vec<Figures>, Unmeasured> {
    if args.is_virtual {
        let found = virtual_ratios(block, database, workers);
        return found.map(|all| all.into_iter().map(Figures::Virtual).collect()).map_err(|error| {
            let is_different = matches!(error, VirtualError::Different { .. });
            Unmeasured { is_different, message: error.to_string() }
        });
    }
    let timing = Timing { rounds: args.rounds, pause: args.pause };
    let timed = |workers: &NonZeroU16| {
        let measured = Bounded::measure(row, block, database, *workers, timing);
        measured.map(|measured| Figures::Timed(Box::new(measured))).map_err(|error| {
            let is_different = matches!(error, BenchError::Different { .. });
            Unmeasured { is_different, message: error.to_string() }
        })
    };
    workers.iter().map(timed).collect()
}

fn json(line: &Line<'_>) -> io::Result<()> {
    let Line { row, workers, transactions, figures, against } = line;
    let mut value = json!({
        "group": row.group,
        "row": row.name,
        "workers": workers,
        "transactions": transactions,
        "against": against,
    });
    let more = match figures {
        Figures::Virtual(Virtual { fresh, learned, runs, .. }) => {
            json!({ "virtual": true, "learned": learned, "fresh": fresh, "runs": runs })
        }
        Figures::Timed(measured) => json!({
            "virtual": false,
            "learned": measured.learned.ratio(),
            "fresh": measured.fresh.ratio(),
            "cpu": measured.cpu(),
            "sequential_us": measured.learned.sequential_micros(),
            "ceiling": measured.learned.ceiling(),
            "chain_bound": measured.chain_bound,
            "late_read_bound": measured.late_bound,
            "bound": measured.bound(),
            "spread": measured.learned.parallel.spread().max(measured.fresh.parallel.spread()),
            "segments": measured.segments.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    writeln!(io::stdout().lock(), "{value}")
}

/// Width of the name column.
const NAME: usize = 52;

fn begin(args: &OddArgs) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let bold = Style::new().bold();
    if args.is_virtual {
        writeln!(out, "simulated workers: a run takes as long as its gas")?;
    } else {
        writeln!(
            out,
            "{}",
            Conditions { pause: args.pause, busy: 0, lists: ListsInUse::default() }
        )?;
    }
    let name = "sequential over Braid's time";
    let last = if args.is_virtual { "   runs" } else { "    cpu  bound  how most of it ran" };
    writeln!(out, "{bold}{name:<NAME$} on learned  fresh  group{last}{bold:#}")
}

/// Prints a row with its ratio to the first row of its group.
fn table(line: &Line<'_>) -> io::Result<()> {
    let Line { row, workers, figures, against, .. } = line;
    let mut out = anstream::stdout().lock();
    let style = match figures.slower() {
        slower if slower < SLOWER => AnsiColor::Red.on_default(),
        _ if *against < FALLS => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    };
    let (learned, fresh) = match figures {
        Figures::Virtual(figures) => (figures.learned, figures.fresh),
        Figures::Timed(measured) => (measured.learned.ratio(), measured.fresh.ratio()),
    };
    let (name, width) = (&row.name, NAME - 2);
    write!(
        out,
        "  {style}{name:<width$} {workers:>2} {learned:>7.2} {fresh:>6.2}{style:#} {against:>6.2}"
    )?;
    match figures {
        Figures::Virtual(figures) => writeln!(out, " {:>6.2}", figures.runs),
        Figures::Timed(measured) => writeln!(
            out,
            " {:>6.2} {:>6}  {}",
            measured.cpu(),
            optional(Some(measured.bound())),
            measured
                .longest()
                .map_or(String::new(), |it| format!("{}: {}", it.strategy, it.reason)),
        ),
    }
}
