//! `braid-node verify`: recomputes and checks all roots and hashes.

use super::{count, open_to_read};
use braid_chain::{StoreError, open as open_chain, verify as verify_chain};
use braid_terminal::{End, Stop, message, working};
use clap::Args;
use serde_json::json;
use std::{
    io::{self, Write},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  braid-node verify chain/
  braid-node verify --json chain/ | jq .state_root

Exit code: 0 if everything is right; 1 if something is wrong; 2 if the folder cannot be
used.";

/// Recompute and check all roots and hashes of a chain's folder
///
/// Computes the state root from all accounts and slots, and compares it with the chain's; compares the hash
/// of each trie node with what its parent holds, and that of each code with its accounts'; looks for gaps in
/// the block hashes and in the undo records of the last blocks. Takes time and memory in proportion to the
/// number of accounts.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct VerifyArgs {
    /// The chain's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn verify(args: &VerifyArgs) -> Result<End, Stop> {
    let (_folder, store) = open_to_read(&args.folder)?;
    let reader = open_chain(&store).map_err(message)?;
    let verified = match working("verifying every record", || verify_chain(&reader)) {
        Ok(verified) => verified,
        Err(error) if matches!(error.root(), StoreError::Damaged { .. }) => {
            braid_terminal::print_error(&format!("{}: {error}", args.folder.display()));
            return Ok(End::Mismatch);
        }
        Err(error) => return Err(message(error)),
    };
    let head = reader.head();
    let mut out = io::stdout().lock();
    if args.json {
        let report = json!({
            "number": head.number,
            "hash": head.hash,
            "state_root": verified.state_root,
            "state_root_compared": verified.is_compared,
            "accounts": verified.accounts,
            "slots": verified.slots,
            "codes": verified.codes,
            "nodes": verified.nodes,
            "block_hashes": verified.block_hashes,
            "undo_blocks": verified.undo_blocks,
            "receipt_blocks": verified.receipt_blocks,
        });
        writeln!(out, "{report}")?;
        return Ok(End::Right);
    }
    writeln!(out, "block {} {}", head.number, head.hash)?;
    let root = verified.state_root;
    if verified.is_compared {
        writeln!(out, "state root {root}")?;
    } else {
        writeln!(
            out,
            "state root {root}, computed and compared with nothing: the chain keeps no state roots"
        )?;
    }
    let counts = [
        count(verified.accounts, "account"),
        count(verified.slots, "slot"),
        count(verified.codes, "code"),
        count(verified.nodes, "trie node"),
        count(verified.block_hashes, "block hash"),
        count(verified.undo_blocks, "undo record"),
    ];
    let receipts = count(verified.receipt_blocks, "block");
    writeln!(out, "{}, receipts of {receipts}: all right", counts.join(", "))?;
    Ok(End::Right)
}
