//! Arguments of `braid bench`.

use crate::bench::{Latency, Waiting};
use braid_terminal::{PolicyArg, pause_from, workers_from};
use clap::{Args, ValueEnum};
use std::{num::NonZeroU16, path::PathBuf, time::Duration};

const EXAMPLES: &str = "\
Examples:
  braid bench                                 every built-in workload
  braid bench a_raw c_erc20 --workers 1,2     two of them, on one and on two workers
  braid bench a_raw --scale                   a block four times as large
  braid bench blocks/ --json                  every block file in a folder
  braid bench c_erc20 --txs 4000 --db-latency 20us
  braid bench e_uni --simulate 4,8,16,32,64   more workers than there are cores, in virtual time
  braid bench blocks/ --virtual 2,4,8,16      the same, by gas: equal on every machine
  braid bench blocks/ --bal                   with the access list of each block (EIP-7928)
  braid bench blocks/ --bal-hint              the same, as a hint that may be wrong
  braid bench blocks/ --busy                  while something else computes on every core
  braid bench nft-game --cost                 what sharing a transaction costs, and where
  braid bench blocks/ --against before.json   which blocks are slower than in that --json output

Exit code: 0 if everything was measured; 1 if a result differs from sequential execution, or a
block became slower (--against); 2 if a file cannot be used or a block is invalid.";

/// What the columns of the table are, and what the options do to them.
pub const COLUMNS: &str = "\
Columns, each a median over all rounds:
  seq us/tx  microseconds per transaction of sequential execution: revm over State with
             bundle and reverts, transact_commit for each transaction, receipts
  ratio      sequential over parallel wall time; above 1 is faster
  cpu        parallel over sequential processor time: user and system time of all
             threads, including destruction, and up to 2 ms in which they fall asleep;
             above 1 is more work
  journal    time of one thread that runs the block with one journal (finalized once, no
             bundle) over parallel time; - if its results differ
  bound      sequential time over that of two threads that each run half of the block on
             a State of their own, without detecting conflicts or merging results
  ceiling    what the cores of this machine can reach: one sequential execution per
             worker, all at once; their total work, in sequential time, over the time that
             they take; - for one worker, and for more workers than cores
  aborted    number of aborted runs
  spread     (slowest - fastest) / median of the parallel times

Below each line: microseconds per transaction in each stage, summed over all workers, medians of
seven separate runs of an executor whose workers report what they do; peak memory that one run adds
to a fresh process, of the baseline and of Braid. Transactions that the caller runs sequentially
count as one stage, with their commits.

Below the table: how long a cache line takes from one core to another and back, in the median (and
at least and at most) over all rounds. It is about 50 ns within one L3 cache and 300 ns between two.
In a virtual machine it may change at any time, and the ratios with it.

Each timed run follows a pause (--pause), because a node's threads sleep between blocks and its
caches are cold. --pause 0 runs back to back. All executors run in turn, in random order.

--cost: cpu is processor time, and +- the distance between its quartiles; beyond is cpu less that of
sequential revm; view is execute beyond that of the sequential way: reads and records of
speculation, and colder caches. Instructions are counted by cargo xtask instructions.

--busy: N computing processes per core run during all measurements, also of the baseline.

--bal: Braid executes each block with its own access list, both measured and simulated. The
baseline and the other executors ignore it. The list is computed once, before anything is timed.
--bal-hint: the same with a list that Braid does not trust.
--emit-bal: Braid computes the list of each block.

--db-latency: each read of the database sleeps for this time (the system adds about 50 us), or
keeps its core busy with --db-waits spin. The baseline reads through the same database.

--simulate: the whole executor runs on fibers of one thread. In virtual time, each step takes as
long as it took on its own. For the measured number of workers, both figures are printed; 'here'
corrects the simulated one for cores that slow each other down as in ceiling. work/chain is the
time of all transactions over that of the longest chain of dependent ones.

--virtual: a run takes as long as its gas, and each other step a fixed time. learned and fresh are
the ratios of an executor's sixth and first execution; runs is the gas of all runs over that of
the block; chain and longest are the bounds set by chains of whole dependent runs and by the
longest transaction. The means are also printed for two halves, into which blocks fall by their
names: thresholds are chosen on the tuning half only.";

