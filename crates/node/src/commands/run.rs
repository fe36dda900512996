//! `braid-node run`: executes blocks on a chain.

use super::{
    count,
    interrupt::{self, Interrupts},
    open,
    pace::{Pace, Tally},
    parse::HistoryLimit,
    refusal::Refusal,
    serve::{ServeArgs, Serving, default_history, is_archive, serve, warn_of_history},
    watch::{RunChain, Served, Watch},
};
use crate::chain_input::{Ahead, InputBlock, Inputs, Next, SizedBlock};
use crate::metrics::{MetricsAddress, WatchedStore};
use braid_chain::{Chain, ChainConfig, ChainError, Head, Keep, Rules, genesis, open as open_chain};
use braid_terminal::{End, PolicyArg, Stop, message};
use clap::Args;
use serde_json::json;
use std::{
    io::{self, Write},
    num::{NonZeroU16, NonZeroUsize},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  braid-node run chain/ blocks.rlp           blocks as geth export writes them
  braid-node run chain/ blocks/              every block file in a folder, by name
  geth export /dev/stdout 1 1000 | braid-node run chain/ -
  braid-node run --workers 4 --json chain/ blocks.rlp.gz | jq .transactions_per_second
  braid-node run --metrics 9184 chain/ -     counters at http://127.0.0.1:9184/metrics
  braid-node run --rpc 8545 chain/           JSON-RPC at http://127.0.0.1:8545; blocks are made of
                                             the transactions that clients send

Blocks that the chain already has are skipped; only their hashes are compared. After a crash,
run the same command again to continue.

Ctrl-C ends the command after the current block, when all executed blocks are durable.
A second Ctrl-C ends it at once; the folder then holds the last block that was durable.

Exit code: 0 if all blocks are durable; 1 if a block is not what its header says;
2 if an input or the folder cannot be used, or a block is invalid; 130 after Ctrl-C,
which is how --rpc ends, with code 0.
Whatever the code, the blocks before the one that is named are durable.";

/// Execute blocks on a chain
///
/// Each block is executed on the state after the one before and compared with its header: gas used,
/// receipts root, logs bloom and requests hash, and the state root unless the chain was created without.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    /// The chain's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// RLP as geth exports it, block files, folders of block files, or - for standard input; gzip
    /// and zstd are unpacked
    #[arg(value_name = "INPUT", required_unless_present = "rpc")]
    inputs: Vec<PathBuf>,
    /// Workers that execute transactions [default: one for each core]
    #[arg(long, value_name = "N", value_parser = braid_terminal::workers_from)]
    workers: Option<NonZeroU16>,
    /// Which strategies the executor may use; results do not depend on it
    #[arg(long, value_enum, default_value_t)]
    policy: PolicyArg,
    /// Blocks that can be unwound, counted from the last one
    #[arg(long, value_name = "N", default_value_t = Keep::default().undo_blocks)]
    undo_blocks: u64,
    /// Keep the receipts of the last N blocks, if that is more than --history
    #[arg(long, value_name = "N", default_value_t = 0)]
    receipts: u64,
    /// Memory for the store's read cache, in MiB
    #[arg(long, value_name = "MIB", default_value_t = braid_chain::CACHE_BYTES / super::MIB)]
    cache: u64,
    /// Serve counters for Prometheus at http://ADDR/metrics while the command runs: a port, which is one of the
    /// loopback interface, or an address with a port
    #[arg(long, value_name = "ADDR")]
    metrics: Option<MetricsAddress>,
    #[command(flatten)]
    serve: ServeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RunArgs) -> Result<End, Stop> {
    args.serve.check()?;
    if args.receipts > 0 && args.serve.history.is_some_and(HistoryLimit::is_size) {
        return Err(message(
            "--receipts cannot be combined with a size in --history, which includes the receipts: \
             give --history a number of blocks",
        ));
    }
    // The counters are served first, as opening a chain is slow after a kill.
    let served = args.metrics.map(Served::start).transpose()?;
    let (folder, store) = open(&args.folder, Some(args.cache))?;
    let mut config = ChainConfig::default();
    config.executor.workers = args.workers.unwrap_or(config.executor.workers);
    config.executor.policy = args.policy.policy();
    config.keep = Keep::blocks(args.undo_blocks);
    config.keep.archive = args.serve.archive;
    let is_archive = args.serve.archive || is_archive(&store)?;
    let history = args.serve.history.unwrap_or(default_history(is_archive));
    config.keep.receipt_blocks = args.receipts.max(history.blocks);
    config.keep.rlp_blocks = history.blocks;
    config.keep.history_bytes = history.bytes;
    warn_of_history(&store, history)?;
    if let Some(address) = args.serve.rpc {
        let serving = Serving { folder, store, chain: config, served, history };
        return serve(address, &args.serve, serving, args.json);
    }
    let reader = open_chain(&store).map_err(message)?;
    let genesis = reader.genesis().and_then(|bytes| genesis::decode(&bytes)).map_err(message)?;
    let head = reader.head();
    drop(reader);
    let rules = Rules::new(genesis.config);
    let threads = NonZeroUsize::from(config.executor.workers);
    let inputs = Inputs::new(&args.inputs, rules, head.number, threads).map_err(message)?;
    let watched = WatchedStore::new(store.clone(), served.as_ref().map(Served::times));
    let chain = Chain::open(watched, config).map_err(message)?;
    let mut pace = Pace::new(inputs.bytes());
    let workers = config.executor.workers.get();
    let watch = |served| Watch::start(served, (&chain, store, workers));
    let metrics = served.map(watch).transpose()?;
    let mut import = Import { chain, first: None, passed_over: 0, metrics };
    let interrupts = interrupt::listen()?;
    let inputs = Ahead::new(inputs).map_err(message)?;
    let mut ended = import.all(inputs, &interrupts, &mut pace);
    let durable = import.chain.flush();
    let tally = pace.end();
    match &durable {
        Ok(head) => import.report(args, *head, &tally, matches!(ended, Ok(End::Interrupted)))?,
        // If the run already failed, its own error is reported.
        Err(error) if ended.is_ok() => ended = Err(Refusal::new(String::new(), error)),
        Err(_) => {}
    }
    match ended {
        Ok(end) => {
            if end == End::Interrupted {
                interrupt::say(import.chain.durable());
            }
            Ok(end)
        }
        Err(refusal) => refusal.end(import.chain.durable()),
    }
}

