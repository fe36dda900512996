//! `braid explain`: why a block does not run in parallel.

mod print;

use super::{
    End, Stop, inputs,
    measure::{Subject, run_block},
    progress::Progress,
    report::Verdict,
};
use crate::{
    bench::Timing,
    explain::{
        self, Axis, Explanation, Location, Question, RecordError, Recording, Target, Totals, WhatIf,
    },
};
use braid_evm::{Config, Executor, Stretch};
use braid_testkit::block_file::{BlockFile, BlockFileError, BlockFileErrorKind, FieldError};
use clap::{Args, ValueEnum};
use print::{Json, Lines, Printer, Whole};
use std::{path::PathBuf, time::Duration};
use thiserror::Error;

const EXAMPLES: &str = "\
Examples:
  braid explain                                   the generated demo chain
  braid explain block.json.zst                    one block
  braid fetch --rpc URL 12345678 --out - | braid explain -
  braid explain blocks/                           every block file in a folder
  braid explain --without 0xA0b8...eB48 block.json    as if this contract had no conflicts
  braid explain --sharded 0xA0b8...eB48:0x7 block.json    as if each sender had its own slot 7
  braid explain --json blocks/ | jq '.gas.work / .gas.chain'

Exit code: 0; 1 if a block does not use the gas that its file says, or Braid's result differs from the
sequential one or from the header; 2 if a file cannot be used or a block is invalid.";

/// Tell why a block does not run in parallel
///
/// Runs each block once in sequence with plain revm, records what each transaction reads and writes, and says how fast
/// the block could run at most: without conflicts, if transactions that conflict run one after the other,
/// and if each waits only at its first read of what an earlier one writes; on 1 to 64 workers. Costs are gas,
/// and time as measured here. Then it names the places at which transactions wait, in order of what that
/// costs, with what would be gained without each; and the speed-up that Braid reaches here, with how it ran
/// the transactions. docs/EXPLAIN.md says what each line means. Several blocks get one line each.
/// Without an argument it explains a generated demo chain.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExplainArgs {
    /// Block files (.json, .json.gz, .json.zst), folders of them, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// Leave out the conflicts at a place, or at all places of a contract or sender; may be given several times
    #[arg(long, value_name = "LOCATION|ADDRESS")]
    without: Vec<Target>,
    /// Give each sender a place of its own instead of this one; may be given several times
    #[arg(long, value_name = "LOCATION")]
    sharded: Vec<Location>,
    /// Workers for which gains are given, 1 to 64; they need not exist here
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: u8,
    /// What conflicts are ordered by
    #[arg(long, value_enum, default_value_t)]
    by: ByArg,
    /// Number of places at which transactions wait that are named
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
    /// How often to run each block for the clock, in sequence and with Braid. 0: gas only, no clock
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
    /// Pause before each run whose speed-up is measured, as a node has it between two blocks; 0 for none
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = super::bench::pause_from)]
    pause: Duration,
    /// Say all of each of several blocks, and not one line
    #[arg(long)]
    whole: bool,
    /// Print one JSON object per line: one for each block, then, for several blocks, the total
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ByArg {
    /// Gas used: the same everywhere
    #[default]
    Gas,
    /// Time as measured here
    Time,
}

