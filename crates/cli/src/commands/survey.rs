//! `braid survey`: what limits many blocks.

use super::{
    explain::{ClockArgs, Explained, Unusable, explain_file},
    json::write_line,
    names::Known,
    page::{check_writable, write},
};
use crate::{
    explain::{Axis, Graph, Question, WhatIf},
    inputs, page,
    survey::{
        BlockRow, FailedRow, Gathering, Group, Origin, Reached, Row, Survey, csv, steps, words,
    },
};
use braid_blocks::{
    block_file::{BlockFile, STANDARD_STREAM},
    fork,
};
use braid_evm::{Config, Executor};
use braid_terminal::{End, Progress, Stop, counted, print_error};
use clap::{Args, ValueEnum};
use revm::primitives::hardfork::SpecId;
use serde::Serialize;
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  braid survey blocks/                             tables: bounds, speed-up, limits, kinds, contracts
  braid survey blocks/ --out survey.html           the same as a page
  braid survey blocks/ --out survey.csv            a row for each block; .json: rows and sums
  braid survey --rounds 0 blocks/                  no clock: the same on every machine
  braid survey --rounds 0 --table contracts --top 25 blocks/
  braid survey --rounds 0 --fork prague --fork osaka blocks/
  braid survey --json blocks/ | jq 'select(.limit == \"longest\") | .file'
  braid survey                                     the generated demo chain

Exit code: 0; 1 if a block's result differs from its header or file, or Braid's result from the
sequential one; 2 if a file cannot be used or a block is invalid. Such a file is a row with the
reason, and the others are surveyed.";

/// Maximum number of accounts in the data of each group.
const ACCOUNTS: usize = 200;

/// Summarize what limits many blocks, by fork and by contract
///
/// Explains every block as `braid explain` does, with costs in gas, and aggregates: the
/// distribution of the bounds and of Braid's speed-up over the blocks and by fork; whether
/// conflicts, the longest transaction or the number of workers limit a block; and the kinds of
/// locations and the contracts at which the conflict chains wait. docs/SURVEY.md explains each
/// column, and has the results for 78 real blocks.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SurveyArgs {
    /// Block files (.json, .json.gz, .json.zst), folders of them, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// File for the survey; its extension selects the format
    #[arg(long, value_name = FORMATS, value_parser = Output::parse)]
    out: Option<Output>,
    /// Tables to print [default: all]
    #[arg(long = "table", value_name = "TABLE", value_enum)]
    tables: Vec<Table>,
    /// Number of workers for the columns that depend on it, 1 to 64; may exceed the number of cores
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: u8,
    /// Number of contracts in their table
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Only blocks of this fork; may be repeated
    #[arg(long = "fork", value_name = "FORK", value_parser = fork_from)]
    forks: Vec<SpecId>,
    #[command(flatten)]
    clock: ClockArgs,
    /// Print one JSON object per line: one for each file, and the totals last
    #[arg(long)]
    json: bool,
}

const FORMATS: &str = "FILE.html|FILE.json|FILE.csv";

/// A table to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Table {
    /// Distribution of the bounds, by fork
    Bounds,
    /// Distribution of Braid's speed-up, by fork
    Reached,
    /// What limits the blocks, by fork
    Limits,
    /// Kinds of locations at which the conflict chains wait
    Kinds,
    /// Contracts at which the conflict chains wait
    Contracts,
}

/// A file to write, and its format.
#[derive(Clone, Debug)]
struct Output {
    path: PathBuf,
    format: Format,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Html,
    Json,
    Csv,
}

impl Output {
    fn parse(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        let format = match path.extension().and_then(|it| it.to_str()) {
            Some("html" | "htm") => Format::Html,
            Some("json") => Format::Json,
            Some("csv") => Format::Csv,
            _ => return Err(format!("expected {FORMATS}")),
        };
        Ok(Self { path, format })
    }
}

impl SurveyArgs {
    fn is_asked(&self, table: Table) -> bool {
        self.tables.is_empty() || self.tables.contains(&table)
    }

    /// Returns whether Braid's speed-up is shown anywhere.
    fn shows_reached(&self) -> bool {
        self.json || self.out.is_some() || self.is_asked(Table::Reached)
    }
}