struct Import {
    chain: RunChain,
    /// Number of the first executed block.
    first: Option<u64>,
    /// Number of input blocks that the chain already had.
    passed_over: u64,
    /// Counters that are served while the command runs.
    metrics: Option<Watch>,
}

impl Import {
    /// Executes blocks until the inputs end, or the user interrupts the command.
    fn all(
        &mut self,
        mut inputs: Ahead,
        interrupts: &Interrupts,
        pace: &mut Pace,
    ) -> Result<End, Refusal> {
        loop {
            match inputs.next_or_stop(interrupts) {
                Next::Block(input) => self.one(input.map_err(Refusal::of_input)?, pace)?,
                Next::End => return Ok(End::Right),
                Next::Stopped => return Ok(End::Interrupted),
            }
        }
    }

    fn one(&mut self, input: SizedBlock, pace: &mut Pace) -> Result<(), Refusal> {
        let SizedBlock { block, file, read } = input;
        let refused = |error| Refusal::new(file.clone(), &error);
        let block = match block {
            InputBlock::Old(old) => {
                self.pass_over(old, &file)?;
                pace.passed_over(old.number, read);
                return Ok(());
            }
            InputBlock::New(block) => *block,
        };
        let number = block.block.env.number.saturating_to::<u64>();
        if number <= self.chain.head().number {
            // An earlier input contained this block.
            return self.pass_over(Head { number, hash: block.hash }, &file);
        }
        let begun = self.metrics.as_mut().map(Watch::begin);
        let executed = self.chain.execute(block).map_err(refused)?;
        if let Some((watch, begun)) = self.metrics.as_ref().zip(begun) {
            watch.end(begun, number, &executed.output);
        }
        self.first.get_or_insert(number);
        pace.block(number, &executed.output, read);
        Ok(())
    }

    /// Counts a block that the chain already has, after checking that it is the same one.
    fn pass_over(&mut self, old: Head, file: &str) -> Result<(), Refusal> {
        let Head { number, hash } = old;
        let known = self.known(number).map_err(|error| Refusal::new(file.to_owned(), &error))?;
        if let Some(known) = known.filter(|known| *known != hash) {
            let why = format!(
                "block {number} has the hash {hash}, the chain's block {number} is {known}"
            );
            return Err(Refusal::of_other_chain(file.to_owned(), why));
        }
        self.passed_over = self.passed_over.saturating_add(1);
        Ok(())
    }

    /// Returns the hash of a block of this chain, if the store has it.
    fn known(&self, number: u64) -> Result<Option<alloy_primitives::B256>, ChainError> {
        use revm::DatabaseRef;
        let hash = self.chain.state()?.block_hash_ref(number)?;
        Ok((!hash.is_zero()).then_some(hash))
    }

    fn report(
        &self,
        args: &RunArgs,
        head: Head,
        tally: &Tally,
        interrupted: bool,
    ) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if args.json {
            let report = json!({
                "first": self.first,
                "blocks": tally.blocks,
                "passed_over": self.passed_over,
                "transactions": tally.transactions,
                "gas": tally.gas,
                "seconds": tally.seconds,
                "blocks_per_second": tally.per_second(tally.blocks),
                "transactions_per_second": tally.per_second(tally.transactions),
                "mgas_per_second": tally.per_second(tally.gas) / 1e6,
                "head": {"number": head.number, "hash": head.hash},
                "interrupted": interrupted,
            });
            return writeln!(out, "{report}");
        }
        if self.passed_over > 0 {
            let verb = if self.passed_over == 1 { "was" } else { "were" };
            let blocks = count(self.passed_over, "block");
            writeln!(out, "{blocks} {verb} in the chain already")?;
        }
        if let Some(first) = self.first {
            match head.number {
                last if last == first => write!(out, "block {first}")?,
                last => write!(out, "blocks {first} to {last}")?,
            }
            writeln!(out, ": {tally}")?;
        }
        writeln!(out, "head {} {}, durable", head.number, head.hash)
    }
}