/// Why a block was not explained.
#[derive(Debug, Error)]
enum Unusable {
    /// The block file cannot be used.
    #[error(transparent)]
    File(#[from] BlockFileError),
    /// The block cannot be run.
    #[error("{file}: {error}; check the block with: braid run {file}")]
    Block { file: String, error: RecordError },
}

impl Unusable {
    fn file(&self) -> &str {
        match self {
            Self::File(error) => &error.file,
            Self::Block { file, .. } => file,
        }
    }
}

/// A block that was explained.
struct Explained {
    name: String,
    number: u64,
    explanation: Explanation,
    /// What was measured, unless the rounds are 0.
    reached: Option<Reached>,
    /// What came out as it must not.
    wrong: Option<String>,
}

/// How Braid executes the block here.
struct Reached {
    workers: usize,
    /// Sequential over parallel time on the clock.
    speedup: f64,
    sequential: Duration,
    parallel: Duration,
    path: Vec<Stretch>,
}

impl ExplainArgs {
    fn question(&self, config: &Config) -> Question {
        Question {
            what_if: WhatIf { without: self.without.clone(), sharded: self.sharded.clone() },
            workers: self.workers.into(),
            also: vec![config.workers.get().into()],
            axis: match self.by {
                ByArg::Time if self.rounds > 0 => Axis::Time,
                _ => Axis::Gas,
            },
            top: self.top,
        }
    }
}

/// Explains everything that `args` name.
pub(super) fn explain(args: &ExplainArgs) -> Result<End, Stop> {
    let inputs = inputs::expand(&args.paths).map_err(|error| Stop::Message(error.to_string()))?;
    let config = Config::default();
    let mut executor = Executor::new(config).map_err(|error| {
        Stop::Message(format!("cannot start {} workers: {error}", config.workers))
    })?;
    let question = args.question(&config);
    let is_one = inputs.len() == 1;
    let mut printer: Box<dyn Printer> = match (args.json, is_one || args.whole) {
        (true, _) => Box::new(Json { question: question.clone() }),
        (false, true) => Box::new(Whole { question: question.clone() }),
        (false, false) => Box::new(Lines { question: question.clone() }),
    };
    let mut progress = Progress::new(inputs.len());
    let (mut end, mut totals) = (End::Right, Totals::default());
    printer.begin()?;
    for input in inputs {
        progress.begin(&input.name());
        let result = explain_input(args, &question, &mut executor, &mut totals, input);
        progress.end();
        progress.aside(|| match result {
            Ok(explained) => {
                end = end.max(if explained.wrong.is_some() { End::Mismatch } else { End::Right });
                printer.block(&explained)
            }
            Err(error) => {
                end = end.max(End::BadInput);
                printer.unusable(&error)
            }
        })?;
    }
    drop(progress);
    if !is_one {
        printer.total(&totals)?;
    }
    Ok(end)
}

fn explain_input(
    args: &ExplainArgs,
    question: &Question,
    executor: &mut Executor,
    totals: &mut Totals,
    input: inputs::Input,
) -> Result<Explained, Unusable> {
    let name = input.name();
    let file = input.load()?;
    let recording = record(&name, &file, args.rounds)?;
    let explanation = explain::explain(&recording, question);
    totals.add(&recording, &explanation, question.axis);
    let gas: u64 = recording.transactions.iter().map(|it| it.gas).sum();
    let expected = file.expected.gas_used.filter(|expected| *expected != gas);
    let mut wrong =
        expected.map(|expected| format!("the run used {gas} gas, the file says {expected}"));
    let mut reached = None;
    if args.rounds > 0 {
        match measure(args, executor, &name, &file)? {
            Ok(measured) => reached = measured,
            Err(difference) => wrong = wrong.or(Some(difference)),
        }
    }
    let number = file.block.header.inner.number;
    Ok(Explained { number, explanation, reached, wrong, name })
}

fn record(name: &str, file: &BlockFile, rounds: u32) -> Result<Recording, Unusable> {
    let (block, database) = file.to_block().map_err(|error| field(name, error))?;
    explain::record(&block, &database, rounds)
        .map_err(|error| Unusable::Block { file: name.to_owned(), error })
}

fn field(name: &str, error: FieldError) -> Unusable {
    BlockFileError::new(name.to_owned(), BlockFileErrorKind::Field(error)).into()
}

/// Runs the block with Braid and in sequence, as `braid run` does: what was measured, or what differs.
fn measure(
    args: &ExplainArgs,
    executor: &mut Executor,
    name: &str,
    file: &BlockFile,
) -> Result<Result<Option<Reached>, String>, Unusable> {
    let timing = Timing { rounds: args.rounds, pause: args.pause };
    let workers = usize::from(executor.config().workers.get());
    let subject = Subject { file, witness: None, list: None };
    let ran = run_block(executor, subject, name.to_owned(), timing);
    let report = ran.map_err(|error| field(name, error))?.report;
    if let Verdict::Mismatch(differences) = &report.verdict {
        let first = differences.first().map_or("", String::as_str);
        return Ok(Err(format!("Braid's result differs: {first}; see braid run {name}")));
    }
    let measured = report.measured;
    Ok(Ok(measured.and_then(|measured| {
        let speedup = measured.speedup()?;
        let (sequential, parallel) = (measured.sequential.wall, measured.parallel.wall);
        Some(Reached { workers, speedup, sequential, parallel, path: report.path })
    })))
}
