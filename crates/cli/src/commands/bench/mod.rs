//! `braid bench`: measures blocks.

mod against;
mod args;
mod cost;
mod extras;
mod items;
mod priced;
mod report;

pub use args::{BenchArgs, COLUMNS};
pub use items::{Item, Unmeasured, items};
pub use report::{Conditions, ListsInUse, optional};

use crate::{
    access_list,
    bench::{self, BenchError, Figures, Latency, Subject},
    profile,
};
use against::Against;
use args::Probed;
use braid_blocks::{
    block::Block,
    block_file::{BlockFile, BlockFileErrorKind, FileDatabase},
    timing::{Pauses, Timing},
};
use braid_evm::{Config, Executor};
use braid_terminal::{End, Progress, Stop};
use items::check;
use report::{Json, Report, Table};
use revm::DatabaseRef;
use std::{
    fmt::Display,
    io::{self, Write},
    num::NonZeroU16,
    sync::Arc,
};

/// A loaded block to measure.
#[derive(Clone, Copy, Debug)]
pub struct Loaded<'l> {
    /// Its name in reports.
    pub name: &'l str,
    /// The block file, which also holds the state before the block.
    pub file: &'l BlockFile,
    /// The block.
    pub block: &'l Block,
    /// The block as Braid executes it, with its access list if requested.
    pub shared: &'l Arc<braid_evm::Block>,
}

/// Measures a block on a database that the function provides, with [`measured`].
pub type Measure<'m> =
    &'m dyn Fn(&BenchArgs, &mut [Executor], Loaded<'_>) -> Result<Vec<Figures>, BenchError>;

/// Measures all blocks that `args` name, with `measure` or on a database in memory.
///
/// # Errors
/// An input cannot be used, or the system refuses to start threads or processes.
pub fn bench(args: &BenchArgs, measure: Option<Measure<'_>>) -> Result<End, Stop> {
    if args.cost {
        cost::run(args)
    } else if args.priced.is_empty() {
        blocks(args, measure)
    } else {
        priced::run(args)
    }
}

/// Measures workloads and block files.
fn blocks(args: &BenchArgs, measure: Option<Measure<'_>>) -> Result<End, Stop> {
    if args.compute {
        let _ = bench::compute();
        return Ok(End::Right);
    }
    let conditions = conditions(args);
    let earlier = args.against.as_ref().map(|file| Against::read(file, args.tolerance));
    let mut against = earlier.transpose()?;
    let mut executors = executors(args)?;
    let items = items(&args.what)?;
    let mut report: Box<dyn Report> =
        if args.json { Box::new(Json::new(conditions)) } else { Box::new(Table::new(conditions)) };
    if let Some(who) = args.probe {
        return probe(args, who, items, &mut executors);
    }
    let _load = load(args)?;
    report.begin()?;
    let mut progress = Progress::new(items.len());
    let mut end = End::Right;
    for item in items {
        let name = item.name();
        progress.begin(&name);
        let (latency, what) = (args.db_latency.or(item.latency()), item.argument());
        let is_sealed = item.is_sealed();
        let measured = item.scaled(args.txs, args.scale, args.seed).and_then(|file| {
            let input = Input { name: &name, file: &file, is_sealed };
            let figures = measured_in(args, (latency, measure), &mut executors, input);
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
            Ok(figures) => figures.iter().try_for_each(|figures| {
                if let Some(against) = &mut against {
                    against.compare(conditions, figures);
                }
                report.line(figures)
            }),
            Err(unmeasured) => {
                end = end.max(unmeasured.end);
                unmeasured.print(&name, args.json)
            }
        })?;
    }
    drop(progress);
    report.end()?;
    let compared = against.map_or(Ok(End::Right), |against| against.end(args.json))?;
    Ok(end.max(compared))
}

/// Returns the conditions of all measurements.
#[must_use]
pub fn conditions(args: &BenchArgs) -> Conditions {
    let lists = ListsInUse { given: args.bal, hint: args.bal_hint, made: args.emit_bal };
    Conditions { pause: args.pause, busy: args.busy.unwrap_or(0), lists }
}

/// Warns if the figures of this build are not comparable, and starts the busy processes.
pub fn load(args: &BenchArgs) -> io::Result<Option<bench::Load>> {
    if let Some(warning) = profile::warning() {
        writeln!(anstream::stderr().lock(), "warning: {warning}")?;
    }
    args.busy.map(|each| bench::Load::start(each, &["bench", "--compute"])).transpose()
}

