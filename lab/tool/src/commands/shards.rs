//! `braid-lab shards`: executes blocks on shards of accounts over a simulated network, and counts
//! the traffic between shards.

use braid_blocks::{
    block::Block,
    block_file::FileDatabase,
    sequential::{self, SequentialOutput},
    verify::checks::{Results, first_mismatch},
};
use braid_cli::inputs::{self, Input};
use braid_shards::{
    Agreed, Figures, Options, Placement, Traffic,
    evm::{EvmKey, compare, hash, record},
    simulate,
};
use braid_terminal::{End, Progress, Stop, print_error};
use clap::{Args, ValueEnum};
use revm::primitives::Address;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  braid-lab shards                                    the built-in chain on 2 to 64 shards
  braid-lab shards blocks/ --shards 4,16              block files of a folder
  braid-lab shards block.json.zst --placement fitted  accounts placed for this very block
  braid-lab shards --seeds 100 --first-seed 1000      more runs with faults, other seeds
  braid-lab shards --json | jq 'select(.ok | not)'

Exit code: 0 if every run equals sequential execution; 1 if one does not, or if a block does not come out
as its header and file say; 2 if an input cannot be used.";

/// Execute blocks on shards of accounts over a simulated network, and count the traffic between
/// shards
///
/// The order of the block is agreed on before it runs. Each shard runs the transactions that write
/// its accounts, on values that the other shards push to it. Every block runs once on a network
/// without faults, for the figures, and several times on a network that delays, loses, duplicates
/// and reorders messages and restarts shards. Each result is compared with sequential execution.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ShardsArgs {
    /// Block files, or folders of them; `-` is standard input [default: the built-in chain]
    paths: Vec<PathBuf>,
    /// Numbers of shards, separated by commas
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [2, 4, 8, 16, 32, 64],
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: Vec<u16>,
    /// Placement of accounts; several separated by commas [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PLACEMENT")]
    placement: Vec<PlacementArg>,
    /// Runs of each block with faults, each with its own seed
    #[arg(long, value_name = "N", default_value_t = 2)]
    seeds: u64,
    /// First seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    first_seed: u64,
    /// Number of transactions that a shard may run ahead, in the runs with faults
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Print one JSON object per line: one for each block, placement and number of shards, then the
    /// totals
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum PlacementArg {
    /// By the hash of the address
    Hash,
    /// Accounts that were used together in earlier blocks share a shard; others are placed by hash
    Learned,
    /// Accounts that are used together in this very block share a shard: the upper bound for
    /// learning
    Fitted,
}

/// A block that is ready to run.
struct Subject {
    name: String,
    block: Block,
    database: FileDatabase,
    expected: SequentialOutput,
    /// Accounts of each transaction.
    groups: Vec<Vec<Address>>,
}

/// Result of one block on shards.
#[derive(Debug, Serialize)]
struct Line {
    block: String,
    placement: PlacementArg,
    shards: u16,
    txs: usize,
    ok: bool,
    #[serde(flatten)]
    counted: Counted,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<String>,
}

/// Counters of a run on shards. System calls, and the block's rewards and withdrawals, are entries
/// besides its transactions.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counted {
    entries: u64,
    crossing: u64,
    taking_part: u64,
    runs: u64,
    most_runs: u64,
    messages: u64,
    bytes: u64,
    acknowledgements: u64,
    rounds: u64,
    two_phase_rounds: u64,
    /// Messages sent in the runs with faults.
    sent_with_faults: u64,
    lost: u64,
    doubled: u64,
    restarts: u64,
}

/// Totals over all blocks with one placement on one number of shards.
#[derive(Debug, Serialize)]
struct Total {
    total: bool,
    placement: PlacementArg,
    shards: u16,
    blocks: usize,
    wrong: usize,
    crossing_percent: f64,
    shards_per_entry: f64,
    messages_per_entry: f64,
    bytes_per_entry: f64,
    /// Runs of the busiest shard over the number of entries: its share of the work.
    busiest_percent: f64,
    median_rounds: u64,
    most_rounds: u64,
    median_two_phase_rounds: u64,
    most_two_phase_rounds: u64,
}

