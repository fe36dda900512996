//! `braid-lab bench sustain`: a chain of blocks under sustained load.

use crate::bench::sustain::{Engine, Second, StageSeconds, Sustain, SustainFigures, sustain};
use braid_blocks::workload::Load;
use braid_cli::profile;
use braid_evm::Config;
use braid_terminal::{End, PolicyArg, Stop, message, workers_from};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};

/// Bytes in one mebibyte.
const MIB: u64 = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  braid-lab bench sustain native                          a minute of native transfers
  braid-lab bench sustain mixed --no-state-roots
  braid-lab bench sustain native --signed 300000          recover senders from signatures
  braid-lab bench sustain contended --seconds 600 --no-sequential --json | jq .braid.most_memory

Exit code: 0 if all blocks were made; 1 if a receipt differs from sequential execution; 2 if the
chain does not go on.";

/// Sustain a load: build, execute and write back blocks with their receipts
///
/// Creates a chain in a temporary folder and builds blocks on it. Each block starts as soon as its
/// parent is executed, and at most two blocks are ahead of the durable one. Then sequential revm
/// does the same, on the same kind of store with the same writer thread. Each of the two runs has
/// all cores. Then the chain is opened again: the restart ends when an empty block is durable.
///
/// The thread that supplies transactions shares these cores. Without --signed, it generates them,
/// with known senders; with it, they are signed in advance, and the thread recovers their senders.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SustainArgs {
    /// Kind of transactions
    #[arg(value_enum)]
    load: Load,
    /// Duration in seconds
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Stop after N blocks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    blocks: Option<u64>,
    /// Transactions per block
    #[arg(long, value_name = "N", default_value = "5000")]
    txs: NonZeroU32,
    /// Number of sending accounts
    #[arg(long, value_name = "N", default_value = "50000")]
    accounts: NonZeroU32,
    /// Seed of the transactions
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Sign N transactions before the clock starts, and recover their senders during the run, which
    /// ends after the last one
    #[arg(long, value_name = "N", default_value_t = 0)]
    signed: u64,
    /// Do not compute state roots
    #[arg(long)]
    no_state_roots: bool,
    /// Leave out sequential revm
    #[arg(long)]
    no_sequential: bool,
    /// Workers that execute transactions [default: one per core]
    #[arg(long, value_name = "N", value_parser = workers_from)]
    workers: Option<NonZeroU16>,
    /// Which strategies the executor may use; results do not depend on it
    #[arg(long, value_enum, default_value_t)]
    policy: PolicyArg,
    /// Size of the store's read cache, in MiB
    #[arg(long, value_name = "MIB", default_value_t = braid_chain::CACHE_BYTES / MIB)]
    cache: u64,
    /// Parent of the temporary folder [default: the system's]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl SustainArgs {
    fn what(&self) -> Sustain {
        let mut executor = Config::default();
        executor.workers = self.workers.unwrap_or(executor.workers);
        executor.policy = self.policy.policy();
        Sustain {
            load: self.load,
            accounts: self.accounts,
            seed: self.seed,
            size: self.txs,
            time: Duration::from_secs(self.seconds),
            blocks: self.blocks.unwrap_or(u64::MAX),
            signed: self.signed,
            state_roots: !self.no_state_roots,
            cache: self.cache.saturating_mul(MIB),
            executor,
        }
    }
}

/// Runs both engines, compares their blocks, and prints the figures.
pub(super) fn run(args: &SustainArgs) -> Result<End, Stop> {
    if (1..u64::from(args.txs.get())).contains(&args.signed) {
        let why = format!(
            "--signed must be at least --txs ({}), the transactions of one block",
            args.txs
        );
        return Err(Stop::Message(why));
    }
    let mut out = io::stdout().lock();
    if let Some(warning) = profile::warning() {
        writeln!(anstream::stderr().lock(), "warning: {warning}")?;
    }
    if !args.json {
        writeln!(out, "{}", heading(args))?;
    }
    let braid = one(args, Engine::Braid, &mut out)?;
    let sequential =
        if args.no_sequential { None } else { Some(one(args, Engine::Sequential, &mut out)?) };
    let same = sequential.as_ref().map(|other| same_blocks(&braid, other));
    if args.json {
        let sequential = sequential.as_ref().map(figures);
        let report = json!({
            "load": load_name(args.load),
            "accounts": args.accounts,
            "transactions_per_block": args.txs,
            "state_roots": !args.no_state_roots,
            "signed": args.signed,
            "profile": profile::PROFILE,
            "braid": figures(&braid),
            "sequential": sequential,
            "blocks_compared": same,
        });
        writeln!(out, "{report}")?;
    } else {
        write!(out, "{}", table(&braid, sequential.as_ref()))?;
    }
    match same {
        Some(None) => {
            braid_terminal::print_error(&"the blocks are not those of sequential execution");
            Ok(End::Mismatch)
        }
        _ => Ok(End::Right),
    }
}

fn one(args: &SustainArgs, engine: Engine, out: &mut impl Write) -> Result<SustainFigures, Stop> {
    let folder = match &args.folder {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let folder = folder.map_err(message)?;
    let name = name(engine);
    sustain(&args.what(), engine, folder.path(), |second| {
        if !args.json {
            // A failure to print shows up at the end.
            let _ = writeln!(out, "{name}, second {}", each(second));
        }
    })
    .map_err(message)
}

/// Returns the number of blocks that both engines have executed, if all of them have the same
/// receipts.
fn same_blocks(braid: &SustainFigures, sequential: &SustainFigures) -> Option<u64> {
    let mut pairs = braid.hashes.iter().zip(&sequential.hashes);
    pairs.all(|(one, other)| one == other).then_some(braid.blocks.min(sequential.blocks))
}

fn load_name(load: Load) -> String {
    load.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

const fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Braid => "braid",
        Engine::Sequential => "sequential revm",
    }
}

