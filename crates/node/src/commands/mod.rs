//! The commands of the `braid-node` tool.

mod checkpoint;
mod demo;
mod dev;
mod export;
mod export_blocks;
mod follow;
pub(crate) mod genesis_file;
mod init;
mod inspect;
mod interrupt;
mod limits;
mod output_file;
mod pace;
mod parse;
mod prune;
mod refusal;
mod run;
mod serve;
mod top;
mod unwind;
mod verify;
mod view;
mod watch;

use braid_chain::{ChainFolder, EmbeddedStore, FolderError};
use braid_terminal::{
    COLUMNS, CompletionsArgs, Stop, completions, exit_code, man, message, parse, working,
};
use clap::{CommandFactory, Parser, Subcommand};
use std::{
    io::{self, ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

const EXAMPLES: &str = "\
Examples:
  braid-node demo demo/                               a genesis and six signed blocks
  braid-node init --genesis demo/genesis.json chain/
  braid-node run chain/ demo/blocks.rlp
  braid-node inspect chain/
  braid-node verify chain/

Exit code: 0 if everything was right; 1 if a block is not what its header says; 2 if an input
or the folder cannot be used.";

/// Executes blocks one after the other, on a state that a folder keeps
///
/// A block executes on the state after the one before, while earlier ones are being written. A block
/// is durable when its state, codes, hash and undo record are written, all in one transaction:
/// after a crash the folder holds the state after the last durable block, and `run` continues from there.
#[derive(Debug, Parser)]
#[command(
    name = "braid-node", version, arg_required_else_help = true, max_term_width = COLUMNS,
    after_help = EXAMPLES
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::DevArgs),
    Init(init::InitArgs),
    Run(run::RunArgs),
    Follow(follow::FollowArgs),
    Inspect(inspect::InspectArgs),
    Verify(verify::VerifyArgs),
    Unwind(unwind::UnwindArgs),
    Prune(prune::PruneArgs),
    Export(export::ExportArgs),
    ExportBlocks(export_blocks::ExportBlocksArgs),
    Checkpoint(checkpoint::CheckpointArgs),
    Demo(demo::DemoArgs),
    Top(top::TopArgs),
    Completions(CompletionsArgs),
    /// Print the manual page, in roff: braid-node man > braid-node.1
    Man,
}

/// Runs the tool with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let cli: Cli = match parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    let ended = match &cli.command {
        Command::Dev(args) => dev::dev(args),
        Command::Init(args) => init::init(args),
        Command::Run(args) => run::run(args),
        Command::Follow(args) => follow::follow(args),
        Command::Inspect(args) => inspect::inspect(args),
        Command::Verify(args) => verify::verify(args),
        Command::Unwind(args) => unwind::unwind(args),
        Command::Prune(args) => prune::prune(args),
        Command::Export(args) => export::export(args),
        Command::ExportBlocks(args) => export_blocks::export_blocks(args),
        Command::Checkpoint(args) => checkpoint::checkpoint(args),
        Command::Demo(args) => demo::demo(args),
        Command::Top(args) => top::top(args),
        Command::Completions(args) => completions(Cli::command(), args),
        Command::Man => man(Cli::command()),
    };
    ExitCode::from(exit_code(ended))
}

/// Bytes in one mebibyte.
const MIB: u64 = 1 << 20;

/// Opens the chain in a folder for this process only.
fn open(folder: &Path, cache_mib: Option<u64>) -> Result<(ChainFolder, EmbeddedStore), Stop> {
    let folder = ChainFolder::open(folder).map_err(message)?;
    // Slow after a kill, as the journals are read.
    let store = working("opening the store", || match cache_mib {
        Some(cache) => EmbeddedStore::open_with_cache(&folder.store(), cache.saturating_mul(MIB)),
        None => EmbeddedStore::open(&folder.store()),
    });
    Ok((folder, store.map_err(message)?))
}

/// Opens the chain in a folder for reading, even if the folder cannot be written. The returned
/// guard must outlive the store.
fn open_to_read(folder: &Path) -> Result<(Reading, EmbeddedStore), Stop> {
    let error = match ChainFolder::open(folder) {
        Ok(folder) => {
            let store = working("opening the store", || EmbeddedStore::open(&folder.store()));
            return Ok((Reading { _folder: folder, _copy: None }, store.map_err(message)?));
        }
        Err(error) => error,
    };
    let FolderError::Io { error: why, .. } = &error else { return Err(message(error)) };
    if !matches!(why.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) {
        return Err(message(error));
    }
    let held = ChainFolder::open_to_read(folder).map_err(message)?;
    let copy = view::copied(&held.store()).map_err(|error| {
        message(format!(
            "{} cannot be written, and its store cannot be copied to be read: {error}; TMPDIR names a folder for the copy",
            folder.display()
        ))
    })?;
    let store = working("opening the store", || EmbeddedStore::open(copy.path()));
    Ok((Reading { _folder: held, _copy: Some(copy) }, store.map_err(message)?))
}

/// Guard of a folder that is read, and of the copy of its store, if any.
struct Reading {
    _folder: ChainFolder,
    _copy: Option<tempfile::TempDir>,
}

/// Formats a number of things, where `what` is the singular.
fn count(number: u64, what: &str) -> String {
    let end = match number {
        1 => "",
        _ if what.ends_with('h') => "es",
        _ => "s",
    };
    format!("{number} {what}{end}")
}

/// Prints a line to standard error, even if the stream is closed.
fn say<T: std::fmt::Display>(text: T) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
