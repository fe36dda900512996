//! `braid-node run --rpc`: makes blocks from the transactions that clients send.

use super::{
    count, interrupt,
    limits::LimitArgs,
    parse::{HistoryLimit, address_from, history_from, pause_from, whole_seconds_from},
    say,
    watch::{Served, Watch},
};
use crate::{
    Limits, Mined, Mining, Node, NodeConfig, Observer, Server,
    metrics::{Begun, WatchedStore},
};
use braid_chain::{
    ChainConfig, ChainFolder, EmbeddedStore, Executed, Head, genesis, open as open_chain,
};
use braid_evm::BlockOutput;
use braid_terminal::{End, Stop, message};
use clap::Args;
use serde_json::json;
use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Options of a chain that makes its own blocks.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Serve JSON-RPC at http://ADDR and make blocks of the transactions that arrive: a port, which is one of the
    /// loopback interface, or an address with a port
    #[arg(long, value_name = "ADDR", value_parser = address_from, conflicts_with_all = ["inputs", "receipts"])]
    pub(super) rpc: Option<SocketAddr>,
    /// With --rpc: minimum time between blocks, such as 1s; a number without a unit is in milliseconds. Without
    /// transactions, no block is made
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "rpc", value_parser = pause_from)]
    interval: Duration,
    /// With --rpc: make a block at this interval, even without transactions: 2 or 2s; whole seconds
    #[arg(long, value_name = "SECONDS", requires = "rpc", conflicts_with = "interval", value_parser = whole_seconds_from)]
    block_time: Option<Duration>,
    /// Blocks that are kept with transactions, receipts and logs, counted from the last one: a number, a size of the
    /// stored blocks and receipts such as 500MiB or 20GiB, or "all" [default: 4096, or all of an archive]
    #[arg(long, value_name = "N|SIZE", value_parser = history_from)]
    pub(super) history: Option<HistoryLimit>,
    /// Keep the values before each block, so that clients can read the state after every block from now on, however
    /// old. The chain stays an archive, also without this option
    #[arg(long)]
    pub(super) archive: bool,
    /// With --rpc: let clients ask for copies of the chain (`braid_checkpoint`), and write them into this folder
    #[arg(long, value_name = "DIR", requires = "rpc")]
    checkpoints: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
}

impl ServeArgs {
    /// Fails if there are limits of a server, and no server.
    pub(super) fn check(&self) -> Result<(), Stop> {
        match self.rpc.is_none() && self.limits != LimitArgs::default() {
            true => Err(message("--cors and --rpc-... are limits of a server: add --rpc")),
            false => Ok(()),
        }
    }
}

/// Values of the command's other options.
pub(super) struct Serving {
    /// The folder, locked while the node runs.
    pub(super) folder: ChainFolder,
    pub(super) store: EmbeddedStore,
    pub(super) chain: ChainConfig,
    pub(super) served: Option<Served>,
    /// Blocks that are kept.
    pub(super) history: HistoryLimit,
}

/// A node of a folder that is open, with its counters.
pub(super) struct Opened {
    pub(super) folder: ChainFolder,
    pub(super) node: RunNode,
    pub(super) watch: Option<Watch>,
}

/// A node whose store is measured.
pub(super) type RunNode = Node<WatchedStore<EmbeddedStore>>;

impl Serving {
    /// Opens the node.
    pub(super) fn open(self) -> Result<Opened, Stop> {
        let Self { folder, store, mut chain, served, history } = self;
        chain.keep.history_bytes = history.bytes;
        let workers = chain.executor.workers.get();
        let config = NodeConfig { chain, history_blocks: history.blocks, ..NodeConfig::default() };
        let watched = WatchedStore::new(store.clone(), served.as_ref().map(Served::times));
        let node = Node::open(watched, config).map_err(message)?;
        let watch = |served| Watch::start(served, (node.chain(), store, workers));
        let watch = served.map(watch).transpose()?;
        Ok(Opened { folder, node, watch })
    }
}

/// Lets clients of servers that are started later ask for copies of the chain.
pub(super) fn allow_checkpoints(node: &RunNode, folder: &Path) -> Result<(), Stop> {
    let allowed = node.write_checkpoints_to(folder, say::<String>);
    allowed.map_err(|error| message(format!("{}: {error}", folder.display())))
}

/// Starts the server of a node, and prints its URL.
pub(super) fn listen(
    address: SocketAddr,
    limits: &LimitArgs,
    node: &RunNode,
    folder: &mut ChainFolder,
    watch: Option<&Watch>,
) -> Result<Server, Stop> {
    limits.start_log();
    let (access, limits) = (limits.access(&[])?, limits.limits(Limits::default()));
    let server = Server::start_with(&access, address, node.shared(), limits).map_err(message)?;
    if let Some(watch) = watch {
        watch.serves(node.shared().usage());
    }
    let url = format!("http://{}", server.address());
    folder.answers_at(&url).map_err(message)?;
    writeln!(io::stderr(), "json-rpc: {url}")?;
    Ok(server)
}

