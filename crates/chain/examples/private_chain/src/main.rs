//! A private chain in a folder: its own chain id, gas rules and precompile, no fees, accounts with
//! funds, and a block each second from a load generator. docs/PRIVATE_CHAIN.md explains it.
//!
//! `cargo run --release -p private-chain -- private --blocks 10`

pub(crate) mod load;
pub(crate) mod node;
pub(crate) mod precompile;
pub(crate) mod rules;

use braid_chain::{ChainFolder, EmbeddedStore, open};
use braid_evm::Config;
use clap::Parser;
use node::Node;
use std::{
    error::Error,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

const EXAMPLES: &str = "\
Examples:
  private-chain private/                   a block each second until Ctrl-C
  private-chain private/ --blocks 10       until the chain has block 10
  private-chain private/ --transactions 5000 --interval 200";

/// Run a private chain whose blocks come from a load generator
///
/// Creates the chain in a new folder, or in an empty one. Goes on with the chain that the folder holds, also after the
/// process was killed.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The chain's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// End when the chain has this block [default: end at Ctrl-C]
    #[arg(long, value_name = "N")]
    blocks: Option<u64>,
    /// Transactions of a block
    #[arg(long, value_name = "N", default_value_t = 200)]
    transactions: u64,
    /// The transactions of a block follow from this number and the number of the block
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Milliseconds from one block to the next
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    interval: u64,
}

fn main() -> ExitCode {
    let (stop, stopped) = mpsc::channel();
    let handler = ctrlc::set_handler(move || {
        // It fails if `run` has ended, which is what the message asks for.
        let _ = stop.send(());
    });
    let options = Options::parse();
    let ran = handler.map_err(Into::into);
    match ran.and_then(|()| run(&options, &stopped, &mut io::stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes blocks until the chain has the last one, or `stopped` receives a message.
pub(crate) fn run(
    options: &Options,
    stopped: &Receiver<()>,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    // Dropped last: no other process uses the folder until then.
    let folder = ChainFolder::create(&options.folder)?;
    let store = EmbeddedStore::open(&folder.store())?;
    let mut node = Node::open(store.clone(), rules::executor(Config::default())?)?;
    let (id, head) = (rules::CHAIN_ID, node.chain.head().number);
    writeln!(out, "chain id {id}, after block {head}").map_err(output)?;
    let interval = Duration::from_millis(options.interval);
    let mut due = Instant::now();
    while options.blocks.is_none_or(|last| node.chain.head().number < last) {
        let wait = due.saturating_duration_since(Instant::now());
        if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            break;
        }
        // A block that takes longer than the interval delays the next one, and no other.
        let begun = Instant::now();
        due = begun.max(due + interval);
        let (built, left_out) = node.block(options.seed, options.transactions)?;
        let time = begun.elapsed().as_secs_f64() * 1e3;
        let (number, durable) = (built.changes.head.number, node.chain.durable().number);
        let (count, gas) = (built.output.receipts.len(), built.output.gas_used);
        let plural = if count == 1 { "" } else { "s" };
        let left_out = if left_out > 0 { format!(", {left_out} left out") } else { String::new() };
        writeln!(
            out,
            "block {number}: {count} transaction{plural}, {gas} gas, {time:.1} ms{left_out}, durable {durable}"
        )
        .map_err(output)?;
    }
    let head = node.chain.flush()?;
    let root = open(&store)?.state_root()?.unwrap_or_default();
    writeln!(out, "head {} {}\nstate root {root}", head.number, head.hash).map_err(output)?;
    Ok(())
}

/// Returns the message for a line that cannot be written, which is no error of the chain's folder.
fn output(error: io::Error) -> String {
    format!("cannot write the output: {error}")
}