/// Prints the memory that one run of the one item adds, or its access list.
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
    let file =
        item.scaled(args.txs, args.scale, args.seed).map_err(|error| stopped(error.message))?;
    let (block, database) = file.to_block().map_err(|error| stopped(error.to_string()))?;
    drop(file);
    let printed = extras::probe(args, who, executor, &block, database).map_err(stopped)?;
    io::stdout().lock().write_all(&printed)?;
    Ok(End::Right)
}

fn executors(args: &BenchArgs) -> Result<Vec<Executor>, Stop> {
    let default = [Config::default().workers];
    let workers = if args.workers.is_empty() { &default[..] } else { &args.workers };
    let start = |workers: &NonZeroU16| {
        let mut config = Config::with_workers(*workers);
        (config.policy, config.learn) = (args.policy.policy(), !args.no_learn);
        config.engine.cache_keccak = !args.no_keccak_cache;
        config.access_list = args.emit_bal;
        Executor::new(config)
            .map_err(|error| Stop::Message(format!("cannot start {workers} workers: {error}")))
    };
    workers.iter().map(start).collect()
}

/// A block file to measure.
#[derive(Clone, Copy, Debug)]
struct Input<'i> {
    name: &'i str,
    file: &'i BlockFile,
    /// Whether header and file state the results.
    is_sealed: bool,
}

/// Measures a block file: with `elsewhere`, or on its state in memory, which may be slow.
fn measured_in(
    args: &BenchArgs,
    (latency, elsewhere): (Option<Latency>, Option<Measure<'_>>),
    executors: &mut [Executor],
    Input { name, file, is_sealed }: Input<'_>,
) -> Result<Vec<Figures>, BenchError> {
    let (block, database) = file
        .to_block()
        .map_err(|error| BenchError::Invalid(BlockFileErrorKind::Field(error).to_string()))?;
    let shared = shared(args, &block, &database)?;
    if let Some(times) = args.execute {
        for executor in executors {
            for _ in 0..times {
                bench::parallel(executor, &shared, database.clone(), Pauses::default());
            }
        }
        return Ok(Vec::new());
    }
    if is_sealed {
        check(file, &block, &database)?;
    }
    if let Some(elsewhere) = elsewhere {
        return elsewhere(args, executors, Loaded { name, file, block: &block, shared: &shared });
    }
    let Some(latency) = latency else {
        let clone = || database.clone();
        let subject =
            Subject { name, block: &block, shared: &shared, database: &clone, reads: None };
        return measured(args, executors, &subject);
    };
    let (slow, reads) = bench::slowed(database, latency, args.db_waits);
    let clone = || slow.clone();
    let subject =
        Subject { name, block: &block, shared: &shared, database: &clone, reads: Some(reads) };
    measured(args, executors, &subject)
}

/// A block that is ready to be measured.
struct Ready {
    block: Block,
    database: FileDatabase,
    /// The block as Braid executes it.
    shared: Arc<braid_evm::Block>,
}

/// Loads the block of `item` and compares it with its header and file, if it has them.
fn ready(args: &BenchArgs, item: Item, name: &str) -> Result<Ready, Unmeasured> {
    let is_sealed = item.is_sealed();
    let file = item.scaled(args.txs, args.scale, args.seed)?;
    let unmeasured = |error| Unmeasured::new(name, error);
    let (block, database) =
        file.to_block().map_err(|error| unmeasured(BenchError::Invalid(error.to_string())))?;
    if is_sealed {
        check(&file, &block, &database).map_err(unmeasured)?;
    }
    drop(file);
    let shared = shared(args, &block, &database).map_err(unmeasured)?;
    Ok(Ready { block, database, shared })
}

/// Returns the block as Braid executes it, with its access list if requested.
fn shared(
    args: &BenchArgs,
    block: &Block,
    database: &FileDatabase,
) -> Result<Arc<braid_evm::Block>, BenchError> {
    let block = braid_evm::Block::from(block);
    let block = match (args.bal, args.bal_hint) {
        (true, _) => access_list::with_its_list(block, database.clone()),
        (_, true) => access_list::with_its_hint(block, database.clone()),
        _ => Ok(block),
    };
    block.map(Arc::new).map_err(|error| BenchError::Invalid(error.to_string()))
}

/// Measures `subject` on each of `executors` as `args` say.
///
/// # Errors
/// The block is invalid, or some result is not the sequential one.
pub fn measured<D>(
    args: &BenchArgs,
    executors: &mut [Executor],
    subject: &Subject<'_, D>,
) -> Result<Vec<Figures>, BenchError>
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    let transactions = subject.block.transactions.len();
    let rounds = args.rounds.unwrap_or(bench::rounds_for(transactions));
    let timing = Timing { rounds, pause: args.pause };
    let mut figures = bench::measure(subject, executors, timing)?;
    extras::add(args, &mut figures, subject.block, subject.shared, &(subject.database)());
    Ok(figures)
}