fn heading(args: &SustainArgs) -> String {
    let SustainArgs { load, accounts, txs, signed, .. } = args;
    let roots = if args.no_state_roots { "no state roots" } else { "state roots" };
    let senders = match signed {
        0 => "senders known".to_owned(),
        count => format!("{count} signatures to recover"),
    };
    let load = load_name(*load);
    format!("{load}: {accounts} accounts, {txs} transactions a block, {roots}, {senders}")
}

fn each(second: &Second) -> String {
    let Second { second, transactions, memory } = second;
    let memory = memory.map_or(String::new(), |bytes| format!(", {} MiB", bytes / MIB));
    format!("{}: {transactions} transactions{memory}", second + 1)
}

fn table(braid: &SustainFigures, sequential: Option<&SustainFigures>) -> String {
    let mut text = format!(
        "\n{:16} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10} {:>10}\n",
        "",
        "tx/s",
        "Mgas/s",
        "cpu/Mgas",
        "p50 ms",
        "p99 ms",
        "worst",
        "memory",
        "written",
        "restart"
    );
    for figures in [Some(braid), sequential].into_iter().flatten() {
        let [half, most, worst] = figures.latency.map(|time| time.as_secs_f64() * 1e3);
        let bytes = |bytes: Option<u64>| {
            bytes.map_or("-".to_owned(), |bytes| format!("{} MiB", bytes / MIB))
        };
        text += &format!(
            "{:16} {:>10.0} {:>8.0} {:>8.4} {half:>8.1} {most:>8.1} {worst:>8.1} {:>10} {:>10} {:>7.0} ms\n",
            name(figures.engine),
            figures.rate(),
            figures.mgas_per_second(),
            figures.cpu_per_mgas(),
            bytes(figures.most_memory),
            bytes(figures.written),
            figures.restart.as_secs_f64() * 1e3,
        );
        if figures.failed > 0 {
            text += &format!("{:16} {} transactions failed\n", "", figures.failed);
        }
    }
    if let Some(sequential) = sequential {
        text += &format!("{:16} {:>10.2}\n", "ratio", braid.rate() / sequential.rate());
    }
    for figures in [Some(braid), sequential].into_iter().flatten() {
        text += &stages(figures);
    }
    text
}

/// Describes where the time went. The largest of the first four parts limits the rate.
fn stages(figures: &SustainFigures) -> String {
    let wall = figures.wall.as_secs_f64();
    let share = |seconds: f64| seconds / wall.max(f64::MIN_POSITIVE) * 100.0;
    let name = name(figures.engine);
    let SustainFigures { blocks, alone, .. } = figures;
    let mut text = format!(
        "\n{name}: {blocks} blocks, {alone} of them on one thread; shares of {wall:.1} s:\n"
    );
    for (what, seconds) in rows(&figures.stages) {
        text += &format!("  {what:44} {:>5.1} %\n", share(seconds));
    }
    text
}

const fn rows(stages: &StageSeconds) -> [(&'static str, f64); 7] {
    [
        ("waiting for transactions", stages.waiting_for_transactions),
        ("executing", stages.executing),
        ("receipts root, bloom filter, hash", stages.receipts),
        ("waiting for the writer", stages.waiting_for_writer),
        ("beside it: supplying transactions", stages.supplying),
        ("beside it: what changes, state root", stages.preparing),
        ("beside it: transactions of the store", stages.storing),
    ]
}

fn figures(figures: &SustainFigures) -> Value {
    let stages = &figures.stages;
    let second =
        |second: &Second| json!({"transactions": second.transactions, "memory": second.memory});
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let [half, most, worst] = figures.latency.map(milliseconds);
    json!({
        "blocks": figures.blocks,
        "blocks_alone": figures.alone,
        "transactions": figures.transactions,
        "failed": figures.failed,
        "gas": figures.gas,
        "seconds": figures.wall.as_secs_f64(),
        "transactions_per_second": figures.rate(),
        "mgas_per_second": figures.mgas_per_second(),
        "cpu_seconds_per_mgas": figures.cpu_per_mgas(),
        "latency_ms": {"p50": half, "p99": most, "worst": worst},
        "restart_ms": milliseconds(figures.restart),
        "most_memory": figures.most_memory,
        "written": figures.written,
        "stages_seconds": {
            "waiting_for_transactions": stages.waiting_for_transactions,
            "executing": stages.executing,
            "receipts": stages.receipts,
            "waiting_for_writer": stages.waiting_for_writer,
            "supplying": stages.supplying,
            "preparing": stages.preparing,
            "storing": stages.storing,
        },
        "each_second": figures.seconds.iter().map(second).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;

    fn made(hashes: &[u8]) -> SustainFigures {
        let hashes: Vec<_> = hashes.iter().map(|byte| B256::repeat_byte(*byte)).collect();
        SustainFigures {
            engine: Engine::Braid,
            blocks: hashes.len() as u64,
            alone: 0,
            transactions: 0,
            failed: 0,
            gas: 0,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            seconds: Vec::new(),
            latency: [Duration::ZERO; 3],
            restart: Duration::ZERO,
            stages: StageSeconds::default(),
            most_memory: None,
            written: None,
            hashes,
        }
    }

    #[test]
    fn blocks_that_both_have_made_are_compared() {
        let braid = made(&[1, 2, 3]);
        assert_eq!(same_blocks(&braid, &made(&[1, 2])), Some(2));
        assert_eq!(same_blocks(&braid, &made(&[1, 2, 3, 4])), Some(3));
        assert_eq!(same_blocks(&braid, &made(&[1, 9, 3])), None);
    }
}
