//! `braid-node export`: writes the state as a genesis file.

use super::{count, open_to_read, output_file::OutputFile};
use braid_chain::{
    EmbeddedSnapshot, ExportError, Exported, StateReader, export as export_state,
    open as open_chain,
};
use braid_terminal::{End, Progress, Stop, message};
use clap::Args;
use serde_json::json;
use std::{io::Write, path::PathBuf};

const EXAMPLES: &str = "\
Examples:
  braid-node export chain/ state.json.zst
  braid-node init --genesis state.json.zst copy/      the same state and state root
  braid-node export chain/ | jq '.alloc | length'

Exit code: 0 if the whole state was written; 2 if not, or if the file exists.";

/// Write the state after the last durable block as a genesis file: the state, not the blocks
///
/// For blocks see `export-blocks`. The file has geth's format: the configuration that the
/// chain began with, number, time, base fee, gas limit and difficulty of the last block, and in `alloc` all
/// accounts as they are now. A chain that `init` creates from it goes on under the same rules, and has the
/// same state and state root; it begins with a block of its own, which the blocks of this chain do not follow.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArgs {
    /// The chain's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The file to write, packed if its name ends with .gz or .zst; `-`: standard output
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Overwrite a file that exists
    #[arg(long)]
    force: bool,
    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
}

/// Number of accounts and slots per step of the progress.
const STEP: u64 = 1_000;

pub(super) fn export(args: &ExportArgs) -> Result<End, Stop> {
    let file = OutputFile::new(&args.file, args.force)?;
    let (_folder, store) = open_to_read(&args.folder)?;
    let reader = open_chain(&store).map_err(message)?;
    let exported = file.write(|mut out| write(&reader, &mut out))?;
    report(args, &reader, exported, &mut file.report())
}

fn report(
    args: &ExportArgs,
    reader: &StateReader<EmbeddedSnapshot>,
    exported: Exported,
    out: &mut impl Write,
) -> Result<End, Stop> {
    let head = reader.head();
    let Exported { accounts, slots } = exported;
    if args.json {
        let report = json!({
            "number": head.number,
            "hash": head.hash,
            "state_root": reader.state_root().map_err(message)?,
            "accounts": accounts,
            "slots": slots,
        });
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "state after block {} {}", head.number, head.hash)?;
        writeln!(out, "{}, {}", count(accounts, "account"), count(slots, "slot"))?;
    }
    Ok(End::Right)
}

fn write(
    reader: &StateReader<EmbeddedSnapshot>,
    out: &mut impl Write,
) -> Result<Exported, ExportError> {
    let mut progress = Progress::open_ended();
    export_state(reader, out, |Exported { accounts, slots }| {
        if accounts.saturating_add(slots).is_multiple_of(STEP) {
            let done = [count(accounts, "account"), count(slots, "slot")];
            progress.begin(&format!("thousand records: {}", done.join(", ")));
            progress.end();
        }
    })
}
