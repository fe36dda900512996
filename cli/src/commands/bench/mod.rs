//! `braid bench`: measure blocks.

mod extras;
mod markdown;
mod report;

use super::{End, Stop, inputs, print_error, progress::Progress, run::PolicyArg};
use crate::{
    bench::{self, BenchError, Figures, Latency, SlowDatabase, Subject, Waiting},
    block_file::{BlockFile, BlockFileError, BlockFileErrorKind},
    profile,
    workload::Preset,
};
use braid_evm::{Config, Executor};
use clap::{Args, ValueEnum};
use markdown::Markdown;
use report::{Json, Report, Table};
use revm::DatabaseRef;
use std::{
    fmt::Display,
    io::{self, Write},
    num::NonZeroU16,
    path::PathBuf,
    sync::Arc,
};

const EXAMPLES: &str = "\
Examples:
  braid bench                                 every built-in workload
  braid bench a_raw c_erc20 --workers 1,2     two of them, on one and on two workers
  braid bench a_raw --scale                   a block four times as large
  braid bench blocks/ --json                  every block file in a folder
  braid bench c_erc20 --txs 4000 --db-latency 20us
  braid bench e_uni --simulate 4,8,16,32,64   more workers than there are cores, in virtual time
  braid bench --markdown                      the tables of docs/BENCHMARKS.md

Exit code: 0 if all was measured; 1 if a result differs from sequential execution;
2 if a file cannot be used or a block is invalid.";

const COLUMNS: &str = "\
Columns, each a median over all rounds:
  seq us/tx  microseconds a transaction takes in sequence: revm over State with bundle
             and reverts, transact_commit for each transaction, receipts
  ratio      sequential over parallel time on the clock; above 1 is faster
  cpu        parallel over sequential processor time, user and system, all threads,
             with all that is taken apart afterwards; above 1 is more work
  journal    time of one thread with one journal for the whole block (finalised once,
             no bundle) over parallel time; - if that form gives other results
  bound      sequential time over that of two threads, each with half of the block on
             a State of its own; no conflict is looked at, the results are not merged
  discard    runs that were thrown away
  spread     (slowest - fastest) / median of the parallel times

Below each line: microseconds a transaction takes in each stage, summed over all workers (a
bundle's time is that on the clock), from a run under observation; memory that one run adds
to a fresh process at its highest, the baseline's and Braid's.

--db-latency: each read of the database sleeps so long (the system adds some 50 us), or with
--db-waits spin keeps its core busy; the baseline reads through the same database.

--simulate: the executor runs on fibers of one thread, all of it, and each step takes as long in
virtual time as it really took, alone on its core. The figure for 2 workers stands beside the real
one; '2 here' is that of cores that slow each other down as the two halves do (bound), while both
are busy. work/chain is the time of all transactions over that of the longest chain of them that depend on each other.";

/// Measure blocks against sequential revm
///
/// Every result is compared in full before anything is timed. All ways of executing a block take
/// turns in one process; who begins changes from round to round.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{COLUMNS}"))]
pub(super) struct BenchArgs {
    /// Names of built-in workloads, block files (.json, .json.gz, .json.zst), folders of them
    /// [default: every built-in workload]
    #[arg(value_name = "WORKLOAD|FILE|DIR")]
    what: Vec<String>,
    /// Numbers of workers [default: one for each core]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = super::workers_from)]
    workers: Vec<NonZeroU16>,
    /// How eagerly to speculate; results never depend on it
    #[arg(long, value_enum, default_value_t)]
    policy: PolicyArg,
    /// Rounds [default: 7; 28 for a block of fewer than 1000 transactions]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Transactions of a built-in workload [default: each has its own number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    txs: Option<u32>,
    /// So many times as many transactions
    #[arg(long, value_name = "TIMES", default_value_t = 1, num_args = 0..=1, default_missing_value = "4", require_equals = true, value_parser = clap::value_parser!(u32).range(1..))]
    scale: u32,
    /// Everything that is random in a built-in workload follows from this number
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Every read of the database waits so long, as 20us; h_erc20io and m_mainio wait 20us anyway
    #[arg(long, value_name = "TIME")]
    db_latency: Option<Latency>,
    /// How it waits
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    db_waits: Waiting,
    /// Read from an embedded store on disk, opened anew with a cold cache for each execution
    #[cfg(any(feature = "redb", braid_rocksdb))]
    #[arg(long, value_enum, conflicts_with = "db_latency")]
    store: Option<StoreArg>,
    /// Print one JSON object per line: one for each workload and number of workers
    #[arg(long)]
    json: bool,
    /// Print the tables of docs/BENCHMARKS.md
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Leave out stages and memory
    #[arg(long)]
    brief: bool,
    /// Do not learn from earlier rounds which calls need each other
    #[arg(long)]
    no_learn: bool,
    /// Do not remember hashes
    #[arg(long)]
    no_keccak_cache: bool,
    /// Simulate these numbers of workers in virtual time
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = super::workers_from)]
    simulate: Vec<NonZeroU16>,
    /// Print the memory that one run adds, and nothing else
    #[arg(long, hide = true)]
    probe: Option<Probed>,
    /// Execute so many times and measure nothing, for a profiler
    #[arg(long, value_name = "N")]
    execute: Option<u32>,
}

