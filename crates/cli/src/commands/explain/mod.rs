//! `braid explain`: why a block does not run in parallel.

mod print;
mod subject;

pub(super) use print::{block_line, whole};
pub(super) use subject::{
    ClockArgs, Explained, QuestionArgs, Reached, Unusable, explain_file, measure, record,
    unexpected,
};

use super::names::Known;
use crate::{
    explain::{Question, Totals},
    inputs,
};
use braid_evm::{Config, Executor};
use braid_terminal::{End, Progress, Stop};
use clap::Args;
use print::{Json, Lines, Printer, Whole};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  braid explain                                   the generated demo chain
  braid explain block.json.zst                    one block
  braid fetch --rpc URL --block 12345678 --out - | braid explain -
  braid explain blocks/                           every block file in a folder
  braid explain --without ADDRESS block.json    as if this contract had no conflicts
  braid explain --sharded ADDRESS:0x7 block.json    as if each sender had its own slot 7
  braid explain --layout out.json --abi out.json block.json    names of variables and functions: LINT.md
  braid explain --source-map out.json --root contracts block.json    lines that load and store, and advice
  braid explain --against before.json block.json    figures of both, side by side
  braid explain --json blocks/ | jq 'select(.gas) | .gas.work / .gas.chain'

Exit code: 0; 1 if a block's result differs from its header or file, or Braid's result from the
sequential one; 2 if a file cannot be used or a block is invalid.";

/// Explain why a block does not run in parallel
///
/// Runs each block once sequentially with plain revm and records what each transaction reads and
/// writes. It prints upper bounds on the speed-up with 1 to 64 workers: without conflicts, with
/// conflicting transactions in sequence, and with each transaction waiting only at its first read
/// of an earlier write. Costs are gas, and time as measured here. It lists the locations at which
/// transactions wait, ordered by cost, with the gain from removing each, and the speed-up that
/// Braid reaches here, with how it ran the transactions. docs/EXPLAIN.md explains each line. With
/// several blocks, each gets one line. Without arguments, it explains a generated demo chain.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExplainArgs {
    /// Block files (.json, .json.gz, .json.zst), folders of them, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    pub(super) paths: Vec<PathBuf>,
    /// Compare one block file with this one, or with saved output of braid explain --json; prints
    /// what braid compare FILE BLOCK prints
    #[arg(long, value_name = "FILE", conflicts_with = "whole")]
    pub(super) against: Option<PathBuf>,
    #[command(flatten)]
    pub(super) question: QuestionArgs,
    /// With several blocks, print the full explanation of each, not one line
    #[arg(long)]
    whole: bool,
    /// Print one JSON object per line: one for each block, then, for several blocks, the total;
    /// docs/EXPLAIN.md lists the fields
    #[arg(long)]
    pub(super) json: bool,
}

/// Explains every requested block.
pub(super) fn explain(args: &ExplainArgs) -> Result<End, Stop> {
    let inputs = inputs::expand(&args.paths).map_err(|error| Stop::Message(error.to_string()))?;
    let config = Config::default();
    let mut executor =
        Executor::new(config).map_err(|error| Stop::threads(config.workers, &error))?;
    let question = args.question.question(&config)?;
    let mut known = args.question.known()?;
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
        let result = explain_input(&args.question, (&question, &mut known), &mut executor, input);
        progress.end();
        progress.aside(|| match result {
            Ok(explained) => {
                totals.add(&explained.recording, &explained.explanation, question.axis);
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
    if totals.blocks > 0 {
        known.warn()?;
    }
    Ok(end)
}

fn explain_input(
    args: &QuestionArgs,
    asked: (&Question, &mut Known),
    executor: &mut Executor,
    input: inputs::Input,
) -> Result<Explained, Unusable> {
    let name = input.name();
    explain_file(args.clock, asked, executor, name, &input.load()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::{Axis, Recording, WhatIf, explain};
    use std::time::Duration;

    #[test]
    fn a_busy_machine_is_told_beside_what_was_measured_there() {
        let question = Question {
            what_if: WhatIf::NOTHING,
            workers: 2,
            also: Vec::new(),
            axis: Axis::Gas,
            top: 5,
        };
        let recording = Recording::default();
        let said = |busy_share| {
            let explained = Explained {
                name: "block.json".to_owned(),
                number: 1,
                explanation: explain(&recording, &question),
                recording: recording.clone(),
                reached: Some(Reached {
                    workers: 2,
                    speedup: 0.78,
                    sequential: Duration::from_millis(78),
                    parallel: Duration::from_millis(100),
                    busy_share,
                    segments: Vec::new(),
                }),
                wrong: None,
            };
            let mut text = Vec::new();
            whole(&mut text, &explained, &question).expect("memory takes everything");
            let line = serde_json::to_value(block_line(&explained, &question)).expect("JSON");
            (String::from_utf8(text).expect("text"), line["measured"]["busy_share"].clone())
        };
        let (busy, share) = said(Some(0.5));
        assert!(busy.contains("had 50 % of a core, so the times are unreliable"), "{busy}");
        assert_eq!(share, 0.5);
        let (calm, share) = said(None);
        assert!(!calm.contains("busy") && share.is_null(), "{calm}");
    }
}