/// Executes the requested blocks.
pub(super) fn shards(args: &ShardsArgs) -> Result<End, Stop> {
    let inputs = inputs::expand(&args.paths).map_err(|error| Stop::Message(error.to_string()))?;
    let (mut end, mut seen) = (End::Right, Vec::new());
    let mut all = BTreeMap::<(PlacementArg, u16), Vec<Line>>::new();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut progress = Progress::new(inputs.len());
    for input in inputs {
        progress.begin(&input.name());
        let subject = match subject(input) {
            Ok(subject) => subject,
            Err((code, why)) => {
                progress.end();
                progress.aside(|| print_error(&why));
                end = end.max(code);
                continue;
            }
        };
        for placement in args.placements() {
            for &shards in &args.shards {
                let line = run(args, &subject, &seen, placement, shards);
                if !line.ok {
                    end = End::Mismatch;
                    progress.aside(|| report(&line));
                }
                if args.json {
                    writeln!(out, "{}", serde_json::to_string(&line).map_err(io::Error::other)?)?;
                }
                all.entry((placement, shards)).or_default().push(line);
            }
        }
        seen.extend(subject.groups);
        progress.end();
    }
    drop(progress);
    let totals = all.iter().map(|((placement, shards), lines)| total(*placement, *shards, lines));
    let totals: Vec<Total> = totals.collect();
    if args.json {
        for total in &totals {
            writeln!(out, "{}", serde_json::to_string(total).map_err(io::Error::other)?)?;
        }
    } else {
        table(&mut out, args, &totals)?;
    }
    out.flush()?;
    Ok(end)
}

impl ShardsArgs {
    fn placements(&self) -> Vec<PlacementArg> {
        match self.placement.is_empty() {
            true => PlacementArg::value_variants().to_vec(),
            false => self.placement.clone(),
        }
    }
}

fn report(line: &Line) {
    let Line { block, placement, shards, difference, replay, .. } = line;
    let why = difference.as_deref().unwrap_or_default();
    print_error(&format!("{block} on {shards} shards, {placement:?}: {why}"));
    if let Some(replay) = replay {
        print_error(&format!("replay: {replay}"));
    }
}

/// Reads a block and executes it sequentially. An error comes with the exit code.
fn subject(input: Input) -> Result<Subject, (End, String)> {
    let name = input.name();
    let bad = |why: &dyn std::fmt::Display| (End::BadInput, format!("{name}: {why}"));
    let file = input.load().map_err(|error| (End::BadInput, error.to_string()))?;
    let (block, database) = file.to_block().map_err(|error| bad(&error))?;
    let expected = sequential::execute(&block, &database).map_err(|error| bad(&error))?;
    if let Some(wrong) = first_mismatch(&file, block.cfg.spec, Results::from(&expected)) {
        return Err((End::Mismatch, format!("{name}: {wrong}")));
    }
    let recorded = record(&block, &database, 1, |_| braid_shards::ShardId(0));
    let groups = recorded.map_err(|error| bad(&error))?.accounts();
    Ok(Subject { name, block, database, expected, groups })
}

fn run(
    args: &ShardsArgs,
    subject: &Subject,
    seen: &[Vec<Address>],
    placement: PlacementArg,
    shards: u16,
) -> Line {
    let groups = match placement {
        PlacementArg::Hash => &[][..],
        PlacementArg::Learned => seen,
        PlacementArg::Fitted => &subject.groups,
    };
    let homes = Placement::learned(shards, hash, groups.iter().map(Vec::as_slice));
    let mut counted = Counted::default();
    let mut wrong = execute(subject, &homes, shards, u32::MAX, Options::calm())
        .map(|(figures, traffic)| {
            counted = Counted::new(&figures, &traffic);
            counted.two_phase_rounds = figures.two_phase_rounds;
        })
        .err()
        .map(|why| (None, why));
    for seed in args.first_seed..args.first_seed.saturating_add(args.seeds) {
        match execute(subject, &homes, shards, args.window, Options::faulty(seed)) {
            Ok((_, traffic)) => counted.add_faults(&traffic),
            Err(why) => wrong = wrong.or(Some((Some(seed), why))),
        }
    }
    let replay = wrong.as_ref().and_then(|(seed, _)| {
        let name = placement.to_possible_value()?.get_name().to_owned();
        let (block, window) = (&subject.name, args.window);
        Some(format!(
            "braid-lab shards {block} --shards {shards} --placement {name} --window {window} \
             --first-seed {} --seeds 1",
            (*seed)?
        ))
    });
    Line {
        block: inputs::short(&subject.name),
        placement,
        shards,
        txs: subject.block.transactions.len(),
        ok: wrong.is_none(),
        counted,
        difference: wrong.map(|(_, why)| why),
        replay,
    }
}

