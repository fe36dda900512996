//! What is measured beside the rounds: stages, memory, virtual time.

use super::{BenchArgs, Probed};
use crate::bench::{self, Figures, peak_of};
use braid_evm::{Config, Executor};
use braid_testkit::block::Block;
use core::num::NonZeroU16;
use revm::DatabaseRef;
use std::{
    fmt::Display,
    process::{Command, Stdio},
    sync::Arc,
};

/// A number of workers that is measured and simulated, so that both can be compared.
const BOTH: NonZeroU16 = NonZeroU16::MIN.saturating_add(1);

/// Adds the stages of each, and virtual time.
pub(super) fn add<D>(
    args: &BenchArgs,
    figures: &mut [Figures],
    block: &Block,
    shared: &Arc<braid_evm::Block>,
    database: &D,
) where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    if !args.brief {
        for figures in figures.iter_mut() {
            let workers = NonZeroU16::new(figures.workers).unwrap_or(NonZeroU16::MIN);
            figures.stages = bench::stages(Config::with_workers(workers), shared, database);
        }
    }
    if args.simulate.is_empty() {
        return;
    }
    let mut workers = vec![BOTH];
    workers.extend(args.simulate.iter().filter(|workers| **workers != BOTH));
    let simulated = bench::virtual_times(block, shared, database, &workers);
    let simulated = simulated.zip(bench::bounds(block, database));
    for figures in figures {
        figures.simulated.clone_from(&simulated);
    }
}

/// Bytes that one run of the baseline and of Braid on `workers` adds, each in a process of its own
/// that generates or reads the block `what` again.
pub(super) fn memory(args: &BenchArgs, what: &str, workers: u16) -> Option<[u64; 2]> {
    let probe = |who: &str| {
        let mut command = Command::new(std::env::current_exe().ok()?);
        command.args(["bench", what, "--probe", who]);
        command.arg(format!("--workers={workers}"));
        command.arg(format!("--seed={}", args.seed)).arg(format!("--scale={}", args.scale));
        command.args(args.txs.map(|txs| format!("--txs={txs}")));
        // Or what generating has left would be filled up before anything grows.
        command.env("MIMALLOC_PURGE_DELAY", "0").stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()?.trim().parse::<u64>().ok()
    };
    Some([probe("sequential")?, probe("braid")?])
}

/// The other end of [`memory`].
pub(super) fn probe<D>(
    who: Probed,
    executor: &mut Executor,
    block: &Block,
    database: &D,
) -> Option<u64>
where
    D: DatabaseRef<Error: Display> + Clone + Send + Sync + 'static,
{
    let database = database.clone();
    match who {
        Probed::Sequential => {
            let plain = braid_testkit::sequential::Plain::new(block);
            peak_of(|| plain.run_keeping(database))
        }
        Probed::Braid => {
            let block = Arc::new(braid_evm::Block::from(block));
            peak_of(|| executor.execute(block, database))
        }
    }
}
