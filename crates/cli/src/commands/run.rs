//! `braid run`: executes blocks in parallel and sequentially, and compares everything.

use super::{human::Human, json::Json, lists::Lists, report::Totals};
use crate::{access_list::ListFileError, inputs};
use braid_blocks::{
    block_file::{BlockFileError, BlockFileErrorKind},
    timing::Timing,
    verify::{BlockReport, Ran, Setting, Subject, verify},
};
use braid_evm::{Config, Executor, Mode};
use braid_terminal::{End, PROFILE, PolicyArg, Progress, Stop};
use clap::{Args, ValueEnum};
use std::{io, num::NonZeroU16, path::PathBuf, sync::Arc, time::Duration};
use thiserror::Error;

const EXAMPLES: &str = "\
Examples:
  braid run                                  a generated demo chain
  braid run block.json.zst                   one block
  braid run blocks/                          every block file in a folder
  braid gen --workload dex --txs 500 --out - | braid run -
  braid run --workers 4 --policy speculative --json blocks/ | jq .speedup
  braid run --emit-bal lists/ blocks/        write lists/NAME.bal.rlp of each blocks/NAME.json.zst
  braid run --bal lists/ blocks/             execute each block with its list
  braid run --bal x.bal.rlp block.json.zst   one block with this list
  braid run --bal-hint lists/ blocks/        the same with lists that may be wrong

Exit code: 0 if everything agrees; 1 if a block differs from sequential execution, from its header
or from its access list; 2 if a file cannot be used or a block is invalid.";

/// Execute blocks in parallel and sequentially, and compare everything
///
/// Executes each block on several workers and with plain sequential revm. Compares outcomes,
/// receipts, logs, gas, requests and state changes with their reverts. Checks gas used, receipts
/// root, logs bloom and requests hash against the header, and the state root if a witness file
/// (`x.witness.json.zst` beside `x.json.zst`) has the trie nodes for it. Block access lists
/// (EIP-7928) are RLP files. A list is compared with revm's own before it is written; the hash of
/// any list is compared with the header's, if the header has one. Without arguments, it runs a
/// generated demo chain.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    /// Block files (.json, .json.gz, .json.zst), folders of them, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// Workers that execute transactions [default: one per core]
    #[arg(long, value_name = "N", value_parser = braid_terminal::workers_from)]
    workers: Option<NonZeroU16>,
    /// How to treat an invalid transaction
    #[arg(long, value_enum, default_value_t)]
    mode: ModeArg,
    /// Which strategies the executor may use; results do not depend on it
    #[arg(long, value_enum, default_value_t)]
    policy: PolicyArg,
    /// Recover every sender from its signature and compare it with the file
    #[arg(long)]
    check_signatures: bool,
    /// Number of runs of each block, parallel and sequential; times are medians, and every result
    /// is compared
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Pause before each timed run, as in a node between two blocks; 0 for none
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = braid_terminal::pause_from)]
    pause: Duration,
    /// Write the access list of each block without differences into this folder, as NAME.bal.rlp;
    /// times then include computing the list
    #[arg(long, value_name = "DIR")]
    emit_bal: Option<PathBuf>,
    /// Let --emit-bal overwrite existing files
    #[arg(long, requires = "emit_bal")]
    force: bool,
    /// Execute with an access list: a file for one block, or a folder with NAME.bal.rlp for each
    /// block
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "emit_bal")]
    bal: Option<PathBuf>,
    /// Like --bal, but untrusted: the list only predicts conflicts
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "bal")]
    bal_hint: Option<PathBuf>,
    /// Print one JSON object per line: one for each block, then the total; docs/BLOCK_FILE.md lists
    /// the fields
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ModeArg {
    /// Reject the block
    #[default]
    Validate,
    /// Skip the transaction and continue
    Build,
}

/// Why a block was not executed, or its access list not written.
#[derive(Debug, Error)]
pub(super) enum Unusable {
    /// The block file cannot be used.
    #[error(transparent)]
    Block(#[from] BlockFileError),
    /// The access list file of `block` cannot be used.
    #[error("{error}")]
    List { block: String, error: ListFileError },
}

/// A format of reports.
pub(super) trait Reporter {
    /// Called before the first block.
    fn begin(&mut self) -> io::Result<()>;
    /// Reports a block that was executed or rejected.
    fn block(&mut self, report: &BlockReport) -> io::Result<()>;
    /// Reports a file that could not be used.
    fn unusable(&mut self, error: &Unusable) -> io::Result<()>;
    /// Called after the last block.
    fn total(&mut self, totals: &Totals) -> io::Result<()>;
}

impl RunArgs {
    fn config(&self) -> Config {
        let mut config = Config::default();
        if let Some(workers) = self.workers {
            config.workers = workers;
        }
        config.engine.mode = match self.mode {
            ModeArg::Validate => Mode::Validate,
            ModeArg::Build => Mode::Build,
        };
        config.policy = self.policy.policy();
        config.access_list = self.emit_bal.is_some();
        config
    }

