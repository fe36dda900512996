//! Executions that `cargo xtask instructions` counts under callgrind, by the names of two functions
//! and all that they call. Reading the block, preparing it and taking results apart lie outside.
//!
//! `count TIMES BLOCK [TRANSACTIONS] [speculative]`, where `BLOCK` is a block file or a workload.

use braid_blocks::{
    block_file::BlockFile, block_file::FileDatabase, sequential::Plain, workload::Preset,
};
use braid_evm::{Config, Executor, Forced, Policy};
use std::{env, error::Error, hint::black_box, num::NonZeroU16, path::Path, sync::Arc};

/// That of the tool.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Executions before the counted ones: whatever is learned or made once is there then.
const BEFORE: u32 = 2;
/// Seed of workloads.
const SEED: u64 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [times, item, rest @ ..] = &arguments[..] else {
        return Err("count TIMES BLOCK [TRANSACTIONS] [speculative]".into());
    };
    let times: u32 = times.parse()?;
    let mut config = Config::with_workers(NonZeroU16::MIN);
    if rest.iter().any(|word| word == "speculative") {
        config.policy = Policy::Forced(Forced::Speculative);
    }
    let preset = Preset::ALL.into_iter().find(|preset| preset.name() == item);
    let file = match (preset, rest) {
        (Some(preset), [transactions, ..]) => preset.block(transactions.parse()?, SEED)?,
        _ => BlockFile::read(Path::new(item))?,
    };
    let (block, database) = file.to_block()?;
    let shared = Arc::new(braid_evm::Block::from(&block));
    let mut executor = Executor::new(config)?;
    for _ in 0..BEFORE {
        let plain = Plain::new(&block).run_keeping(database.clone()).0?;
        let ours = executor.block(Arc::clone(&shared)).database(database.clone()).execute()?;
        if plain.gas_used != ours.gas_used {
            return Err(format!("gas: {} and {}", plain.gas_used, ours.gas_used).into());
        }
    }
    for _ in 0..times {
        drop(counted_sequential(Plain::new(&block), database.clone()));
        drop(counted_braid(&mut executor, Arc::clone(&shared), database.clone()));
    }
    Ok(())
}

/// The baseline. The recipe knows this name.
#[inline(never)]
fn counted_sequential(plain: Plain, database: FileDatabase) -> impl Sized {
    black_box(plain.run_keeping(database))
}

/// Braid. The recipe knows this name.
#[inline(never)]
fn counted_braid(
    executor: &mut Executor,
    block: Arc<braid_evm::Block>,
    database: FileDatabase,
) -> impl Sized + use<> {
    black_box(executor.block(block).database(database).execute())
}
