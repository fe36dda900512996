//! `braid-lab bench`: everything that `braid bench` measures, and what only the project measures.

mod attacks;
mod contention;
mod energy;
mod entries;
mod odd;
mod offload;
mod rpc;
mod search;
#[cfg(any(feature = "redb", braid_rocksdb))]
mod store;
mod sustain;

use braid_cli::commands::bench::{self, BenchArgs, COLUMNS};
use braid_terminal::{End, Stop};
use clap::{Args, Subcommand};
#[cfg(any(feature = "redb", braid_rocksdb))]
use store::StoreArg;

const EXAMPLES: &str = "\
Examples:
  braid-lab bench                         every built-in workload, as braid bench
  braid-lab bench c_erc20 --txs 4000 --db-latency 20us
  braid-lab bench --contention            where contention costs time
  braid-lab bench odd                     odd databases, rules and shapes, and usual ones
  braid-lab bench attacks                 blocks of an attacker
  braid-lab bench entries blocks/         the entries of a node: Executor, factory, alloy-evm's own
  braid-lab bench search --seconds 3600   looks for blocks on which Braid is slow
  braid-lab bench sustain native          a minute of blocks, one after the other, on a chain

Exit code: 0 if everything was measured; 1 if a result differs from sequential execution, or a
block became slower (--against); 2 if a file cannot be used or a block is invalid.";

/// Measure blocks against sequential revm
///
/// Every result is compared in full before anything is timed, and with the header of a block file.
/// All executors run in turn in one process, in random order, each after a pause.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{COLUMNS}"))]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct LabBenchArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    blocks: BenchArgs,
    /// Read from an embedded store on disk, opened anew with a cold cache for each execution
    #[cfg(any(feature = "redb", braid_rocksdb))]
    #[arg(long, value_enum, conflicts_with = "db_latency")]
    store: Option<StoreArg>,
    /// Sweep over contention: blocks of calls that increment one of 1 to 1,000 slots, in planes of order, what the slot
    /// can be told from, when in a call, and size; each with its bounds
    #[arg(long, conflicts_with_all = [
        "what", "bal", "against", "execute", "simulate", "priced", "policy", "scale", "db_latency", "db_waits", "no_learn",
        "no_keccak_cache", "brief",
    ])]
    contention: bool,
    /// Three numbers of slots instead of eight
    #[arg(long, requires = "contention", conflicts_with = "what")]
    quick: bool,
    /// All 1,440 combinations, for --json; the planes are printed
    #[arg(long, requires = "contention", conflicts_with_all = ["quick", "what"])]
    whole: bool,
}

/// Measurements of another kind.
#[derive(Debug, Subcommand)]
enum Command {
    Odd(odd::OddArgs),
    Search(search::SearchArgs),
    Attacks(attacks::AttacksArgs),
    Energy(energy::EnergyArgs),
    Entries(entries::EntriesArgs),
    Offload(offload::OffloadArgs),
    Rpc(rpc::RpcArgs),
    Sustain(sustain::SustainArgs),
}

/// Measures everything that `args` name.
pub(super) fn bench(args: &LabBenchArgs) -> Result<End, Stop> {
    match &args.command {
        Some(Command::Odd(args)) => odd::run(args),
        Some(Command::Search(args)) => search::run(args),
        Some(Command::Attacks(args)) => attacks::run(args),
        Some(Command::Energy(args)) => energy::run(args),
        Some(Command::Entries(args)) => entries::run(args),
        Some(Command::Offload(args)) => offload::run(args),
        Some(Command::Rpc(args)) => rpc::run(args),
        Some(Command::Sustain(args)) => sustain::run(args),
        None if args.contention => contention::contention(args),
        #[cfg(any(feature = "redb", braid_rocksdb))]
        None if args.store.is_some() => {
            bench::bench(&args.blocks, args.store.map(StoreArg::measure))
        }
        None => bench::bench(&args.blocks, None),
    }
}