/// Makes blocks until Ctrl-C.
pub(super) fn serve(
    address: SocketAddr,
    args: &ServeArgs,
    serving: Serving,
    json: bool,
) -> Result<End, Stop> {
    warn_of_chain(&serving.store)?;
    let Opened { mut folder, mut node, watch } = serving.open()?;
    let ahead = node.seconds_ahead();
    if ahead > 0 {
        let seconds = count(ahead, "second");
        say(format!(
            "warning: the last block is {seconds} ahead of this machine's clock: the next one is made then"
        ));
    }
    let interrupts = interrupt::listen()?;
    node.keep_pool_in(&folder.pool(), say::<String>);
    if let Some(checkpoints) = &args.checkpoints {
        allow_checkpoints(&node, checkpoints)?;
    }
    let _server = listen(address, &args.limits, &node, &mut folder, watch.as_ref())?;
    let mut told = Told::watched(watch, json);
    let ran = match args.block_time {
        Some(interval) => node.mine(Mining::Every(interval), &interrupts, &mut told),
        None => node.run(args.interval, &interrupts, &mut told),
    };
    let head = ran.map_err(|error| {
        let durable = node.chain().durable().number;
        message(format!("{error}; blocks up to {durable} are durable"))
    })?;
    told.report(head)?;
    Ok(End::Right)
}

/// Chain id of Ethereum mainnet.
const MAINNET: u64 = 1;

/// Warns of transactions that are valid on mainnet.
fn warn_of_chain(store: &EmbeddedStore) -> Result<(), Stop> {
    let reader = open_chain(store).map_err(message)?;
    let chain = genesis::decode(&reader.genesis().map_err(message)?).map_err(message)?;
    if chain.config.chain_id == MAINNET {
        say(
            "warning: this chain has the chain id of Ethereum's main network: transactions that are sent here are valid \
             there, too",
        );
    }
    Ok(())
}

/// Whether the chain in `store` is an archive.
pub(super) fn is_archive(store: &EmbeddedStore) -> Result<bool, Stop> {
    let reader = open_chain(store).map_err(message)?;
    Ok(reader.archived_since().map_err(message)?.is_some())
}

/// Returns the blocks that are kept unless `--history` says otherwise: calls in an old state need the
/// header of its block.
pub(super) const fn default_history(is_archive: bool) -> HistoryLimit {
    match is_archive {
        true => HistoryLimit::ALL,
        false => HistoryLimit { blocks: 4_096, ..HistoryLimit::ALL },
    }
}

/// Warns of blocks that are going to be removed, which cannot be undone.
pub(super) fn warn_of_history(store: &EmbeddedStore, history: HistoryLimit) -> Result<(), Stop> {
    let reader = open_chain(store).map_err(message)?;
    let bytes = reader.history_bytes().map_err(message)?;
    if bytes.is_some_and(|bytes| bytes > history.bytes) {
        say(
            "warning: the folder's blocks and receipts take more bytes than --history allows: the oldest ones are \
             removed for good, a few with each new block",
        );
    }
    let history = history.blocks;
    let Some(last) = reader.head().number.checked_sub(history) else { return Ok(()) };
    if reader.block(last).map_err(message)?.is_some() {
        say(format!(
            "warning: the folder holds more blocks than --history {history} keeps: block {last} and those before it are \
             removed for good, a few with each new block"
        ));
    }
    Ok(())
}

/// Prints a line for each block, and counts blocks.
#[derive(Default)]
pub(super) struct Told {
    watch: Option<Watch>,
    begun: Option<Begun>,
    json: bool,
    blocks: u64,
    transactions: u64,
    gas: u64,
}

impl Told {
    /// Prints no lines if `is_quiet`.
    pub(super) fn quiet(is_quiet: bool) -> Self {
        Self { json: is_quiet, ..Self::default() }
    }

    /// Counts the blocks in `watch`, and prints lines for a program if `json` is set.
    pub(super) fn watched(watch: Option<Watch>, json: bool) -> Self {
        Self { watch, json, ..Self::default() }
    }

    /// Prints a summary of all blocks, of which `head` is the last one.
    pub(super) fn report(&self, head: Head) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            let report = json!({
                "blocks": self.blocks,
                "transactions": self.transactions,
                "gas": self.gas,
                "head": {"number": head.number, "hash": head.hash},
            });
            return writeln!(out, "{report}");
        }
        let (blocks, transactions) =
            (count(self.blocks, "block"), count(self.transactions, "transaction"));
        writeln!(out, "{blocks}, {transactions}\nhead {} {}, durable", head.number, head.hash)
    }

    fn block(&mut self, number: u64, output: &BlockOutput, time: Duration) {
        if let Some((watch, begun)) = self.watch.as_ref().zip(self.begun.take()) {
            watch.end(begun, number, output);
        }
        let transactions = output.receipts.len() as u64;
        self.blocks = self.blocks.saturating_add(1);
        self.transactions = self.transactions.saturating_add(transactions);
        self.gas = self.gas.saturating_add(output.gas_used);
        if !self.json {
            let time = time.as_secs_f64() * 1e3;
            let transactions = count(transactions, "transaction");
            let gas = output.gas_used;
            // If standard output is closed, the node continues.
            let _ = writeln!(
                io::stdout().lock(),
                "block {number}: {transactions}, {gas} gas, {time:.1} ms"
            );
        }
    }
}

impl Observer for Told {
    fn begin(&mut self) {
        self.begun = self.watch.as_mut().map(Watch::begin);
    }

    fn mined(&mut self, mined: &Mined) {
        let Mined { built, time } = mined;
        self.block(built.changes.head.number, &built.output, *time);
    }

    fn executed(&mut self, executed: &Executed, time: Duration) {
        self.block(executed.changes.head.number, &executed.output, time);
    }
}
