//! `braid-node export-blocks`: writes blocks with their transactions.

use super::{count, open_to_read, output_file::OutputFile};
use braid_chain::{
    EmbeddedSnapshot, ExportError, ExportedBlocks, StateReader, export_blocks as export,
    open as open_chain,
};
use braid_terminal::{End, Progress, Stop, message};
use clap::Args;
use serde_json::json;
use std::{io::Write, path::PathBuf};

const EXAMPLES: &str = "\
Examples:
  braid-node export-blocks chain/ blocks.rlp.zst
  braid-node run copy/ blocks.rlp.zst                 executes them on a chain with the same genesis
  braid-node export-blocks chain/ --from 100 --to 199 | geth import /dev/stdin

Exit code: 0 if all blocks were written; 2 if not, or if the file exists.";

/// Write blocks with their transactions in RLP, one after the other, as `geth export` does
///
/// A folder holds the last blocks that the node has made or that were imported from RLP files: see
/// `run --history`. `run` imports the file on a chain with the
/// same genesis that ends just before the first of them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportBlocksArgs {
    /// The chain's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The file to write, packed if its name ends with .gz or .zst; `-`: standard output
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// The first block to write [default: the oldest that the folder holds]
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    /// The last block to write [default: the chain's last]
    #[arg(long, value_name = "NUMBER")]
    to: Option<u64>,
    /// Overwrite a file that exists
    #[arg(long)]
    force: bool,
    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
}

/// Number of blocks per step of the progress.
const STEP: u64 = 1_000;

pub(super) fn export_blocks(args: &ExportBlocksArgs) -> Result<End, Stop> {
    let file = OutputFile::new(&args.file, args.force)?;
    let (_folder, store) = open_to_read(&args.folder)?;
    let reader = open_chain(&store).map_err(message)?;
    let (from, to) = range(&reader, args)?;
    let written = file.write(|mut out| write(&reader, from, to, &mut out))?;
    let ExportedBlocks { blocks, bytes } = written;
    let mut out = file.report();
    if args.json {
        let report = json!({"first": from, "last": to, "blocks": blocks, "bytes": bytes});
        writeln!(out, "{report}")?;
    } else {
        writeln!(
            out,
            "blocks {from} to {to}: {}, {}",
            count(blocks, "block"),
            count(bytes, "byte")
        )?;
    }
    Ok(End::Right)
}

/// Returns the numbers of the first and the last block to write.
fn range(
    reader: &StateReader<EmbeddedSnapshot>,
    args: &ExportBlocksArgs,
) -> Result<(u64, u64), Stop> {
    let last = reader.head().number;
    let to = args.to.unwrap_or(last);
    if to > last {
        return Err(message(format!("there is no block {to}: the last one is {last}")));
    }
    let from = match args.from {
        Some(from) => from,
        None => reader.oldest_block().map_err(message)?.ok_or_else(|| {
            message(
                "the folder holds no block with its transactions: they are kept of blocks that \
                 `run --rpc` makes or that `run` reads from RLP files, unless --history is 0",
            )
        })?,
    };
    if from > to {
        return Err(message(format!("--from {from} is above the last block to write, {to}")));
    }
    Ok((from, to))
}

fn write(
    reader: &StateReader<EmbeddedSnapshot>,
    from: u64,
    to: u64,
    out: &mut impl Write,
) -> Result<ExportedBlocks, ExportError> {
    let mut progress = Progress::open_ended();
    export(reader, from..=to, out, |ExportedBlocks { blocks, .. }| {
        if blocks.is_multiple_of(STEP) {
            progress.begin(&format!("thousand blocks: {}", count(blocks, "block")));
            progress.end();
        }
    })
}