/// Measure blocks against sequential revm
///
/// Every result is compared in full before anything is timed, and with the header of a block file.
/// All executors run in turn in one process, in random order, each after a pause.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{COLUMNS}"))]
pub struct BenchArgs {
    /// Built-in workloads, block files (.json, .json.gz, .json.zst), or folders of block files
    /// [default: every built-in workload]
    #[arg(value_name = "WORKLOAD|FILE|DIR")]
    pub(super) what: Vec<String>,
    /// Numbers of workers [default: one per core]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = workers_from)]
    pub workers: Vec<NonZeroU16>,
    /// Which strategies the executor may use; results do not depend on it
    #[arg(long, value_enum, default_value_t)]
    pub(super) policy: PolicyArg,
    /// Rounds [default: 7; 28 for a block of fewer than 1000 transactions]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// Pause before each timed run; 0 for none
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = pause_from)]
    pub pause: Duration,
    /// Run N busy processes on each core during the measurement
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1", require_equals = true, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) busy: Option<u32>,
    /// Transactions of a built-in workload [default: depends on the workload]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub txs: Option<u32>,
    /// Execute each block with its access list (EIP-7928), which is computed before anything is
    /// timed
    #[arg(long)]
    pub(super) bal: bool,
    /// Like --bal, but untrusted: the list only predicts conflicts
    #[arg(long, conflicts_with = "bal")]
    pub(super) bal_hint: bool,
    /// Let Braid compute the access list of each block
    #[arg(long)]
    pub(super) emit_bal: bool,
    /// Multiply the number of transactions by this
    #[arg(long, value_name = "TIMES", default_value_t = 1, num_args = 0..=1, default_missing_value = "4", require_equals = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) scale: u32,
    /// Seed of the built-in workloads
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Delay of each database read, such as 20us; in h_erc20io and m_mainio, 20us is the default
    #[arg(long, value_name = "TIME")]
    pub(super) db_latency: Option<Latency>,
    /// How a delayed read waits
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub(super) db_waits: Waiting,
    /// Print one JSON object per line, one for each workload and number of workers, or for each
    /// error; docs/BENCHMARKS.md lists the fields
    #[arg(long)]
    pub json: bool,
    /// Compare with an earlier output of braid bench --json: list the blocks whose time, relative
    /// to sequential time, has changed, and exit with code 1 if one became slower beyond the noise
    #[arg(long, value_name = "FILE")]
    pub(super) against: Option<PathBuf>,
    /// With --against, percent by which a block may become slower: it fails only if the whole 95 %
    /// confidence interval is above
    #[arg(long, value_name = "PERCENT", default_value_t = 3.0, value_parser = percent_from)]
    pub(super) tolerance: f64,
    /// Leave out stages and memory
    #[arg(long)]
    pub(super) brief: bool,
    /// Do not learn conflicts from earlier rounds
    #[arg(long)]
    pub(super) no_learn: bool,
    /// Do not cache hashes
    #[arg(long)]
    pub(super) no_keccak_cache: bool,
    /// Also simulate these numbers of workers in virtual time
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = workers_from)]
    pub(super) simulate: Vec<NonZeroU16>,
    /// Only simulate, on these numbers of workers, with the gas of a run as its time
    #[arg(long = "virtual", value_name = "LIST", value_delimiter = ',', value_parser = workers_from, conflicts_with_all = [
        "workers", "policy", "rounds", "busy", "db_latency", "against", "brief", "no_learn", "no_keccak_cache",
        "simulate", "execute", "emit_bal",
    ])]
    pub(super) priced: Vec<NonZeroU16>,
    /// Print what sharing costs instead: processor time and page faults of a transaction, on one
    /// worker sequentially, and on one and two workers that always speculate, by stage
    #[arg(long, conflicts_with_all = [
        "workers", "policy", "busy", "db_latency", "against", "brief", "no_learn", "simulate", "execute", "priced",
    ])]
    pub(super) cost: bool,
    /// Print the memory that one run adds, or the access list, and nothing else
    #[arg(long, hide = true)]
    pub(super) probe: Option<Probed>,
    /// Compute until standard input ends, and nothing else
    #[arg(long, hide = true)]
    pub(super) compute: bool,
    /// Execute each block N times without measuring, for a profiler
    #[arg(long, value_name = "N")]
    pub(super) execute: Option<u32>,
}

/// The run whose memory is measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Probed {
    Sequential,
    Braid,
    /// No run: prints the access list that Braid's run reads with `--bal`.
    List,
}

/// Parses a percentage.
fn percent_from(text: &str) -> Result<f64, &'static str> {
    let percent = text.parse().ok().filter(|it: &f64| (0.0..=1_000.0).contains(it));
    percent.ok_or("expected a number from 0 to 1000")
}