/// Executes a block once on shards and compares everything.
fn execute(
    subject: &Subject,
    homes: &Placement<Address>,
    shards: u16,
    window: u32,
    options: Options,
) -> Result<(Figures, Traffic), String> {
    let Subject { block, database, expected, .. } = subject;
    let recorded = record(block, database, shards, |address| homes.home(address));
    let mut recorded = recorded.map_err(|error| error.to_string())?;
    let home = |key: &EvmKey| key.home(|address| homes.home(address));
    let agreed = Agreed::new(recorded.take_entries(), shards, window, home);
    let simulated = simulate(&agreed, &recorded.base, options);
    let simulated = simulated.map_err(|error| error.to_string())?;
    compare(&recorded, &agreed, &simulated, expected)?;
    Ok((Figures::new(&agreed), simulated.traffic))
}

impl Counted {
    fn new(figures: &Figures, traffic: &Traffic) -> Self {
        Self {
            entries: figures.entries,
            crossing: figures.crossing,
            taking_part: figures.taking_part,
            runs: figures.runs,
            most_runs: figures.most_runs,
            messages: traffic.values,
            bytes: traffic.bytes,
            acknowledgements: traffic.acknowledgements,
            rounds: traffic.rounds(),
            ..Self::default()
        }
    }

    fn add_faults(&mut self, traffic: &Traffic) {
        self.sent_with_faults += traffic.values + traffic.acknowledgements;
        self.lost += traffic.lost;
        self.doubled += traffic.doubled;
        self.restarts += traffic.restarts;
    }
}

fn total(placement: PlacementArg, shards: u16, lines: &[Line]) -> Total {
    let sum = |value: fn(&Counted) -> u64| lines.iter().map(|it| value(&it.counted)).sum::<u64>();
    let entries = sum(|it| it.entries).max(1) as f64;
    let per_entry = |value: fn(&Counted) -> u64| sum(value) as f64 / entries;
    let sorted = |value: fn(&Counted) -> u64| {
        let mut values: Vec<u64> = lines.iter().map(|it| value(&it.counted)).collect();
        values.sort_unstable();
        let median = values.get(values.len() / 2).copied().unwrap_or(0);
        (median, values.last().copied().unwrap_or(0))
    };
    let (median_rounds, most_rounds) = sorted(|it| it.rounds);
    let (median_two_phase_rounds, most_two_phase_rounds) = sorted(|it| it.two_phase_rounds);
    Total {
        total: true,
        placement,
        shards,
        blocks: lines.len(),
        wrong: lines.iter().filter(|line| !line.ok).count(),
        crossing_percent: 100.0 * per_entry(|it| it.crossing),
        shards_per_entry: per_entry(|it| it.taking_part),
        messages_per_entry: per_entry(|it| it.messages),
        bytes_per_entry: per_entry(|it| it.bytes),
        busiest_percent: 100.0 * per_entry(|it| it.most_runs),
        median_rounds,
        most_rounds,
        median_two_phase_rounds,
        most_two_phase_rounds,
    }
}

fn table(out: &mut impl Write, args: &ShardsArgs, totals: &[Total]) -> io::Result<()> {
    let Some(first) = totals.first() else { return Ok(()) };
    writeln!(
        out,
        "{} blocks, {} runs with faults of each in each line; rounds of network delay of a block: median, most",
        first.blocks, args.seeds
    )?;
    writeln!(
        out,
        "{:<9} {:>6} {:>9} {:>8} {:>9} {:>9} {:>9} {:>12} {:>12} {:>6}",
        "placement",
        "shards",
        "crossing",
        "shards/",
        "messages/",
        "bytes/",
        "busiest",
        "rounds",
        "two-phase",
        "wrong"
    )?;
    writeln!(
        out,
        "{:<9} {:>6} {:>9} {:>8} {:>9} {:>9} {:>9} {:>12} {:>12}",
        "", "", "", "entry", "entry", "entry", "shard", "", "rounds"
    )?;
    for it in totals {
        let name = it.placement.to_possible_value();
        let name = name.map(|value| value.get_name().to_owned()).unwrap_or_default();
        writeln!(
            out,
            "{name:<9} {:>6} {:>7.1} % {:>8.2} {:>9.2} {:>9.0} {:>7.1} % {:>12} {:>12} {:>6}",
            it.shards,
            it.crossing_percent,
            it.shards_per_entry,
            it.messages_per_entry,
            it.bytes_per_entry,
            it.busiest_percent,
            format!("{}, {}", it.median_rounds, it.most_rounds),
            format!("{}, {}", it.median_two_phase_rounds, it.most_two_phase_rounds),
            it.wrong,
        )?;
    }
    match totals.iter().map(|total| total.wrong).sum::<usize>() {
        0 => writeln!(out, "every run equals sequential execution"),
        wrong => writeln!(out, "{wrong} do not equal sequential execution"),
    }
}
