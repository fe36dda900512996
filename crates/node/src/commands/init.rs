//! `braid-node init`: creates a chain from a genesis.

use super::{count, genesis_file};
use braid_chain::{
    ChainFolder, DECLARED_ACCESSES, EmbeddedStore, Head, Rules, Snapshot, StateReader, StateRoots,
    create, genesis, open,
};
use braid_terminal::{End, Stop, message, working};
use clap::Args;
use serde_json::json;
use std::{
    io::{self, Write},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  braid-node init --genesis genesis.json chain/
  braid-node init --if-missing --genesis genesis.json chain/     before each start of a service
  braid-node init --declared --genesis genesis.json chain/       transactions declare what they access
  braid-node init --genesis genesis.json --json chain/ | jq .hash";

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
    /// The chain's folder, which is created if missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Do nothing if the folder already has a chain with this genesis
    #[arg(long)]
    if_missing: bool,
    /// Do not compute state roots: blocks are faster, and the state roots of headers are not compared
    #[arg(long)]
    no_state_roots: bool,
    /// Transactions declare what they access by their access lists, and halt if they access anything else: the same as
    /// `declaredAccesses: true` in the genesis' `config` (docs/DECLARED.md)
    #[arg(long)]
    declared: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn init(args: &InitArgs) -> Result<End, Stop> {
    let mut genesis = genesis_file::read(&args.genesis)?;
    if args.declared {
        genesis.config.extra_fields.insert(DECLARED_ACCESSES.to_owned(), true.into());
    }
    let header = genesis::header(&genesis);
    let head = Head { number: header.number, hash: header.hash_slow() };
    let mut batch = genesis::batch(&genesis, head);
    batch.state_root = Some(header.state_root);
    let roots = if args.no_state_roots { StateRoots::Disabled } else { StateRoots::Computed };
    let folder = ChainFolder::create(&args.folder).map_err(message)?;
    let store = EmbeddedStore::open(&folder.store()).map_err(message)?;
    let encoded = genesis::encode(&genesis).map_err(message)?;
    let there = args.if_missing.then(|| open(&store)).and_then(Result::ok);
    if let Some(reader) = there {
        return kept(args, &reader, (&encoded, head));
    }
    working("writing the genesis", || create(&store, &encoded, &batch, roots))
        .map_err(|error| Stop::Message(format!("{}: {error}", args.folder.display())))?;
    let [accounts, slots] = [batch.accounts.len(), batch.slots.len()].map(|it| it as u64);
    let chain_id = genesis.config.chain_id;
    let rules = Rules::new(genesis.config);
    let (fork, is_declared) = (rules.spec(&header), rules.are_accesses_declared());
    let mut out = io::stdout().lock();
    if args.json {
        let report = json!({
            "chain_id": chain_id,
            "fork": fork.to_string(),
            "declared_accesses": is_declared,
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
    let declared = if is_declared { ", declared accesses" } else { "" };
    writeln!(out, "chain id {chain_id}, rules of {fork}{declared}")?;
    writeln!(out, "block {} {}", head.number, head.hash)?;
    writeln!(out, "state root {}", header.state_root)?;
    writeln!(out, "{}, {} in {folder}", count(accounts, "account"), count(slots, "slot"))?;
    writeln!(
        out,
        "next: braid-node run {folder} BLOCKS.rlp, or braid-node run --rpc 8545 {folder}"
    )?;
    Ok(End::Right)
}

/// Keeps an existing chain if it began with this genesis. The hash of its first block covers the
/// accounts.
fn kept<S: Snapshot>(
    args: &InitArgs,
    reader: &StateReader<S>,
    (encoded, first): (&[u8], Head),
) -> Result<End, Stop> {
    let known = match reader.first_block().map_err(message)? {
        Some(known) => Some(known.head.hash),
        None => reader.block_hash(first.number).map_err(message)?,
    };
    let folder = args.folder.display();
    let there = reader.genesis().and_then(|bytes| genesis::decode(&bytes)).map_err(message)?;
    let given = genesis::decode(encoded).map_err(message)?;
    if there != given || known.is_some_and(|it| it != first.hash) {
        let file = args.genesis.display();
        return Err(Stop::Message(format!(
            "{folder} holds a chain that began with another genesis than {file}; take that one, or another folder"
        )));
    }
    let head = reader.head();
    let mut out = io::stdout().lock();
    if args.json {
        let report = json!({"number": head.number, "hash": head.hash, "created": false});
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "{folder} holds this chain, after block {}", head.number)?;
    }
    Ok(End::Right)
}
