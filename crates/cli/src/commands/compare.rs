//! `braid compare`: two explanations side by side.

use super::{
    explain::{ExplainArgs, QuestionArgs, Unusable, block_line, explain_file, unexpected},
    json::{write_error, write_line},
    names::Known,
};
use crate::{
    explain::{Axis, Question, ratio, words::cost},
    inputs,
};
use braid_blocks::block_file::BlockFile;
use braid_evm::{Config, Executor};
use braid_terminal::{End, Progress, Stop, print_error};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  braid compare one.json.zst other.json.zst       two blocks
  braid explain --json --workers 4 block.json > four.json
  braid compare four.json block.json              two settings, or two builds: one of them saved
  braid compare --json one.json.zst other.json.zst | jq '.figures[] | select(.name == \"conflict chain, gas\")'

Exit code: 0; 1 if a block's result differs from its header or file, or Braid's result from the
sequential one; 2 if a file cannot be used or a block is invalid.";

/// Maximum number of compared locations.
const MOST: usize = 12;
/// Width of the name column.
const NAME: usize = 34;
const FIGURE: usize = 18;

/// Compare what limits two blocks, or one block under two settings or builds
///
/// Each side is a block file, which is explained as by `braid explain`, or a file with the output
/// of `braid explain --json` or `braid report --json`, possibly from another build, other options,
/// or another machine. Figures and locations are printed side by side.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompareArgs {
    /// First side: a block file, or output of braid explain --json
    one: PathBuf,
    /// Second side
    other: PathBuf,
    #[command(flatten)]
    question: QuestionArgs,
    /// Print one JSON object, after one with file, ok (false) and error for each error; docs/EXPLAIN.md
    /// lists the fields
    #[arg(long)]
    json: bool,
}

impl CompareArgs {
    /// Returns the sides of `braid explain --against`, if that was asked for.
    pub(super) fn of_explain(args: &ExplainArgs) -> Result<Option<Self>, Stop> {
        let Some(one) = args.against.clone() else { return Ok(None) };
        match &args.paths[..] {
            [other] if !other.is_dir() => {
                let (other, question) = (other.clone(), args.question.clone());
                Ok(Some(Self { one, other, question, json: args.json }))
            }
            _ => {
                let words = "--against compares one block: name one file, and no folder";
                Err(Stop::Message(words.to_owned()))
            }
        }
    }
}

/// The fields of an explanation that are compared.
#[derive(Clone, Debug, Deserialize)]
struct Side {
    file: String,
    block: u64,
    txs: usize,
    ok: bool,
    /// Description of a mismatch, if there is one.
    #[serde(default)]
    error: Option<String>,
    by: String,
    gas: Costs,
    time_ns: Option<Costs>,
    conflicts: Vec<Conflict>,
    measured: Option<Measured>,
}

#[derive(Clone, Debug, Deserialize)]
struct Costs {
    work: u64,
    longest: u64,
    chain: u64,
    late_read: u64,
    workers: Vec<OnWorkers>,
}

