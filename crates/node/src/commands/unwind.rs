//! `braid-node unwind`: unwinds blocks.

use super::{count, open};
use braid_chain::{Keep, unwind as unwind_chain};
use braid_terminal::{End, Stop, message, working};
use clap::Args;
use serde_json::json;
use std::{
    io::{self, Write},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  braid-node unwind chain/ 3
  braid-node unwind --json chain/ 3 | jq .number";

/// Unwind the last blocks of a chain
///
/// Restores the state before the blocks. Each block is unwound in a transaction of its own, with
/// its state root. `run --undo-blocks` says for how many blocks undo records are kept; no block is
/// unwound if one of them has none.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct UnwindArgs {
    /// The chain's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Number of blocks to unwind
    #[arg(value_name = "N")]
    blocks: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn unwind(args: &UnwindArgs) -> Result<End, Stop> {
    let (_folder, store) = open(&args.folder, None)?;
    let threads = Keep::default().root_threads;
    let head = working("unwinding", || unwind_chain(&store, args.blocks, threads));
    let head = head.map_err(message)?;
    let mut out = io::stdout().lock();
    if args.json {
        let report = json!({"unwound": args.blocks, "number": head.number, "hash": head.hash});
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "{} unwound", count(args.blocks, "block"))?;
        writeln!(out, "head {} {}, durable", head.number, head.hash)?;
    }
    Ok(End::Right)
}
