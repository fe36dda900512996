//! `braid run`: execute blocks both ways and compare everything.

use super::{
    End, Stop,
    human::Human,
    inputs,
    json::Json,
    measure::{Subject, run_block},
    progress::Progress,
    report::{BlockReport, Totals},
};
use crate::bench::Timing;
use braid_evm::{Config, Executor, Mode, Policy};
use braid_testkit::block_file::{BlockFileError, BlockFileErrorKind};
use clap::{Args, ValueEnum};
use std::{io, num::NonZeroU16, path::PathBuf, time::Duration};

const EXAMPLES: &str = "\
Examples:
  braid run                                  a generated demo chain
  braid run block.json.zst                   one block
  braid run blocks/                          every block file in a folder
  braid gen --workload dex --txs 500 --out - | braid run -
  braid run --workers 4 --policy force-speculative --json blocks/ | jq .speedup

Exit code: 0 if everything agrees; 1 if a block differs from sequential execution
or from its header; 2 if a file cannot be used or a block is invalid.";

/// Execute blocks in parallel and sequentially, and compare everything
///
/// Executes each block on several workers and with plain sequential revm; compares outcomes,
/// receipts, logs, gas, requests and state changes with their reverts; checks gas used, receipts
/// root, logs bloom and requests hash against the header, and the state root where a witness
/// (`x.witness.json.zst` beside `x.json.zst`) has the trie nodes for it. Without an argument it runs
/// a generated demo chain.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    /// Block files (.json, .json.gz, .json.zst), folders of them, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// Workers that execute transactions [default: one for each core]
    #[arg(long, value_name = "N", value_parser = super::workers_from)]
    workers: Option<NonZeroU16>,
    /// What an invalid transaction does
    #[arg(long, value_enum, default_value_t)]
    mode: ModeArg,
    /// How eagerly to speculate; results never depend on it
    #[arg(long, value_enum, default_value_t)]
    policy: PolicyArg,
    /// Recover every sender from its signature and compare it with the file
    #[arg(long)]
    check_signatures: bool,
    /// How often to run each block both ways; times are medians, every result is compared
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Pause before each timed run, as a node has it between two blocks; 0 for none
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = super::bench::pause_from)]
    pause: Duration,
    /// Print one JSON object per line: one for each block, then the total
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ModeArg {
    /// It makes the block invalid
    #[default]
    Validate,
    /// It is left out, and the rest goes on
    Build,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum PolicyArg {
    /// Speculate where it pays
    #[default]
    Auto,
    /// Always speculate
    ForceSpeculative,
    /// Parts of a few transactions, each on the state before all of them, and order by turns
    Parts,
    /// A few transactions in lanes, those together that share a sender or a call, and order by turns
    Lanes,
    /// One transaction after the other
    InOrder,
}

impl PolicyArg {
    /// The library's choice.
    pub(super) const fn policy(self) -> Policy {
        match self {
            Self::Auto => Policy::Auto,
            Self::ForceSpeculative => Policy::ForceSpeculative,
            Self::Parts => Policy::Parts,
            Self::Lanes => Policy::Lanes,
            Self::InOrder => Policy::InOrder,
        }
    }
}

/// What all reports of one call have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) workers: u16,
    pub(super) mode: &'static str,
    pub(super) policy: &'static str,
    pub(super) rounds: u32,
}

/// A way of writing reports.
pub(super) trait Reporter {
    /// Before the first block.
    fn begin(&mut self) -> io::Result<()>;
    /// A block that was run.
    fn block(&mut self, report: &BlockReport) -> io::Result<()>;
    /// A file that could not be used.
    fn unusable(&mut self, error: &BlockFileError) -> io::Result<()>;
    /// After the last block.
    fn total(&mut self, totals: &Totals) -> io::Result<()>;
}

impl RunArgs {
    fn config(&self) -> Config {
        let mut config = Config::default();
        if let Some(workers) = self.workers {
            config.workers = workers;
        }
        config.mode = match self.mode {
            ModeArg::Validate => Mode::Validate,
            ModeArg::Build => Mode::Build,
        };
        config.policy = self.policy.policy();
        config
    }

    fn setting(&self, config: &Config) -> Setting {
        Setting {
            workers: config.workers.get(),
            mode: match self.mode {
                ModeArg::Validate => "validate",
                ModeArg::Build => "build",
            },
            policy: match self.policy {
                PolicyArg::Auto => "auto",
                PolicyArg::ForceSpeculative => "force-speculative",
                PolicyArg::Parts => "parts",
                PolicyArg::Lanes => "lanes",
                PolicyArg::InOrder => "in-order",
            },
            rounds: self.rounds,
        }
    }
}

/// Runs everything that `args` name.
pub(super) fn run(args: &RunArgs) -> Result<End, Stop> {
    let config = args.config();
    let mut executor = Executor::new(config).map_err(|error| {
        Stop::Message(format!("cannot start {} workers: {error}", config.workers))
    })?;
    let inputs = inputs::expand(&args.paths).map_err(|error| Stop::Message(error.to_string()))?;
    let setting = args.setting(&config);
    let mut reporter: Box<dyn Reporter> =
        if args.json { Box::new(Json::new(setting)) } else { Box::new(Human::new(setting)) };
    let mut totals = Totals::default();
    let mut progress = Progress::new(inputs.len());
    reporter.begin()?;
    for input in inputs {
        let name = input.name();
        progress.begin(&name);
        let result = run_input(args, &mut executor, input, name);
        progress.end();
        progress.aside(|| match result {
            Ok(report) => {
                totals.add(&report);
                reporter.block(&report)
            }
            Err(error) => {
                totals.add_unusable();
                reporter.unusable(&error)
            }
        })?;
    }
    drop(progress);
    reporter.total(&totals)?;
    Ok(totals.end())
}

fn run_input(
    args: &RunArgs,
    executor: &mut Executor,
    input: inputs::Input,
    name: String,
) -> Result<BlockReport, BlockFileError> {
    let witness = input.witness()?;
    let file = input.load()?;
    let named = |error| BlockFileError::new(name.clone(), BlockFileErrorKind::Field(error));
    if args.check_signatures {
        file.check_signatures().map_err(named)?;
    }
    let subject = Subject { file: &file, witness: witness.as_ref() };
    let timing = Timing { rounds: args.rounds, pause: args.pause };
    run_block(executor, subject, name.clone(), timing).map_err(named)
}
