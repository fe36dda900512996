//! `braid-node prune`: removes old undo records, receipts and block hashes.

use super::{count, open};
use braid_chain::{open as open_chain, prune as prune_chain};
use braid_terminal::{End, Stop, message, working};
use clap::Args;
use serde_json::json;
use std::{
    io::{self, Write},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  braid-node prune --undo-blocks 16 chain/
  braid-node prune --undo-blocks 16 --receipts 1000 chain/
  braid-node prune --undo-blocks 0 --json chain/ | jq .removed_bytes";

/// Remove old undo records and receipts, and block hashes out of reach of BLOCKHASH
///
/// Afterwards only the last N blocks can be unwound. Block hashes that BLOCKHASH cannot reach, even
/// after N blocks are unwound, are removed too. The store frees the space when it compacts its files,
/// while later blocks are written.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PruneArgs {
    /// The chain's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Number of blocks, counted from the last one, that can still be unwound
    #[arg(long, value_name = "N")]
    undo_blocks: u64,
    /// Number of blocks, counted from the last one, whose receipts are kept [default: all]
    #[arg(long, value_name = "N")]
    receipts: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn prune(args: &PruneArgs) -> Result<End, Stop> {
    let (_folder, store) = open(&args.folder, None)?;
    let prune = || prune_chain(&store, args.undo_blocks, args.receipts);
    let pruned = working("removing records", prune).map_err(message)?;
    let head = open_chain(&store).map_err(message)?.head();
    let mut out = io::stdout().lock();
    if args.json {
        let report = json!({
            "removed_undo_records": pruned.undo_blocks,
            "removed_receipt_blocks": pruned.receipt_blocks,
            "removed_block_hashes": pruned.block_hashes,
            "removed_bytes": pruned.bytes,
            "number": head.number,
            "hash": head.hash,
        });
        writeln!(out, "{report}")?;
        return Ok(End::Right);
    }
    writeln!(
        out,
        "removed: {}, receipts of {}, {}, {}",
        count(pruned.undo_blocks, "undo record"),
        count(pruned.receipt_blocks, "block"),
        count(pruned.block_hashes, "block hash"),
        count(pruned.bytes, "byte"),
    )?;
    writeln!(out, "head {} {}, durable", head.number, head.hash)?;
    Ok(End::Right)
}
