//! Records, explains and measures one block.

use crate::{
    commands::names::{Known, NamesArgs},
    explain::{self, Axis, Explanation, Location, Question, Recording, Target, WhatIf},
};
use braid_blocks::{
    block_file::{BlockFile, BlockFileError, BlockFileErrorKind, FieldError},
    timing::Timing,
    verify::{Subject, Verdict, checks, verify},
};
use braid_evm::{Config, Executor, Segment};
use braid_terminal::Stop;
use clap::{Args, ValueEnum};
use std::time::Duration;
use thiserror::Error;

/// Options of the explanation of a block.
#[derive(Clone, Debug, Args)]
pub(in crate::commands) struct QuestionArgs {
    /// Ignore the conflicts at a location, or at all locations of a contract or sender; may be
    /// repeated
    #[arg(long, value_name = "LOCATION|ADDRESS")]
    without: Vec<Target>,
    /// Pretend that each sender has its own copy of this location; may be repeated
    #[arg(long, value_name = "LOCATION")]
    sharded: Vec<Location>,
    /// Number of workers for which gains are computed, 1 to 64; may exceed the number of cores
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: u8,
    /// Order conflicts by gas or by time
    #[arg(long, value_enum, default_value_t)]
    by: ByArg,
    /// Number of locations to list
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
    #[command(flatten)]
    pub(in crate::commands) names: NamesArgs,
    #[command(flatten)]
    pub(in crate::commands) clock: ClockArgs,
}

/// Options of measurements on the clock.
#[derive(Clone, Copy, Debug, Args)]
pub(in crate::commands) struct ClockArgs {
    /// Number of timed runs of each block, sequential and with Braid; with 0, costs are gas only
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(in crate::commands) rounds: u32,
    /// Pause before each run whose speed-up is measured, as in a node between two blocks; 0 for
    /// none
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = braid_terminal::pause_from)]
    pub(in crate::commands) pause: Duration,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ByArg {
    /// Gas used: the same on every machine
    #[default]
    Gas,
    /// Time measured on this machine
    Time,
}

/// Why a block was not explained.
#[derive(Debug, Error)]
pub(in crate::commands) enum Unusable {
    /// The block file cannot be used.
    #[error(transparent)]
    File(#[from] BlockFileError),
    /// The block cannot be executed.
    #[error("{file}: {error}; check the block with: braid run {file}")]
    Block { file: String, error: String },
}

impl Unusable {
    /// Returns the name of the file.
    pub(in crate::commands) fn file(&self) -> &str {
        match self {
            Self::File(error) => &error.file,
            Self::Block { file, .. } => file,
        }
    }
}

/// An explained block.
pub(in crate::commands) struct Explained {
    pub(in crate::commands) name: String,
    pub(in crate::commands) number: u64,
    pub(in crate::commands) recording: Recording,
    pub(in crate::commands) explanation: Explanation,
    /// Measurements, unless the number of rounds is 0.
    pub(in crate::commands) reached: Option<Reached>,
    /// Description of a mismatch.
    pub(in crate::commands) wrong: Option<String>,
}

/// How Braid executes the block on this machine.
pub(in crate::commands) struct Reached {
    pub(in crate::commands) workers: usize,
    /// Sequential over parallel wall time.
    pub(in crate::commands) speedup: f64,
    pub(in crate::commands) sequential: Duration,
    pub(in crate::commands) parallel: Duration,
    /// Processor time over wall time of the sequential runs, if the machine was busy meanwhile.
    pub(in crate::commands) busy_share: Option<f64>,
    pub(in crate::commands) segments: Vec<Segment>,
}

impl Reached {
    /// Returns a warning about the measured times if the machine was busy.
    pub(in crate::commands) fn warning(&self) -> Option<String> {
        let share = self.busy_share? * 100.0;
        Some(format!(
            "The machine was busy: the sequential runs had {share:.0} % of a core, so the times are unreliable."
        ))
    }
}

impl QuestionArgs {
    /// Reads the files with names.
    pub(in crate::commands) fn known(&self) -> Result<Known, Stop> {
        self.names.read()
    }