/// Embedded stores, with a cache of one mebibyte.
#[cfg(any(feature = "redb", braid_rocksdb))]
#[derive(Clone, Copy, Debug, ValueEnum)]
enum StoreArg {
    /// redb: a B-tree in one file; it caches one mebibyte
    #[cfg(feature = "redb")]
    Redb,
    /// RocksDB: sorted runs in many files; it caches one mebibyte
    #[cfg(braid_rocksdb)]
    Rocksdb,
}

/// Whose memory is measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Probed {
    Sequential,
    Braid,
}

/// Something to be measured.
enum Item {
    Preset(Preset),
    Input(inputs::Input),
}

/// Measures everything that `args` name.
pub(super) fn bench(args: &BenchArgs) -> Result<End, Stop> {
    let mut executors = executors(args)?;
    let items = items(&args.what)?;
    let mut report: Box<dyn Report> = if args.json {
        Box::new(Json)
    } else if args.markdown {
        Box::new(Markdown::default())
    } else {
        Box::new(Table::default())
    };
    if let Some(who) = args.probe {
        return probe(args, who, items, &mut executors);
    }
    if let Some(warning) = profile::warning() {
        writeln!(anstream::stderr().lock(), "warning: {warning}")?;
    }
    report.begin()?;
    let mut progress = Progress::new(items.len());
    let mut end = End::Right;
    for item in items {
        let name = item.name();
        progress.begin(&name);
        let (latency, what) = (args.db_latency.or(item.latency()), item.argument());
        let measured = item.block(args).and_then(|file| {
            let figures = measure(args, latency, &mut executors, &name, &file);
            figures.map_err(|kind| Unmeasured::new(&name, kind))
        });
        let measured = measured.map(|mut all| {
            for figures in all.iter_mut().filter(|_| !args.brief) {
                figures.memory = extras::memory(args, &what, figures.workers);
            }
            all
        });
        progress.end();
        progress.aside(|| match measured {
            Ok(figures) => figures.iter().try_for_each(|figures| report.line(figures)),
            Err(unmeasured) => {
                end = end.max(unmeasured.end);
                print_error(&unmeasured.message);
                Ok(())
            }
        })?;
    }
    drop(progress);
    report.end()?;
    Ok(end)
}

/// Prints the memory that one run of the one item adds.
fn probe(
    args: &BenchArgs,
    who: Probed,
    items: Vec<Item>,
    executors: &mut [Executor],
) -> Result<End, Stop> {
    let (Some(item), Some(executor)) = (items.into_iter().next(), executors.first_mut()) else {
        return Ok(End::BadInput);
    };
    let stopped = |message: String| Stop::Message(message);
    let file = item.block(args).map_err(|error| stopped(error.message))?;
    let (block, database) = file.to_block().map_err(|error| stopped(error.to_string()))?;
    drop(file);
    let peak = extras::probe(who, executor, &block, &database);
    let peak = peak.ok_or_else(|| stopped("this system does not tell".to_owned()))?;
    writeln!(io::stdout().lock(), "{peak}")?;
    Ok(End::Right)
}

fn executors(args: &BenchArgs) -> Result<Vec<Executor>, Stop> {
    let default = [Config::default().workers];
    let workers = if args.workers.is_empty() { &default[..] } else { &args.workers };
    let start = |workers: &NonZeroU16| {
        let mut config = Config::with_workers(*workers);
        (config.policy, config.learn) = (args.policy.policy(), !args.no_learn);
        config.cache_keccak = !args.no_keccak_cache;
        Executor::new(config)
            .map_err(|error| Stop::Message(format!("cannot start {workers} workers: {error}")))
    };
    workers.iter().map(start).collect()
}

fn items(what: &[String]) -> Result<Vec<Item>, Stop> {
    if what.is_empty() {
        return Ok(Preset::ALL.into_iter().map(Item::Preset).collect());
    }
    let mut items = Vec::new();
    for name in what {
        if let Ok(preset) = Preset::from_str(name, false) {
            items.push(Item::Preset(preset));
            continue;
        }
        let path = PathBuf::from(name);
        if !path.exists() {
            let known = Preset::ALL.map(Preset::name).join(", ");
            return Err(Stop::Message(format!(
                "{name}: expected a file, a folder or one of the workloads {known}"
            )));
        }
        let inputs = inputs::expand(&[path]).map_err(|error| Stop::Message(error.to_string()))?;
        items.extend(inputs.into_iter().map(Item::Input));
    }
    Ok(items)
}

