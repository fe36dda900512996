//! Tests of chains of random blocks, with failing stores and killed processes.

use crate::runner::{Failed, Runner};
use crate::workspace::cargo;
use clap::Args;

/// Number of cases of each kind.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ChainArgs {
    /// Streams of random blocks
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub(crate) streams: u32,
    /// Blocks whose database or writer fails, is slow or panics, or that are cancelled
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) fault_runs: u32,
    /// Blocks during which threads, memory and open files are measured
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) leak_blocks: u32,
    /// Processes killed while they write
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) kills: u32,
    /// Disks that are full, write partially, fail to sync, or lose power
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) disk_faults: u32,
    /// Flipped bits in each kind of folder
    #[arg(long, value_name = "N", default_value_t = 400)]
    pub(crate) flips: u32,
}

/// Number of cases in `cargo xtask nightly`.
pub(crate) const NIGHTLY: ChainArgs = ChainArgs {
    streams: 5_000,
    fault_runs: 10_000,
    leak_blocks: 10_000,
    kills: 400,
    disk_faults: 1_000,
    flips: 1_000,
};

/// Runs all tests of `braid-chain`, and the tests of the tool on damaged folders. The README's test
/// command runs samples of them.
pub(crate) fn chain(runner: &mut Runner, args: &ChainArgs) -> Result<(), Failed> {
    let ChainArgs { streams, fault_runs, leak_blocks, kills, disk_faults, flips } = *args;
    let variables = [
        ("BRAID_CHAIN_STREAMS", streams),
        ("BRAID_CHAIN_FAULT_RUNS", fault_runs),
        ("BRAID_CHAIN_LEAK_BLOCKS", leak_blocks),
        ("BRAID_CHAIN_KILLS", kills),
        ("BRAID_CHAIN_FAULTS", disk_faults),
        ("BRAID_CHAIN_FLIPS", flips),
    ];
    let mut step = |name: &str, line: &str| {
        let mut command = cargo(line);
        command.envs(variables.map(|(name, number)| (name, number.to_string())));
        runner.command(name, command)
    };
    step("chain", "test --locked --release -p braid-chain")?;
    step(
        "chain: damaged folders",
        "test --locked --release -p braid-node --test node -- chain_faults",
    )
}