/// Parses the name of a fork, as block files write it.
fn fork_from(text: &str) -> Result<SpecId, String> {
    fork::parse(text).ok_or_else(|| format!("expected one of {}", fork::known_names()))
}

/// The survey as written to a file.
#[derive(Serialize)]
struct Whole<'a> {
    /// Number of workers for the columns that depend on it.
    workers: u8,
    #[serde(flatten)]
    survey: &'a Survey,
}

/// Surveys every requested block.
pub(super) fn survey(args: &SurveyArgs) -> Result<End, Stop> {
    let inputs = inputs::expand(&args.paths).map_err(|error| Stop::Message(error.to_string()))?;
    let config = Config::default();
    let mut executor =
        Executor::new(config).map_err(|error| Stop::threads(config.workers, &error))?;
    if let Some(Output { path, .. }) = &args.out {
        check_writable("--out", path)?;
    }
    let mut progress = Progress::new(inputs.len());
    let (mut end, mut gathering) = (End::Right, Gathering::default());
    let mut others = BTreeSet::new();
    for input in inputs {
        progress.begin(&input.name());
        let name = input.name();
        let result = survey_input(args, &mut executor, input);
        progress.end();
        let failed = match result {
            Ok(Surveyed::OtherFork(fork)) => {
                others.insert(fork);
                continue;
            }
            Ok(Surveyed::Block(row, chain)) => {
                print_row(args, &progress, &Row::Block(row.clone()))?;
                gathering.add(*row, chain);
                continue;
            }
            Err(failed) => failed,
        };
        end = end.max(failed.end);
        let row = FailedRow::new(name, failed.reason);
        print_row(args, &progress, &Row::Failed(row.clone()))?;
        gathering.add_failed(row);
    }
    drop(progress);
    let survey = gathering.finish(ACCOUNTS);
    if !others.is_empty() && survey.blocks.iter().all(|row| row.block().is_none()) {
        let asked: Vec<&str> = args.forks.iter().map(|fork| fork::name(*fork)).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        print_error(&format!(
            "no block is of {}: these are of {}; name another --fork",
            asked.join(" or "),
            others.join(", ")
        ));
        return Ok(end.max(End::BadInput));
    }
    if args.json {
        let Survey { groups, empty, .. } = &survey;
        let workers = args.workers;
        write_line(
            &json!({ "total": true, "workers": workers, "empty": empty, "groups": groups }),
        )?;
    } else {
        print(args, &survey)?;
    }
    // The error of each file has been reported; an empty page would hide it.
    if survey.blocks.iter().any(|row| row.block().is_some()) {
        write_out(args, &survey)?;
    }
    Ok(end)
}

/// Why a file has no row of a block.
struct Failed {
    end: End,
    reason: String,
}

impl From<Unusable> for Failed {
    fn from(error: Unusable) -> Self {
        Self { end: End::BadInput, reason: error.to_string() }
    }
}

/// Result of a file that can be used.
enum Surveyed {
    Block(Box<BlockRow>, Vec<crate::survey::ChainStep>),
    /// The block belongs to a fork that was not requested.
    OtherFork(String),
}

fn survey_input(
    args: &SurveyArgs,
    executor: &mut Executor,
    input: inputs::Input,
) -> Result<Surveyed, Failed> {
    let name = input.name();
    let file = input.load().map_err(Unusable::from)?;
    let is_asked = |spec| args.forks.is_empty() || args.forks.contains(&spec);
    if fork::parse(&file.meta.fork).is_some_and(|spec| !is_asked(spec)) {
        return Ok(Surveyed::OtherFork(file.meta.fork));
    }
    let question = Question {
        what_if: WhatIf::NOTHING,
        workers: args.workers.into(),
        also: Vec::new(),
        axis: Axis::Gas,
        top: 1,
    };
    let mut clock = args.clock;
    if !args.shows_reached() {
        clock.rounds = 0;
    }
    let explained = explain_file(clock, (&question, &mut Known::default()), executor, name, &file)?;
    if let Some(wrong) = explained.wrong {
        return Err(Failed { end: End::Mismatch, reason: wrong });
    }
    let reached = Reached {
        simulated: args
            .shows_reached()
            .then(|| simulated(&explained, &file, args.workers.into()))
            .flatten(),
        measured: explained.reached.as_ref().map(|it| (it.workers, it.speedup)),
        busy_share: explained.reached.as_ref().and_then(|it| it.busy_share),
    };
    let Explained { name, number, recording, explanation, .. } = explained;
    let meta = &file.meta;
    let origin =
        Origin { file: name, chain_id: meta.chain_id, block: number, fork: meta.fork.clone() };
    let first = explanation.conflicts.first.first().filter(|it| it.waits > 0);
    let row = BlockRow::new(
        origin,
        (explanation.transactions, &explanation.gas),
        question.workers,
        reached,
        first.map(|it| it.words.clone()),
    );
    Ok(Surveyed::Block(Box::new(row), steps(&recording, &explanation.gas)))
}

