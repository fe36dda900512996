//! `braid chain init`: the state that a chain begins with.

use super::{End, Stop, message};
use crate::chain_input::unpacked;
use alloy_genesis::Genesis;
use braid_chain::{ChainFolder, EmbeddedStore, Head, StateRoots, create, genesis};
use clap::Args;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;
use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  braid chain init --genesis genesis.json chain/
  braid chain init --genesis genesis.json --json chain/ | jq .hash";

/// Create a chain from a genesis file
///
/// Reads geth's genesis format: chain configuration, header fields and `alloc`. Computes the state
/// root and the hash of the first block, and writes the accounts into the folder.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InitArgs {
    /// Genesis file, in geth's format; plain, or packed with gzip or zstd
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// The chain's folder, which is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Compute no state roots: blocks cost less, and state roots of headers are not compared
    #[arg(long)]
    no_state_roots: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn init(args: &InitArgs) -> Result<End, Stop> {
    let genesis = read(&args.genesis)?;
    let header = genesis::header(&genesis);
    let head = Head { number: header.number, hash: header.hash_slow() };
    let mut batch = genesis::batch(&genesis, head);
    batch.state_root = Some(header.state_root);
    let roots = if args.no_state_roots { StateRoots::Disabled } else { StateRoots::Computed };
    let folder = ChainFolder::create(&args.folder).map_err(message)?;
    let store = EmbeddedStore::open(&folder.store()).map_err(message)?;
    create(&store, &genesis::encode(&genesis).map_err(message)?, &batch, roots)
        .map_err(|error| Stop::Message(format!("{}: {error}", args.folder.display())))?;
    let (accounts, slots) = (batch.accounts.len(), batch.slots.len());
    let mut out = io::stdout().lock();
    if args.json {
        let report = json!({
            "chain_id": genesis.config.chain_id,
            "number": head.number,
            "hash": head.hash,
            "state_root": header.state_root,
            "accounts": accounts,
            "slots": slots,
        });
        writeln!(out, "{report}")?;
        return Ok(End::Right);
    }
    let folder = args.folder.display();
    writeln!(out, "chain id {}", genesis.config.chain_id)?;
    writeln!(out, "block {} {}", head.number, head.hash)?;
    writeln!(out, "state root {}", header.state_root)?;
    writeln!(out, "{accounts} accounts, {slots} slots in {folder}")?;
    writeln!(out, "next: braid chain run {folder} BLOCKS.rlp")?;
    Ok(End::Right)
}

fn read(path: &Path) -> Result<Genesis, Stop> {
    let failed = |why: String| Stop::Message(format!("{}: {why}", path.display()));
    let mut text = Vec::new();
    let read = File::open(path).and_then(unpacked).and_then(|mut it| it.read_to_end(&mut text));
    read.map_err(|error| failed(error.to_string()))?;
    let mut deserializer = serde_json::Deserializer::from_slice(&text);
    let genesis = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| failed(format!("no genesis in geth's format: {error}")))?;
    let stated = serde_json::from_slice::<Stated>(&text);
    if !stated.is_ok_and(|stated| stated.config.chain_id.is_some()) {
        eprintln!("warning: {}: config has no chainId; the chain id is 1", path.display());
    }
    Ok(genesis)
}

/// What a genesis states; what it does not state has a default that may be unwanted.
#[derive(Debug, Deserialize)]
struct Stated {
    config: StatedConfig,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatedConfig {
    chain_id: Option<IgnoredAny>,
}
