//! Measures the cost of access lists: each block with and without a list, on one and two workers,
//! in alternating order.
//!
//! `cargo run --profile dist -p braid-benches --example list_cost -- [FOLDER OF BLOCK FILES]
//! [ROUNDS]`

use braid_blocks::block_file::{BlockFile, FileDatabase};
use braid_blocks::statistics::median_time;
use braid_blocks::workload::Preset;
use braid_evm::{Block, Config, Executor, Mode};
use mimalloc::MiMalloc;
use std::error::Error;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Transactions of a generated block.
const TRANSACTIONS: u32 = 2_000;
const PRESETS: [(&str, Preset); 6] = [
    ("a_raw", Preset::Raw),
    ("b_rawhot", Preset::RawHot),
    ("c_erc20", Preset::Erc20),
    ("d_erc20hot", Preset::Erc20Hot),
    ("e_uni", Preset::Swaps),
    ("m_mainnet", Preset::Mainnet),
];

struct Measured {
    name: String,
    block: Arc<Block>,
    database: FileDatabase,
}

fn blocks(folder: Option<&str>) -> Result<Vec<Measured>, Box<dyn Error>> {
    let measured = |name: String, file: BlockFile| -> Result<Measured, Box<dyn Error>> {
        let (block, database) = file.to_block()?;
        Ok(Measured { name, block: Arc::new(Block::from(&block)), database })
    };
    let mut blocks = Vec::new();
    for (name, preset) in PRESETS {
        blocks.push(measured(name.into(), preset.block(TRANSACTIONS, 1)?)?);
    }
    let entries = folder.map(std::fs::read_dir).transpose()?.into_iter().flatten();
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| is_block_file(path));
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        blocks.push(measured(name, BlockFile::read(&path)?)?);
    }
    Ok(blocks)
}

fn is_block_file(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.contains(".json") && !name.contains("witness") && path.is_file()
}

fn executor(workers: u16, access_list: bool) -> Result<Executor, Box<dyn Error>> {
    let mut config = Config::with_workers(NonZeroU16::new(workers).ok_or("no workers")?);
    (config.mode, config.access_list) = (Mode::Validate, access_list);
    Ok(Executor::new(config)?)
}

fn median(times: Vec<Duration>) -> f64 {
    median_time(times.into_iter()).as_secs_f64() * 1e6
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds: usize = arguments.get(1).map_or(Ok(9), |rounds| rounds.parse())?;
    let blocks = blocks(arguments.first().map(String::as_str))?;
    for workers in [1, 2] {
        let mut executors = [executor(workers, false)?, executor(workers, true)?];
        let (mut logs, mut hashed) = (0.0, Duration::ZERO);
        for Measured { name, block, database } in &blocks {
            let mut times = [Vec::new(), Vec::new()];
            let mut accounts = 0;
            for round in 0..rounds {
                // The first run of a round finds the caches of another block, so the order
                // alternates.
                for place in [round % 2, (round + 1) % 2] {
                    let (executor, times) = (&mut executors[place], &mut times[place]);
                    let begun = Instant::now();
                    let output =
                        executor.block(Arc::clone(block)).database(database.clone()).execute();
                    times.push(begun.elapsed());
                    let output = output.map_err(|error| error.to_string())?;
                    if let Some(list) = output.access_list {
                        let begun = Instant::now();
                        let _ = list.compute_hash();
                        hashed = begun.elapsed();
                        accounts = list.len();
                    }
                }
            }
            let [without, with] = times.map(median);
            logs += (with / without).ln();
            println!(
                "{workers} workers, {name}: {without:.0} us without, {with:.0} us with: {:.3}; \
                 {accounts} accounts, hash {:.0} us",
                with / without,
                hashed.as_secs_f64() * 1e6,
            );
        }
        let mean = (logs / blocks.len() as f64).exp();
        println!("{workers} workers, geometric mean of {} blocks: {mean:.3}", blocks.len());
    }
    Ok(())
}