impl Item {
    fn name(&self) -> String {
        match self {
            Self::Preset(preset) => preset.name().to_owned(),
            Self::Input(input) => report::short(&input.name()),
        }
    }

    /// The argument that names it.
    fn argument(&self) -> String {
        match self {
            Self::Preset(preset) => preset.name().to_owned(),
            Self::Input(input) => input.name(),
        }
    }

    /// What a read of its database waits if nobody asks for anything else.
    fn latency(&self) -> Option<Latency> {
        match self {
            Self::Preset(preset) if preset.is_slow() => Some(Latency::OF_WORKLOADS),
            _ => None,
        }
    }

    fn block(self, args: &BenchArgs) -> Result<BlockFile, Unmeasured> {
        match self {
            Self::Preset(preset) => {
                let transactions = args.txs.unwrap_or(preset.transactions());
                let transactions = transactions.saturating_mul(args.scale);
                preset.block(transactions, args.seed).map_err(|error| Unmeasured {
                    end: End::BadInput,
                    message: format!("{}: {error}", preset.name()),
                })
            }
            Self::Input(input) => input.load().map_err(Unmeasured::from),
        }
    }
}

/// Why there are no figures of a block.
struct Unmeasured {
    end: End,
    message: String,
}

impl Unmeasured {
    fn new(name: &str, error: BenchError) -> Self {
        let end = match error {
            BenchError::Invalid(_) => End::BadInput,
            BenchError::Different { .. } => End::Mismatch,
        };
        Self { end, message: format!("{name}: {error}") }
    }
}

impl From<BlockFileError> for Unmeasured {
    fn from(error: BlockFileError) -> Self {
        Self { end: End::BadInput, message: error.to_string() }
    }
}

fn measure(
    args: &BenchArgs,
    latency: Option<Latency>,
    executors: &mut [Executor],
    name: &str,
    file: &BlockFile,
) -> Result<Vec<Figures>, BenchError> {
    let (block, database) = file
        .to_block()
        .map_err(|error| BenchError::Invalid(BlockFileErrorKind::Field(error).to_string()))?;
    let shared = Arc::new(braid_evm::Block::from(&block));
    if let Some(times) = args.execute {
        for executor in executors {
            for _ in 0..times {
                bench::parallel(executor, &shared, database.clone());
            }
        }
        return Ok(Vec::new());
    }
    #[cfg(any(feature = "redb", braid_rocksdb))]
    if let Some(store) = args.store {
        return match store {
            #[cfg(feature = "redb")]
            StoreArg::Redb => stored::<bench::Redb>(args, executors, name, file, &block, &shared),
            #[cfg(braid_rocksdb)]
            StoreArg::Rocksdb => {
                stored::<bench::RocksDb>(args, executors, name, file, &block, &shared)
            }
        };
    }
    let Some(latency) = latency else {
        let clone = || database.clone();
        let subject = Subject { name, block: &block, database: &clone, reads: None };
        return measured(args, executors, &subject, &shared);
    };
    let slow = SlowDatabase::new(database, latency, args.db_waits);
    let reads = Some(slow.counter());
    let subject = Subject { name, block: &block, database: &|| slow.clone(), reads };
    measured(args, executors, &subject, &shared)
}

/// Measures on an embedded store of kind `S`.
#[cfg(any(feature = "redb", braid_rocksdb))]
fn stored<S: bench::Store>(
    args: &BenchArgs,
    executors: &mut [Executor],
    name: &str,
    file: &BlockFile,
    block: &crate::block::Block,
    shared: &Arc<braid_evm::Block>,
) -> Result<Vec<Figures>, BenchError> {
    let folder = bench::StoreFolder::<S>::write(file);
    let folder = folder.map_err(|error| BenchError::Invalid(error.to_string()))?;
    let subject = Subject { name, block, database: &|| folder.cold(), reads: None };
    measured(args, executors, &subject, shared)
}

fn measured<D>(
    args: &BenchArgs,
    executors: &mut [Executor],
    subject: &Subject<'_, D>,
    shared: &Arc<braid_evm::Block>,
) -> Result<Vec<Figures>, BenchError>
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    let transactions = subject.block.transactions.len();
    let rounds = args.rounds.unwrap_or(bench::rounds_for(transactions));
    let mut figures = bench::measure(subject, executors, rounds)?;
    extras::add(args, &mut figures, subject.block, shared, &(subject.database)());
    Ok(figures)
}