#[derive(Clone, Debug, Deserialize)]
struct OnWorkers {
    workers: usize,
    chain: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Conflict {
    locations: Vec<String>,
    kind: String,
    words: String,
    chain_cost: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Measured {
    workers: usize,
    speedup: f64,
    seq_ms: f64,
    par_ms: f64,
    /// Absent in the output of earlier builds.
    #[serde(default)]
    busy_share: Option<f64>,
}

/// A figure of both sides.
#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    /// `count`, `gas`, `ns`, `times` or `ms`.
    unit: &'static str,
    one: Option<f64>,
    other: Option<f64>,
}

/// A location at which transactions wait, on either side.
#[derive(Debug, Serialize)]
struct Shared {
    locations: Vec<String>,
    kind: String,
    words: String,
    /// Cost of the transactions of the chain that wait there; null if that side does not list the
    /// location.
    one: Option<u64>,
    other: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    one: &'a str,
    other: &'a str,
    /// Unit of the costs of locations: `gas` or `time_ns`.
    by: &'a str,
    figures: Vec<Figure>,
    conflicts: Vec<Shared>,
}

/// Compares the two sides of `args`.
pub(super) fn compare(args: &CompareArgs) -> Result<End, Stop> {
    let config = Config::default();
    let question = args.question.question(&config)?;
    let mut known = args.question.known()?;
    let mut executor = None;
    let mut side = |path: &Path| match saved(path)? {
        Some(side) => Ok(side),
        None => {
            let executor = match &mut executor {
                Some(executor) => executor,
                empty => empty.insert(started(config)?),
            };
            explained(args, (&question, &mut known), executor, path)
                .map_err(|error| Stop::Message(error.to_string()))?
        }
    };
    let mut progress = Progress::new(2);
    let mut sides = Vec::new();
    for path in [&args.one, &args.other] {
        let name = path.display().to_string();
        progress.begin(&name);
        let side = side(path);
        progress.end();
        match side {
            Err(Stop::Message(error)) if args.json => {
                write_error(&name, &error)?;
                return Ok(End::BadInput);
            }
            side => sides.push(side?),
        }
    }
    drop(progress);
    let [one, other] = &sides[..] else { return Ok(End::BadInput) };
    for Side { file, error, .. } in [one, other] {
        match error {
            Some(error) if args.json => write_error(file, error)?,
            Some(error) => print_error(&format!("{file}: {}", unexpected(file, error))),
            None => {}
        }
    }
    if one.by != other.by {
        let error = format!(
            "{} states costs in {}, {} in {}: explain both with the same --by",
            one.file, one.by, other.file, other.by
        );
        if args.json {
            write_error(&other.file, &error)?;
            return Ok(End::BadInput);
        }
        return Err(Stop::Message(error));
    }
    let line = Line {
        one: &one.file,
        other: &other.file,
        by: &one.by,
        figures: figures(one, other),
        conflicts: conflicts(one, other),
    };
    if args.json {
        write_line(&line)?;
    } else {
        write(&mut anstream::stdout().lock(), [one, other], &line)?;
    }
    Ok(if one.ok && other.ok { End::Right } else { End::Mismatch })
}

fn started(config: Config) -> Result<Executor, Stop> {
    Executor::new(config).map_err(|error| Stop::threads(config.workers, &error))
}

/// Reads the output of an earlier command about one block; `None` if the file is something else.
fn saved(path: &Path) -> Result<Option<Side>, Stop> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(None) };
    let mut lines = text.lines().map(serde_json::from_str::<Side>);
    let Some(Ok(first)) = lines.next() else { return Ok(None) };
    let others: Vec<Side> = lines.filter_map(Result::ok).collect();
    if others.is_empty() {
        return Ok(Some(first));
    }
    let name = |side: &Side| format!("{} of {}", side.block, inputs::short(&side.file));
    let names: Vec<String> = std::iter::once(&first).chain(&others).map(name).collect();
    let shown = path.display();
    Err(Stop::Message(format!(
        "{shown} holds explanations of {} blocks: {}; keep only one line, for example with: \
         jq -c 'select(.block == {})' {shown}",
        names.len(),
        names.join(", "),
        first.block
    )))
}

fn explained(
    args: &CompareArgs,
    (question, known): (&Question, &mut Known),
    executor: &mut Executor,
    path: &Path,
) -> Result<Result<Side, Stop>, Unusable> {
    let file = BlockFile::read(path)?;
    let name = path.display().to_string();
    let explained = explain_file(args.question.clock, (question, known), executor, name, &file)?;
    let line = serde_json::to_value(block_line(&explained, question));
    let side = line.and_then(serde_json::from_value);
    Ok(side.map_err(|error| Stop::Output(io::Error::from(error))))
}