    /// Returns the question for a block that runs with `config`.
    pub(in crate::commands) fn question(&self, config: &Config) -> Result<Question, Stop> {
        if self.clock.rounds == 0 && matches!(self.by, ByArg::Time) {
            let why = "--by time needs a clock, and --rounds 0 uses none: leave out one of them";
            return Err(Stop::Message(why.to_owned()));
        }
        Ok(Question {
            what_if: WhatIf { without: self.without.clone(), sharded: self.sharded.clone() },
            workers: self.workers.into(),
            also: vec![config.workers.get().into()],
            axis: match self.by {
                ByArg::Time => Axis::Time,
                ByArg::Gas => Axis::Gas,
            },
            top: self.top,
        })
    }
}

/// Records, explains and measures the block of `file`, with the names in `known`.
pub(in crate::commands) fn explain_file(
    args: ClockArgs,
    (question, known): (&Question, &mut Known),
    executor: &mut Executor,
    name: String,
    file: &BlockFile,
) -> Result<Explained, Unusable> {
    let (mut recording, mut wrong) = record(&name, file, args.rounds)?;
    known.name(file, &mut recording);
    let explanation = explain::explain(&recording, question);
    let mut reached = None;
    if args.rounds > 0 {
        match measure(args, executor, &name, file)? {
            Ok(measured) => reached = measured,
            Err(difference) => wrong = wrong.or(Some(difference)),
        }
    }
    let number = file.block.header.inner.number;
    Ok(Explained { name, number, recording, explanation, reached, wrong })
}

/// Records the block of `file`. Also returns the first difference from the file, if there is one.
pub(in crate::commands) fn record(
    name: &str,
    file: &BlockFile,
    rounds: u32,
) -> Result<(Recording, Option<String>), Unusable> {
    let (block, database) = file.to_block().map_err(|error| field(name, error))?;
    let invalid = |error: &dyn std::fmt::Display| Unusable::Block {
        file: name.to_owned(),
        error: error.to_string(),
    };
    let recording = explain::record(&block, &database, rounds).map_err(|error| invalid(&error))?;
    let wrong = checks::of_file(file, &block, &database).map_err(|error| invalid(&error))?;
    Ok((recording, wrong))
}

/// Describes a result that is not the expected one, and what to do.
pub(in crate::commands) fn unexpected(file: &str, wrong: &str) -> String {
    format!(
        "unexpected result: {wrong}. The output describes this result, not the one in the file. \
         All differences: braid run {file}; usual causes: docs/TROUBLESHOOTING.md"
    )
}

fn field(name: &str, error: FieldError) -> Unusable {
    BlockFileError::new(name.to_owned(), BlockFileErrorKind::Field(error)).into()
}

/// Runs the block with Braid and sequentially, as `braid run` does, and returns the measurements or
/// a difference.
pub(in crate::commands) fn measure(
    args: ClockArgs,
    executor: &mut Executor,
    name: &str,
    file: &BlockFile,
) -> Result<Result<Option<Reached>, String>, Unusable> {
    let timing = Timing { rounds: args.rounds, pause: args.pause };
    let workers = usize::from(executor.config().workers.get());
    let (block, database) = file.to_block().map_err(|error| field(name, error))?;
    let (block, database) = (&block, &database);
    let subject = Subject { file, block, database, witness: None, list: None, hint: None };
    let report = verify(executor, &subject, name.to_owned(), timing).report;
    if let Verdict::Mismatch(differences) = &report.verdict {
        let first = differences.first().map_or("", String::as_str);
        return Ok(Err(format!("Braid's result differs: {first}")));
    }
    let timed = report.measured.and_then(|measured| measured.timed);
    Ok(Ok(timed.and_then(|timed| {
        let speedup = timed.speedup()?;
        let (sequential, parallel) = (timed.sequential.wall, timed.parallel.wall);
        let busy_share = timed.busy_share();
        Some(Reached {
            workers,
            speedup,
            sequential,
            parallel,
            busy_share,
            segments: report.segments,
        })
    })))
}
