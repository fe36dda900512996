//! `braid explain`: why a block does not run in parallel.

use super::{End, Stop, inputs, print_error, progress::Progress};
use crate::explain::{
    self, Axis, Explanation, Location, Question, RecordError, Recording, Target, WhatIf,
    json::BlockFields, words,
};
use braid_testkit::block_file::{BlockFile, BlockFileError, BlockFileErrorKind};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::PathBuf,
};
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

Exit code: 0; 1 if a block does not use the gas that its file says; 2 if a file cannot be used or a
block is invalid.";

/// Tell why a block does not run in parallel
///
/// Runs each block once in sequence with plain revm, records what each transaction reads and writes, and says how fast
/// the block could run at most: without conflicts, if transactions that conflict run one after the other,
/// and if each waits only at its first read of what an earlier one writes; on 1 to 64 workers. Costs are gas,
/// and time as measured here. docs/EXPLAIN.md says what each line means. Without an argument it
/// explains a generated demo chain.
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
    /// How often to run each block for the clock; the shortest time of each transaction counts. 0: gas only
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
    /// Print one JSON object per line and block
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
    /// Gas of the recording, and what the file says, if that is something else.
    wrong_gas: Option<(u64, u64)>,
}

impl ExplainArgs {
    fn question(&self) -> Question {
        Question {
            what_if: WhatIf { without: self.without.clone(), sharded: self.sharded.clone() },
            workers: self.workers.into(),
            axis: match self.by {
                ByArg::Gas => Axis::Gas,
                ByArg::Time => Axis::Time,
            },
        }
    }
}

/// Explains everything that `args` name.
pub(super) fn explain(args: &ExplainArgs) -> Result<End, Stop> {
    let inputs = inputs::expand(&args.paths).map_err(|error| Stop::Message(error.to_string()))?;
    let question = args.question();
    let mut progress = Progress::new(inputs.len());
    let mut end = End::Right;
    for input in inputs {
        progress.begin(&input.name());
        let result = explain_input(args, &question, input);
        progress.end();
        progress.aside(|| match result {
            Ok(explained) => {
                end = end.max(explained.end());
                explained.print(args, &question)
            }
            Err(error) => {
                end = end.max(End::BadInput);
                print_unusable(args, &error)
            }
        })?;
    }
    Ok(end)
}

fn explain_input(
    args: &ExplainArgs,
    question: &Question,
    input: inputs::Input,
) -> Result<Explained, Unusable> {
    let name = input.name();
    let file = input.load()?;
    let recording = record(&name, &file, args.rounds)?;
    let gas = recording.transactions.iter().map(|it| it.gas).sum();
    let expected = file.expected.gas_used;
    Ok(Explained {
        number: file.block.header.inner.number,
        explanation: explain::explain(&recording, question),
        wrong_gas: expected.filter(|expected| *expected != gas).map(|expected| (gas, expected)),
        name,
    })
}

fn record(name: &str, file: &BlockFile, rounds: u32) -> Result<Recording, Unusable> {
    let block = file.to_block();
    let named = |error| BlockFileError::new(name.to_owned(), BlockFileErrorKind::Field(error));
    let (block, database) = block.map_err(named)?;
    explain::record(&block, &database, rounds)
        .map_err(|error| Unusable::Block { file: name.to_owned(), error })
}

#[derive(Serialize)]
struct BlockLine<'a> {
    file: &'a str,
    block: u64,
    ok: bool,
    #[serde(flatten)]
    fields: BlockFields,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    file: &'a str,
    ok: bool,
    error: String,
}

impl Explained {
    fn end(&self) -> End {
        if self.wrong_gas.is_some() { End::Mismatch } else { End::Right }
    }

    fn print(&self, args: &ExplainArgs, question: &Question) -> io::Result<()> {
        if args.json {
            return write_line(&BlockLine {
                file: &self.name,
                block: self.number,
                ok: self.wrong_gas.is_none(),
                fields: BlockFields::from(&self.explanation),
            });
        }
        let mut out = anstream::stdout().lock();
        let name = inputs::short(&self.name);
        let count = self.explanation.transactions;
        writeln!(out, "{name}: block {}, {count} transactions", self.number)?;
        if let Some((gas, expected)) = self.wrong_gas {
            writeln!(
                out,
                "The run used {gas} gas, the file says {expected}: do not trust the rest."
            )?;
        }
        writeln!(out, "{}", words::block(&self.explanation, question))?;
        out.flush()
    }
}

fn print_unusable(args: &ExplainArgs, error: &Unusable) -> io::Result<()> {
    if args.json {
        return write_line(&ErrorLine { file: error.file(), ok: false, error: error.to_string() });
    }
    print_error(error);
    Ok(())
}

fn write_line(line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()
}
