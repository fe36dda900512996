//! `braid-node demo`: writes a genesis and blocks to try a chain with.

use super::count;
use alloy_consensus::{Block, BlockBody, TxEnvelope};
use alloy_rlp::Encodable;
use braid_blocks::{block_file::BlockFile, workload};
use braid_terminal::{End, Stop, message, working};
use clap::Args;
use serde_json::json;
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  braid-node demo demo/
  braid-node demo --blocks 50 --seed 7 demo/
  braid-node demo --json demo/ | jq -r .hash          the hash of the last block";

/// Write a generated chain: genesis.json, and blocks.rlp as geth export writes it
///
/// Each block has 185 to 250 signed transactions: payments, token transfers, swaps, payouts and
/// batches of rollups. Headers are complete, state roots included. The same arguments give the same
/// bytes. A file that exists is not overwritten.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DemoArgs {
    /// Folder to write to, which is created if missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Number of blocks
    #[arg(long, value_name = "N", default_value_t = 6)]
    blocks: u64,
    /// Seed of the generator
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Names of the files.
const GENESIS: &str = "genesis.json";
const BLOCKS: &str = "blocks.rlp";

pub(super) fn demo(args: &DemoArgs) -> Result<End, Stop> {
    let paths = [GENESIS, BLOCKS].map(|name| args.folder.join(name));
    // Checked before the blocks are generated and the first file is written.
    for path in &paths {
        if path.try_exists().map_err(|error| failed(path, &error))? {
            return Err(exists(path));
        }
    }
    let make = || workload::demo_chain(args.seed, args.blocks, braid_chain::genesis::header);
    let (genesis, files) = working("generating blocks", make).map_err(message)?;
    let mut rlp = Vec::new();
    for file in &files {
        rlp_block(file).map_err(message)?.encode(&mut rlp);
    }
    fs::create_dir_all(&args.folder).map_err(|error| failed(&args.folder, &error))?;
    let genesis = serde_json::to_vec_pretty(&genesis).map_err(message)?;
    let contents = [genesis, rlp];
    for (path, bytes) in paths.iter().zip(&contents) {
        let written = File::create_new(path).and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => exists(path),
            _ => failed(path, &error),
        })?;
    }
    let mut out = io::stdout().lock();
    if args.json {
        let [genesis, blocks] = paths;
        let last = files.last().map(|file| file.block.header.hash);
        let report = json!({
            "genesis": genesis,
            "blocks_file": blocks,
            "blocks": files.len(),
            "hash": last,
        });
        writeln!(out, "{report}")?;
        return Ok(End::Right);
    }
    for (path, bytes) in paths.iter().zip(&contents) {
        writeln!(out, "{}: {}", path.display(), count(bytes.len() as u64, "byte"))?;
    }
    let folder = args.folder.display();
    writeln!(out, "next: braid-node init --genesis {folder}/{GENESIS} CHAIN")?;
    Ok(End::Right)
}

fn failed(path: &Path, error: &io::Error) -> Stop {
    Stop::Message(format!("{}: {error}; name another folder", path.display()))
}

fn exists(path: &Path) -> Stop {
    Stop::Message(format!("{} exists; choose another folder", path.display()))
}

/// Converts a block file into the block as it is encoded in RLP.
fn rlp_block(file: &BlockFile) -> Result<Block<TxEnvelope>, braid_blocks::block_file::FieldError> {
    let transactions = file.transactions()?.iter();
    let transactions = transactions.map(|transaction| transaction.inner.inner().clone()).collect();
    let withdrawals = file.block.withdrawals.clone();
    let body = BlockBody { transactions, ommers: file.ommers.clone(), withdrawals };
    Ok(Block { header: file.block.header.inner.clone(), body })
}
