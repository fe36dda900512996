//! One block: recorded, explained, and measured.

use crate::{
    bench::Timing,
    checks,
    commands::{
        measure::{Subject, run_block},
        names::{Known, LinesArgs, NamesArgs},
        report::Verdict,
    },
    explain::{self, Axis, Explanation, Location, Question, Recording, Target, WhatIf},
};
use braid_evm::{Config, Executor, Stretch};
use braid_terminal::Stop;
use braid_testkit::block_file::{BlockFile, BlockFileError, BlockFileErrorKind, FieldError};
use clap::{Args, ValueEnum};
use std::time::Duration;
use thiserror::Error;

/// What is asked of each block.
#[derive(Debug, Args)]
pub(in crate::commands) struct QuestionArgs {
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
    #[command(flatten)]
    pub(in crate::commands) names: NamesArgs,
    #[command(flatten)]
    pub(in crate::commands) clock: ClockArgs,
}

/// How the clock is used.
#[derive(Clone, Copy, Debug, Args)]
pub(in crate::commands) struct ClockArgs {
    /// How often to run each block for the clock, in sequence and with Braid. 0: gas only, no clock
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(in crate::commands) rounds: u32,
    /// Pause before each run whose speed-up is measured, as a node has it between two blocks; 0 for none
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = braid_terminal::pause_from)]
    pub(in crate::commands) pause: Duration,
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
pub(in crate::commands) enum Unusable {
    /// The block file cannot be used.
    #[error(transparent)]
    File(#[from] BlockFileError),
    /// The block cannot be run.
    #[error("{file}: {error}; check the block with: braid run {file}")]
    Block { file: String, error: String },
}

impl Unusable {
    /// Name of the file.
    pub(in crate::commands) fn file(&self) -> &str {
        match self {
            Self::File(error) => &error.file,
            Self::Block { file, .. } => file,
        }
    }
}

/// A block that was explained.
pub(in crate::commands) struct Explained {
    pub(in crate::commands) name: String,
    pub(in crate::commands) number: u64,
    pub(in crate::commands) recording: Recording,
    pub(in crate::commands) explanation: Explanation,
    /// What was measured, unless the rounds are 0.
    pub(in crate::commands) reached: Option<Reached>,
    /// What came out as it must not.
    pub(in crate::commands) wrong: Option<String>,
}

/// How Braid executes the block here.
pub(in crate::commands) struct Reached {
    pub(in crate::commands) workers: usize,
    /// Sequential over parallel time on the clock.
    pub(in crate::commands) speedup: f64,
    pub(in crate::commands) sequential: Duration,
    pub(in crate::commands) parallel: Duration,
    /// Share of a core that the sequential runs had, if the machine computed something else meanwhile.
    pub(in crate::commands) busy_share: Option<f64>,
    pub(in crate::commands) path: Vec<Stretch>,
}

impl Reached {
    /// What the measured times are worth, if the machine was busy.
    pub(in crate::commands) fn warning(&self) -> Option<String> {
        let share = self.busy_share? * 100.0;
        Some(format!(
            "The machine was busy: the sequential runs had {share:.0} % of a core, so the times say little."
        ))
    }
}

impl QuestionArgs {
    /// Reads the files with names.
    pub(in crate::commands) fn known(&self) -> Result<Known, Stop> {
        self.names.read(&LinesArgs::default())
    }

    /// The question, if the block runs here as `config` says.
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

/// Records, explains and measures the block of `file`, whose names are `known`.
pub(in crate::commands) fn explain_file(
    args: ClockArgs,
    (question, known): (&Question, &Known),
    executor: &mut Executor,
    name: String,
    file: &BlockFile,
) -> Result<Explained, Unusable> {
    let (mut recording, mut wrong) = record(&name, file, args.rounds)?;
    recording.names = known.of(file);
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

/// Records the block of `file`. Also tells what of it is not as the file says, if anything is.
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

fn field(name: &str, error: FieldError) -> Unusable {
    BlockFileError::new(name.to_owned(), BlockFileErrorKind::Field(error)).into()
}

/// Runs the block with Braid and in sequence, as `braid run` does: what was measured, or what differs.
pub(in crate::commands) fn measure(
    args: ClockArgs,
    executor: &mut Executor,
    name: &str,
    file: &BlockFile,
) -> Result<Result<Option<Reached>, String>, Unusable> {
    let timing = Timing { rounds: args.rounds, pause: args.pause };
    let workers = usize::from(executor.config().workers.get());
    let subject = Subject { file, witness: None, list: None, hint: None };
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
        let busy_share = measured.busy_share();
        Some(Reached { workers, speedup, sequential, parallel, busy_share, path: report.path })
    })))
}