/// Returns a side's costs on one axis, if it has them.
type OfSide = fn(&Side) -> Option<&Costs>;

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn figures(one: &Side, other: &Side) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: &str, unit, of: &dyn Fn(&Side) -> Option<f64>| {
        let (name, one, other) = (name.to_owned(), of(one), of(other));
        if one.is_some() || other.is_some() {
            figures.push(Figure { name, unit, one, other });
        }
    };
    add("transactions", "count", &|side| Some(side.txs as f64));
    let axes: [(&str, &str, OfSide); 2] =
        [("gas", "gas", |side| Some(&side.gas)), ("time", "ns", |side| side.time_ns.as_ref())];
    for (axis, unit, costs) in axes {
        let of = |cost: fn(&Costs) -> u64| move |side: &Side| Some(cost(costs(side)?) as f64);
        add(&format!("work, {axis}"), unit, &of(|costs| costs.work));
        add(&format!("longest, {axis}"), unit, &of(|costs| costs.longest));
        add(&format!("conflict chain, {axis}"), unit, &of(|costs| costs.chain));
        let times = |cost: fn(&Costs) -> u64| {
            move |side: &Side| costs(side).map(|costs| ratio(costs.work, cost(costs)))
        };
        add(&format!("bound without conflicts, {axis}"), "times", &times(|costs| costs.longest));
        add(&format!("bound by late reads, {axis}"), "times", &times(|costs| costs.late_read));
        add(&format!("bound by the chain, {axis}"), "times", &times(|costs| costs.chain));
        for workers in [2, 4, 8, 16, 32, 64] {
            let on = |side: &Side| {
                let costs = costs(side)?;
                let on = costs.workers.iter().find(|on| on.workers == workers)?;
                Some(ratio(costs.work, on.chain))
            };
            add(&format!("bound on {workers} workers, {axis}"), "times", &on);
        }
    }
    let measured = |of: fn(&Measured) -> f64| move |side: &Side| side.measured.as_ref().map(of);
    add("measured: workers", "count", &measured(|it| it.workers as f64));
    add("measured: speed-up", "times", &measured(|it| it.speedup));
    add("measured: sequential", "ms", &measured(|it| it.seq_ms));
    add("measured: Braid", "ms", &measured(|it| it.par_ms));
    figures
}

/// Returns the locations of both sides, those with the highest cost on either side first.
fn conflicts(one: &Side, other: &Side) -> Vec<Shared> {
    let find = |side: &Side, conflict: &Conflict| {
        let mut all = side.conflicts.iter();
        all.find(|it| it.locations.first() == conflict.locations.first()).map(|it| it.chain_cost)
    };
    let of_other = other.conflicts.iter().filter(|it| find(one, it).is_none());
    let mut shared: Vec<Shared> = one
        .conflicts
        .iter()
        .chain(of_other)
        .map(|it| Shared {
            locations: it.locations.clone(),
            kind: it.kind.clone(),
            words: it.words.clone(),
            one: find(one, it),
            other: find(other, it),
        })
        .collect();
    shared.sort_by_key(|it| std::cmp::Reverse(it.one.max(it.other)));
    shared.truncate(MOST);
    shared
}

fn is_busy(side: &Side) -> bool {
    side.measured.as_ref().is_some_and(|it| it.busy_share.is_some())
}

fn write(out: &mut impl Write, sides: [&Side; 2], line: &Line<'_>) -> io::Result<()> {
    let axis = if line.by == "gas" { Axis::Gas } else { Axis::Time };
    let title = |side: &Side| format!("{} ({})", inputs::short(&side.file), side.block);
    let [one, other] = sides.map(title);
    writeln!(out, "{:<NAME$}{one:>FIGURE$}  {other:>FIGURE$}", "")?;
    for Figure { name, unit, one, other } in &line.figures {
        let [a, b] = [one, other].map(|figure| figure.map_or("-".to_owned(), |it| text(unit, it)));
        let change = match (one, other) {
            (Some(one), Some(other)) if *one > 0.0 && one != other => {
                format!("  {:+.1} %", 100.0 * (other / one - 1.0))
            }
            _ => String::new(),
        };
        writeln!(out, "{name:<NAME$}{a:>FIGURE$}  {b:>FIGURE$}{change}")?;
    }
    for side in sides.iter().filter(|it| is_busy(it)) {
        writeln!(out, "The machine was busy while {} was measured.", inputs::short(&side.file))?;
    }
    if !line.conflicts.is_empty() {
        writeln!(out, "Costs at the locations of both, on the conflict chain:")?;
    }
    for Shared { words, one, other, .. } in &line.conflicts {
        let [a, b] = [one, other].map(|it| it.map_or("not named".to_owned(), |it| cost(axis, it)));
        writeln!(out, "{:<NAME$}{a:>FIGURE$}  {b:>FIGURE$}", "")?;
        writeln!(out, "  {words}")?;
    }
    out.flush()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "costs and counts are whole, and not negative"
)]
fn text(unit: &str, figure: f64) -> String {
    match unit {
        "gas" => cost(Axis::Gas, figure as u64),
        "ns" => cost(Axis::Time, figure as u64),
        "times" => format!("{figure:.2}x"),
        "ms" => format!("{figure:.2} ms"),
        _ => format!("{figure:.0}"),
    }
}
