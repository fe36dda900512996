//! `braid-node inspect`: shows parts of a chain's state.

use super::open_to_read;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, hex};
use braid_chain::{EmbeddedSnapshot, StateReader, digest, genesis, open as open_chain};
use braid_terminal::{End, Stop, message, working};
use clap::{Args, Subcommand};
use revm::DatabaseRef;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  braid-node inspect chain/                          number and hash of the last block
  braid-node inspect chain/ account 0x95222290dd7278aa3ddd389cc1e1d165cc4bafe5
  braid-node inspect chain/ slot 0x95222290dd7278aa3ddd389cc1e1d165cc4bafe5 0x0
  braid-node inspect chain/ code 0x95222290dd7278aa3ddd389cc1e1d165cc4bafe5
  braid-node inspect --json chain/ receipts 17       as `run --receipts` keeps them
  braid-node inspect --json chain/ digest            a hash over the whole state";

/// Show what a chain's state holds, after the last durable block
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InspectArgs {
    /// The chain's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Data to show [default: head]
    #[command(subcommand)]
    what: Option<What>,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Default, Subcommand)]
enum What {
    /// Number and hash of the last durable block, its state root, and the chain id
    #[default]
    Head,
    /// Nonce, balance and code hash of an account
    Account {
        /// Address of the account
        address: Address,
    },
    /// Value of a slot
    Slot {
        /// Address of the account
        address: Address,
        /// Number of the slot, decimal or 0x...
        slot: U256,
    },
    /// Code of an account
    Code {
        /// Address of the account
        address: Address,
    },
    /// Receipts of a block, if `run --receipts` has kept them: status, gas used so far, logs
    Receipts {
        /// Number of the block
        number: u64,
    },
    /// Numbers of accounts and slots, and a Keccak-256 hash over all of them, which is no state root;
    /// reads the whole state
    Digest,
}

pub(super) fn inspect(args: &InspectArgs) -> Result<End, Stop> {
    let (_folder, store) = open_to_read(&args.folder)?;
    let reader = open_chain(&store).map_err(message)?;
    let found = match &args.what {
        None | Some(What::Head) => head(&reader)?,
        Some(What::Account { address }) => account(&reader, *address)?,
        Some(What::Slot { address, slot }) => {
            let value = reader.storage_ref(*address, *slot).map_err(message)?;
            vec![("value", json!(B256::from(value)))]
        }
        Some(What::Code { address }) => {
            let account = reader.account(*address).map_err(message)?;
            let hash = account.map_or(KECCAK256_EMPTY, |account| account.code_hash);
            let code = reader.code(hash).map_err(message)?;
            vec![("code", json!(hex::encode_prefixed(code)))]
        }
        Some(What::Receipts { number }) => {
            let kept = reader.receipts(*number).map_err(message)?;
            let last = reader.head().number;
            let missing = || {
                if *number > last {
                    return message(format!("there is no block {number}: the last one is {last}"));
                }
                message(format!(
                    "the receipts of block {number} are not kept; execute it with: braid-node run \
                     --receipts N"
                ))
            };
            vec![("receipts", json!(kept.ok_or_else(missing)?))]
        }
        Some(What::Digest) => {
            let digest = working("hashing every record", || digest(&reader)).map_err(message)?;
            let mut found = head(&reader)?;
            found.push(("accounts", json!(digest.accounts)));
            found.push(("slots", json!(digest.slots)));
            found.push(("digest", json!(digest.hash)));
            found
        }
    };
    print(args.json, found)?;
    Ok(End::Right)
}

type Fields = Vec<(&'static str, Value)>;

fn head(reader: &StateReader<EmbeddedSnapshot>) -> Result<Fields, Stop> {
    let head = reader.head();
    let mut fields = vec![("number", json!(head.number)), ("hash", json!(head.hash))];
    let genesis = genesis::decode(&reader.genesis().map_err(message)?).map_err(message)?;
    fields.push(("chain_id", json!(genesis.config.chain_id)));
    let root = reader.state_root().map_err(message)?;
    fields.extend(root.map(|root| ("state_root", json!(root))));
    Ok(fields)
}

fn account(reader: &StateReader<EmbeddedSnapshot>, address: Address) -> Result<Fields, Stop> {
    let Some(account) = reader.account(address).map_err(message)? else {
        return Ok(vec![("exists", json!(false))]);
    };
    Ok(vec![
        ("exists", json!(true)),
        ("nonce", json!(account.nonce)),
        ("balance", json!(account.balance.to_string())),
        ("code_hash", json!(account.code_hash)),
    ])
}

fn print(as_json: bool, fields: Fields) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        let object: serde_json::Map<String, Value> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        return writeln!(out, "{}", Value::Object(object));
    }
    for (name, value) in fields {
        match value {
            Value::String(text) => writeln!(out, "{name} {text}")?,
            Value::Array(values) => {
                writeln!(out, "{name} {}", values.len())?;
                values.iter().try_for_each(|value| writeln!(out, "{value}"))?;
            }
            other => writeln!(out, "{name} {other}")?,
        }
    }
    Ok(())
}