    /// Returns the use of access lists for `blocks` blocks.
    fn lists(&self, blocks: usize) -> Result<Lists, Stop> {
        if matches!(self.mode, ModeArg::Build) && (self.emit_bal.is_some() || self.bal.is_some()) {
            let why = "an access list covers a whole block: expected --mode validate";
            return Err(Stop::Message(why.to_owned()));
        }
        match (&self.emit_bal, &self.bal) {
            (Some(folder), _) => Lists::written(folder, self.force),
            (None, Some(path)) => Lists::read(path, blocks, "--bal"),
            (None, None) => Ok(Lists::Ignored),
        }
    }

    /// Returns the use of access lists as hints.
    fn hints(&self, blocks: usize) -> Result<Lists, Stop> {
        let hints = self.bal_hint.as_deref().map(|path| Lists::read(path, blocks, "--bal-hint"));
        hints.unwrap_or(Ok(Lists::Ignored))
    }

    fn setting(&self, config: &Config, lists: &Lists) -> Setting {
        Setting {
            workers: config.workers.get(),
            mode: match self.mode {
                ModeArg::Validate => "validate",
                ModeArg::Build => "build",
            },
            policy: match self.policy {
                PolicyArg::Auto => "auto",
                PolicyArg::Speculative => "speculative",
                PolicyArg::ContiguousBatches => "contiguous-batches",
                PolicyArg::Sequential => "sequential",
            },
            rounds: self.rounds,
            lists: lists.name(),
            hints: self.bal_hint.is_some(),
            profile: PROFILE,
        }
    }
}

/// Runs every requested block.
pub(super) fn run(args: &RunArgs) -> Result<End, Stop> {
    let config = args.config();
    let mut executor =
        Executor::new(config).map_err(|error| Stop::threads(config.workers, &error))?;
    let inputs = inputs::expand(&args.paths).map_err(|error| Stop::Message(error.to_string()))?;
    let lists = args.lists(inputs.len())?;
    let hints = args.hints(inputs.len())?;
    let setting = args.setting(&config, &lists);
    let mut reporter: Box<dyn Reporter> =
        if args.json { Box::new(Json::new(setting)) } else { Box::new(Human::new(setting)) };
    let mut totals = Totals::default();
    let mut progress = Progress::new(inputs.len());
    reporter.begin()?;
    for input in inputs {
        let name = input.name();
        progress.begin(&name);
        let result = run_input(args, [&lists, &hints], &mut executor, input);
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
    [lists, hints]: [&Lists; 2],
    executor: &mut Executor,
    input: inputs::Input,
) -> Result<BlockReport, Unusable> {
    let name = input.name();
    let of_list = |error| Unusable::List { block: name.clone(), error };
    let witness = input.witness()?;
    let file = input.load()?;
    let list_file = lists.file(&name);
    let list = list_file.as_deref().map(|file| lists.before(file)).transpose();
    let list = list.map_err(of_list)?.flatten().map(Arc::new);
    let hint = hints.file(&name).map(|file| hints.before(&file)).transpose();
    let hint = hint.map_err(of_list)?.flatten().map(Arc::new);
    let named = |error| BlockFileError::new(name.clone(), BlockFileErrorKind::Field(error));
    if args.check_signatures {
        file.check_signatures().map_err(named)?;
    }
    let (block, database) = file.to_block().map_err(named)?;
    let subject = Subject {
        file: &file,
        block: &block,
        database: &database,
        witness: witness.as_ref(),
        list: list.as_ref(),
        hint: hint.as_ref(),
    };
    let timing = Timing { rounds: args.rounds, pause: args.pause };
    let Ran { mut report, made, wrong, .. } = verify(executor, &subject, name.clone(), timing);
    if let Some(file) = list_file {
        report.list = lists.after(file, made, wrong).map_err(of_list)?;
    }
    Ok(report)
}
