//! `braid-node checkpoint`: copies a chain's folder.

use super::{count, open_to_read};
use crate::checkpoint::write;
use braid_chain::open as open_chain;
use braid_terminal::{End, Progress, Stop, message};
use clap::Args;
use serde_json::json;
use std::{
    io::{self, Write},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  braid-node checkpoint chain/ backup/
  braid-node run --rpc 8545 --checkpoints backups/ chain/       a node that writes them when it is asked:
  cast rpc --rpc-url http://localhost:8545 braid_checkpoint

Exit code: 0 if the copy is complete; 2 if not, or if the new folder exists.";

/// Copy a chain into a new folder, which is another chain folder with the same blocks and state
///
/// The copy is made from one state, and gets its name once it is complete. A folder that a node uses is locked: ask
/// that node for a checkpoint.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckpointArgs {
    /// The chain's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The folder to create
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Number of records per step of the progress.
const STEP: u64 = 100_000;

pub(super) fn checkpoint(args: &CheckpointArgs) -> Result<End, Stop> {
    let (_folder, store) = open_to_read(&args.folder)?;
    let reader = open_chain(&store).map_err(message)?;
    let (mut progress, mut shown) = (Progress::open_ended(), 0);
    let records = write(&reader, &args.new, |records| {
        if records / STEP > shown {
            shown = records / STEP;
            progress.begin(&count(records, "record"));
            progress.end();
        }
    });
    let records = records.map_err(message)?;
    let (head, mut out) = (reader.head(), io::stdout().lock());
    if args.json {
        let report = json!({"number": head.number, "hash": head.hash, "records": records});
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "head {} {}, durable", head.number, head.hash)?;
        writeln!(out, "{} in {}", count(records, "record"), args.new.display())?;
    }
    Ok(End::Right)
}