/// Returns Braid's simulated speed-up, with the gas of a run as its time.
fn simulated(explained: &Explained, file: &BlockFile, workers: usize) -> Option<f64> {
    let (block, database) = file.to_block().ok()?;
    let graph = Graph::new(&explained.recording, Axis::Gas, &WhatIf::NOTHING);
    let simulated = page::simulate((&block, &database), (&graph, Axis::Gas), &[workers], workers)?;
    simulated.speedup(workers)
}

fn print_row(args: &SurveyArgs, progress: &Progress, row: &Row) -> io::Result<()> {
    progress.aside(|| match row {
        row if args.json => write_line(row),
        Row::Failed(FailedRow { file, error, .. }) if error.contains(file.as_str()) => {
            print_error(error);
            Ok(())
        }
        Row::Failed(FailedRow { file, error, .. }) => {
            print_error(&format!("{file}: {error}"));
            Ok(())
        }
        Row::Block(_) => Ok(()),
    })
}

/// Renders a table from the totals over all blocks.
type Text<'a> = &'a dyn Fn(&Group) -> String;

/// Describes how many files have a block and how many have none.
fn title(survey: &Survey) -> String {
    let count = |count: usize, what: &str| match count {
        1 => format!("one {what}"),
        count => format!("{count} {what}s"),
    };
    let good = survey.blocks.iter().filter(|row| row.block().is_some()).count();
    let bad = survey.blocks.len() - good;
    let mut title = count(good - survey.empty, "block");
    if survey.empty > 0 {
        title += &format!(", {} left out", count(survey.empty, "empty block"));
    }
    if bad > 0 {
        title += &format!(", {}", count(bad, "unusable file"));
    }
    title.replacen('o', "O", usize::from(title.starts_with('o')))
}

fn print(args: &SurveyArgs, survey: &Survey) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let Some(all) = survey.groups.first().filter(|all| all.blocks > 0) else {
        if survey.empty > 0 {
            writeln!(out, "{}", title(survey))?;
        }
        return out.flush();
    };
    let texts: [(Table, Text<'_>); 5] = [
        (Table::Bounds, &|_| words::bounds(&survey.groups, args.workers.into())),
        (Table::Reached, &|_| words::reached(&survey.groups, args.workers.into())),
        (Table::Limits, &|_| words::limits(&survey.groups, args.workers.into())),
        (Table::Kinds, &words::kinds),
        (Table::Contracts, &|all| words::contracts(all, args.top)),
    ];
    let mut between = "";
    if args.tables.is_empty() {
        writeln!(out, "{}, {}", title(survey), counted(all.txs, "transaction"))?;
        between = "\n";
    }
    for (_, text) in texts.iter().filter(|(table, _)| args.is_asked(*table)) {
        write!(out, "{between}{}", text(all))?;
        between = "\n";
    }
    out.flush()
}

fn write_out(args: &SurveyArgs, survey: &Survey) -> Result<(), Stop> {
    let Some(Output { path, format }) = &args.out else { return Ok(()) };
    let whole = Whole { workers: args.workers, survey };
    let bytes = match format {
        Format::Html => {
            page::survey_page(&title(survey), &whole).map_err(io::Error::from)?.into_bytes()
        }
        Format::Json => serde_json::to_vec(&whole).map_err(io::Error::from)?,
        Format::Csv => csv(&survey.blocks).into_bytes(),
    };
    write("--out", path, &bytes)?;
    if !args.json && path != Path::new(STANDARD_STREAM) {
        writeln!(anstream::stderr(), "Wrote {}", path.display())?;
    }
    Ok(())
}
