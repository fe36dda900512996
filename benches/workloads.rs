//! The workloads of `braid bench`, in sizes for criterion: the same blocks, the same functions.
//!
//! `cargo bench -p braid-benches` times sequential revm, one journal for the whole block, and Braid on
//! one worker and on one for each core. A part of a name after `--` chooses: `-- c_erc20`. Times
//! are those until the result can be used. `braid bench` is the tool for ratios: it interleaves
//! what criterion measures one after the other.

use braid_cli::bench::{
    Latency, SlowDatabase, Subject, Timing, Waiting, journal, measure, parallel, sequential,
};
use braid_evm::{Config, Executor};
use braid_testkit::block::Block;
use braid_testkit::workload::Preset;
use core::fmt::Display;
use core::num::NonZeroU16;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use revm::DatabaseRef;
use std::sync::Arc;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Criterion runs a block some hundred times: a tenth of the usual transactions will do.
const SHARE: u32 = 10;

fn workloads(criterion: &mut Criterion) {
    for preset in Preset::ALL {
        let transactions = (preset.transactions() / SHARE).max(200);
        let file = preset.block(transactions, 1).expect("a valid workload");
        let (block, database) = file.to_block().expect("a valid file");
        if preset.is_slow() {
            let slow = SlowDatabase::new(database, Latency::OF_WORKLOADS, Waiting::Sleep);
            workload(criterion, preset.name(), &block, &slow);
        } else {
            workload(criterion, preset.name(), &block, &database);
        }
    }
}

fn workload<D>(criterion: &mut Criterion, name: &str, block: &Block, database: &D)
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    let mut group = criterion.benchmark_group(name);
    let mut workers = vec![NonZeroU16::MIN, Config::default().workers];
    workers.dedup();
    let start = |workers| Executor::new(Config::with_workers(workers)).expect("threads");
    let mut executors: Vec<Executor> = workers.into_iter().map(start).collect();
    let shared = Arc::new(braid_evm::Block::from(block));
    // Nothing is timed that has another result.
    let subject =
        Subject { name, block, shared: &shared, database: &|| database.clone(), reads: None };
    let compared = Timing { rounds: 0, pause: Duration::ZERO };
    measure(&subject, &mut executors, compared).expect("the results of sequential execution");

    group.throughput(Throughput::Elements(shared.transactions.len() as u64)).sample_size(10);
    group.bench_function("sequential", |bencher| {
        bencher.iter_custom(|count| {
            sum(count, || sequential(block, database.clone(), Duration::ZERO).wall)
        });
    });
    group.bench_function("journal", |bencher| {
        bencher.iter_custom(|count| {
            sum(count, || journal(block, database.clone(), Duration::ZERO).wall)
        });
    });
    for executor in &mut executors {
        let name = format!("braid, {} workers", executor.config().workers);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                sum(count, || parallel(executor, &shared, database.clone(), Duration::ZERO).wall)
            });
        });
    }
}

fn sum(count: u64, mut time: impl FnMut() -> Duration) -> Duration {
    (0..count).map(|_| time()).sum()
}

criterion_group!(benches, workloads);
criterion_main!(benches);
