//! Generated workloads, executed in sequence and by Braid, alternately, in one process.
//!
//! `cargo bench -p braid-evm` prints a line for each workload: the ratio of the medians of wall
//! and of processor time, sequential over parallel (above 1 is faster, or takes less), the spread
//! of the parallel times, and what was thrown away. Results are compared in full before anything
//! is timed. Arguments after `--`: `--workers N`, `--rounds N`, a part of a workload's name.

use braid_cli::block::Block;
use braid_cli::block_file::FileDatabase;
use braid_cli::compare::braid;
use braid_cli::sequential::{OnInvalid, Prepared};
use braid_cli::workload::{Parties, Spread, Workload, WorkloadSpec, generate};
use braid_evm::{Config, Executor};
use core::num::NonZeroU16;
use cpu_time::ProcessTime;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Wall and processor time of one execution.
type Times = (Duration, Duration);

fn main() {
    let mut workers = Config::default().workers;
    let mut rounds = 9;
    let mut filter = String::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok()).expect("a number");
        match argument.as_str() {
            "--workers" => workers = NonZeroU16::new(number()).expect("at least one worker"),
            "--rounds" => rounds = usize::from(number()),
            // Cargo adds it.
            "--bench" => {}
            part => filter = part.into(),
        }
    }
    let mut executor = Executor::new(Config::with_workers(workers)).expect("threads");
    println!("workload        workers   txs  us/tx  ratio    cpu  spread  discarded");
    for (name, spec) in workloads().into_iter().filter(|(name, _)| name.contains(&filter)) {
        bench(name, &spec, &mut executor, rounds);
    }
}

fn workloads() -> Vec<(&'static str, WorkloadSpec)> {
    let spec = |kind, transactions, hot| WorkloadSpec::new(kind, transactions, hot, 1).unsigned();
    let among = |senders, recipients| Parties { senders, recipients, shared: false };
    let one_sender = WorkloadSpec {
        parties: among(Spread::ONE, Spread::Distinct),
        ..spec(Workload::Erc20, 5_000, 0)
    };
    vec![
        ("transfers", spec(Workload::Transfers, 20_000, 0)),
        ("erc20", spec(Workload::Erc20, 10_000, 0)),
        ("erc20-hot", spec(Workload::Erc20, 5_000, 100)),
        ("erc20-one-sender", one_sender),
        ("dex", spec(Workload::Dex, 2_000, 0)),
        ("dex-hot-half", spec(Workload::Dex, 2_000, 50)),
        ("dex-one-pool", spec(Workload::Dex, 1_000, 100)),
    ]
}

fn bench(name: &str, spec: &WorkloadSpec, executor: &mut Executor, rounds: usize) {
    let file = generate(spec).expect("a valid workload");
    let (block, database) = file.to_block().expect("a valid file");
    let shared = Arc::new(braid_evm::Block::from(&block));
    let expected = Prepared::new(&block).run(database.clone(), OnInvalid::Reject).expect("valid");
    let found = executor.execute(Arc::clone(&shared), database.clone()).expect("valid");
    let differences = braid::outputs(&expected, &found, 5);
    assert!(differences.is_empty(), "{name}: {:?}", differences.lines());
    let stats = found.stats;
    drop((expected, found));

    let (mut sequential, mut parallel) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Who begins finds colder caches, so they take turns.
        if round % 2 == 0 {
            sequential.push(run_sequential(&block, &database));
        }
        parallel.push(timed(|| executor.execute(Arc::clone(&shared), database.clone())));
        if round % 2 == 1 {
            sequential.push(run_sequential(&block, &database));
        }
    }
    let wall = |times: &[Times]| median(times.iter().map(|times| times.0));
    let cpu = |times: &[Times]| median(times.iter().map(|times| times.1));
    let (slowest, fastest) = (parallel.iter().max(), parallel.iter().min());
    let spread = slowest
        .zip(fastest)
        .map_or(0.0, |(slowest, fastest)| (slowest.0 - fastest.0).as_secs_f64() / wall(&parallel));
    println!(
        "{name:<17} {:>5} {:>5} {:>6.2} {:>6.2} {:>6.2} {:>6.0}% {:>6.1}%",
        stats.workers,
        stats.transactions,
        wall(&parallel) * 1e6 / stats.transactions as f64,
        wall(&sequential) / wall(&parallel),
        cpu(&sequential) / cpu(&parallel),
        spread * 100.0,
        stats.discarded as f64 * 100.0 / stats.incarnations as f64,
    );
}

fn run_sequential(block: &Block, database: &FileDatabase) -> Times {
    let prepared = Prepared::new(block);
    timed(|| prepared.run_keeping(database.clone(), OnInvalid::Reject))
}

/// Wall time until the result is there; processor time of all threads, clearing up included.
fn timed<R>(run: impl FnOnce() -> R) -> Times {
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    let result = run();
    let wall = wall.elapsed();
    drop(result);
    (wall, cpu.elapsed())
}

fn median(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<f64> = times.map(|time| time.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
