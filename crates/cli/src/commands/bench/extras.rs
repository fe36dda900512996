//! Measurements besides the rounds: stages, memory, virtual time.

use super::{BenchArgs, Probed};
use crate::{
    access_list,
    bench::{self, Figures, peak_of},
};
use braid_blocks::{block::Block, block_file::FileDatabase};
use braid_evm::{Config, Executor};
use clap::ValueEnum as _;
use core::num::NonZeroU16;
use revm::DatabaseRef;
use std::{
    collections::BTreeSet,
    fmt::Display,
    io::{self, Read as _, Write as _},
    process::{Command, Stdio},
    sync::Arc,
};

/// Adds the stages of each measurement, and virtual times.
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
    // Measured worker counts are simulated too, so that the two can be compared.
    let measured = figures.iter().filter_map(|it| NonZeroU16::new(it.workers));
    let workers: BTreeSet<_> = measured.chain(args.simulate.iter().copied()).collect();
    let workers: Vec<_> = workers.into_iter().collect();
    let simulated = bench::virtual_times(block, shared, database, &workers);
    let simulated = simulated.zip(bench::bounds(block, database));
    for figures in figures {
        figures.simulated.clone_from(&simulated);
    }
}

/// Measures the memory in bytes that one run of the baseline and of Braid on `workers` adds. Each
/// runs in a process of its own, which generates or reads the block `what` again.
pub(super) fn memory(args: &BenchArgs, what: &str, workers: u16) -> Option<[u64; 2]> {
    let peak = |who, list| {
        let printed = probed(args, what, workers, who, list)?;
        String::from_utf8(printed).ok()?.trim().parse::<u64>().ok()
    };
    // In another process: memory freed after computing the list would hide the run's growth.
    let list = || probed(args, what, workers, Probed::List, None);
    let list = if args.bal { Some(list()?) } else { None };
    Some([peak(Probed::Sequential, None)?, peak(Probed::Braid, list)?])
}

/// Runs the probe `who` in a process, which reads `list` if there is one, and returns its output.
fn probed(
    args: &BenchArgs,
    what: &str,
    workers: u16,
    who: Probed,
    list: Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.args(["bench", what, "--probe", who.to_possible_value()?.get_name()]);
    command.arg(format!("--workers={workers}"));
    command.arg(format!("--seed={}", args.seed)).arg(format!("--scale={}", args.scale));
    command.args(args.txs.map(|txs| format!("--txs={txs}")));
    command.args(list.as_ref().map(|_| "--bal"));
    // Otherwise memory freed by the generator would be reused, and hide the growth.
    command.env("MIMALLOC_PURGE_DELAY", "0");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    // The pipe is closed at the end of the statement, which ends the child's input.
    let sent = child.stdin.take()?.write_all(&list.unwrap_or_default());
    let output = child.wait_with_output().ok().filter(|output| output.status.success())?;
    sent.ok().map(|()| output.stdout)
}

/// Runs in the process that [`memory`] starts, and returns its output.
pub(super) fn probe(
    args: &BenchArgs,
    who: Probed,
    executor: &mut Executor,
    block: &Block,
    database: FileDatabase,
) -> Result<Vec<u8>, String> {
    let peak = match who {
        Probed::List => {
            let list = access_list::list_of(block.into(), database);
            return list.map(alloy_rlp::encode).map_err(|error| error.to_string());
        }
        Probed::Sequential => {
            let plain = braid_blocks::sequential::Plain::new(block);
            peak_of(|| plain.run_keeping(database))
        }
        Probed::Braid => {
            let mut block = braid_evm::Block::from(block);
            if args.bal {
                let mut rlp = Vec::new();
                io::stdin().read_to_end(&mut rlp).map_err(|error| error.to_string())?;
                let list = alloy_rlp::decode_exact(&rlp).map_err(|error| error.to_string())?;
                block.access_list = Some(Arc::new(list));
            }
            peak_of(|| executor.block(block).database(database).execute())
        }
    };
    let peak = peak.ok_or_else(|| "this system does not report it".to_owned())?;
    Ok(format!("{peak}\n").into_bytes())
}
