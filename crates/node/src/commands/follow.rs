//! `braid-node follow`: copies and serves the chain of another node.

use super::{
    interrupt,
    limits::LimitArgs,
    open,
    parse::{HistoryLimit, address_from, history_from, pause_from},
    refusal::Refusal,
    say,
    serve::{
        Opened, Serving, Told, allow_checkpoints, default_history, is_archive, listen,
        warn_of_history,
    },
    watch::Served,
};
use crate::{Follower, NodeError, Upstream, metrics::MetricsAddress};
use braid_chain::{ChainConfig, Keep};
use braid_terminal::{End, Stop, message};
use clap::Args;
use std::{net::SocketAddr, num::NonZeroU16, path::PathBuf, time::Duration};

const EXAMPLES: &str = "\
Examples:
  braid-node init --genesis genesis.json copy/        the genesis of the followed node
  braid-node follow http://10.0.0.5:8545 copy/ --rpc 8546
                                                      reads at port 8546; transactions sent there are
                                                      forwarded
  braid-node follow http://10.0.0.5:8545 copy/        a copy without a server
  braid-node run copy/ --rpc 8545                     the copy makes its own blocks from now on; stop
                                                      the followed node first

The followed node must answer debug_getRawBlock, as `braid-node run --rpc` does, and geth with
--http.api eth,debug. While it does not answer, the command serves what it has and tries again.

Ctrl-C ends the command, with code 0, when all executed blocks are durable.

Exit code: 0 after Ctrl-C; 1 if the result of a block is not what its header says; 2 if the node
cannot be followed or has another chain, a block is invalid, or the folder cannot be used.
Whatever the code, the blocks before the one that is named are durable.";

/// Parses a time of at least a millisecond.
fn interval_from(text: &str) -> Result<Duration, String> {
    match pause_from(text)? {
        Duration::ZERO => Err("expected 1ms or more".to_owned()),
        time => Ok(time),
    }
}

/// Copy the chain of another node, and serve it
///
/// Fetches the blocks of a node that speaks JSON-RPC, executes them, and compares each with its header, the state
/// root included. With --rpc, clients read the copy; transactions that they send are forwarded to the followed node.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct FollowArgs {
    /// URL of the followed node's JSON-RPC interface
    #[arg(value_name = "URL")]
    url: String,
    /// The chain's folder, created by `braid-node init` with the followed node's genesis, or by `braid-node checkpoint`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Serve JSON-RPC at http://ADDR: a port, which is one of the loopback interface, or an address with a port
    #[arg(long, value_name = "ADDR", value_parser = address_from)]
    rpc: Option<SocketAddr>,
    /// Time after which the followed node is asked for new blocks again; a number without a unit is in milliseconds
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = interval_from)]
    interval: Duration,
    /// Workers that execute transactions [default: one for each core]
    #[arg(long, value_name = "N", value_parser = braid_terminal::workers_from)]
    workers: Option<NonZeroU16>,
    /// Blocks that can be unwound, counted from the last one
    #[arg(long, value_name = "N", default_value_t = Keep::default().undo_blocks)]
    undo_blocks: u64,
    /// Blocks that are kept with transactions, receipts and logs, counted from the last one: a number, a size of the
    /// stored blocks and receipts such as 500MiB or 20GiB, or "all" [default: 4096, or all of an archive]
    #[arg(long, value_name = "N|SIZE", value_parser = history_from)]
    history: Option<HistoryLimit>,
    /// Keep the values before each block, so that clients can read the state after every block from now on, however
    /// old. The chain stays an archive, also without this option
    #[arg(long)]
    archive: bool,
    /// Memory for the store's read cache, in MiB
    #[arg(long, value_name = "MIB", default_value_t = braid_chain::CACHE_BYTES / super::MIB)]
    cache: u64,
    /// Serve counters for Prometheus at http://ADDR/metrics: a port, which is one of the loopback interface, or an
    /// address with a port
    #[arg(long, value_name = "ADDR")]
    metrics: Option<MetricsAddress>,
    /// With --rpc: let clients ask for copies of the chain (`braid_checkpoint`), and write them into this folder
    #[arg(long, value_name = "DIR", requires = "rpc")]
    checkpoints: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Print one JSON object at the end, and no line per block
    #[arg(long)]
    json: bool,
}

pub(super) fn follow(args: &FollowArgs) -> Result<End, Stop> {
    if args.rpc.is_none() && args.limits != LimitArgs::default() {
        return Err(message("--cors and --rpc-... are limits of a server: add --rpc"));
    }
    let unusable = |error| message(format!("{}: {error}", args.url));
    let upstream = Upstream::new(&args.url).map_err(unusable)?;
    let origin = upstream.origin().to_owned();
    let served = args.metrics.map(Served::start).transpose()?;
    let (folder, store) = open(&args.folder, Some(args.cache))?;
    let mut chain = ChainConfig::default();
    chain.executor.workers = args.workers.unwrap_or(chain.executor.workers);
    chain.keep = Keep::blocks(args.undo_blocks);
    chain.keep.archive = args.archive;
    let is_archive = args.archive || is_archive(&store)?;
    let history = args.history.unwrap_or(default_history(is_archive));
    warn_of_history(&store, history)?;
    let serving = Serving { folder, store, chain, served, history };
    let Opened { mut folder, node, watch } = serving.open()?;
    let mut follower = Follower::new(node, upstream);
    let interrupts = interrupt::listen()?;
    if let Some(checkpoints) = &args.checkpoints {
        allow_checkpoints(follower.node(), checkpoints)?;
    }
    if let Some(watch) = &watch {
        watch.serves(follower.node().shared().usage());
    }
    let listen =
        |address| listen(address, &args.limits, follower.node(), &mut folder, watch.as_ref());
    let _server = args.rpc.map(listen).transpose()?;
    say(format!("following {origin} from block {}", follower.node().chain().head().number));
    let mut told = Told::watched(watch, args.json);
    match follower.run(args.interval, &interrupts, &mut told, say::<String>) {
        Ok(head) => {
            told.report(head)?;
            Ok(End::Right)
        }
        Err(NodeError::Chain(error)) => {
            Refusal::of_followed(origin, &error).end(follower.node().chain().durable())
        }
        Err(error) => {
            let durable = follower.node().chain().durable().number;
            Err(message(format!("{error}; blocks up to {durable} are durable")))
        }
    }
}
