//! Measures the gain of declarations over speculation in virtual time, for the table of
//! docs/DECLARED.md.
//!
//! `cargo test --test blocks -- --ignored --nocapture what_declarations_gain`

use crate::declared::{SHARED, calls};
use braid_blocks::workload::Preset;
use braid_evm::runtime::simulated::{Clock, Options, Schedule};
use braid_evm::{Block, Cloned, Config, Forced, Policy, SimulatedExecutor, Stats};
use braid_testkit::lineup::Copies;
use braid_testkit::plain::{self, declared::declare};
use std::num::NonZeroU16;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Number of runs, of which the best counts, because an executor learns.
const ROUNDS: usize = 5;

fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).expect("short")
}

/// Returns the best virtual time of `block` in nanoseconds, and the statistics of the last run.
fn time<D: Copies>(
    block: &Arc<Block>,
    database: &D,
    (workers, policy): (u16, Policy),
) -> (u64, Stats) {
    let schedule = Schedule::Measured(Clock { now, overhead: 30 });
    let options = Options { schedule, step_limit: u64::MAX, ..Options::new(workers, 1) };
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
    config.policy = policy;
    let mut executor = SimulatedExecutor::new(config, options);
    let run = |_| {
        let run = executor.execute(Arc::clone(block), Cloned(database.clone())).expect("ends");
        (run.makespan, run.result.expect("a valid block").stats)
    };
    let all: Vec<_> = (0..ROUNDS).map(run).collect();
    let best = all.iter().map(|(makespan, _)| *makespan).min().unwrap_or_default();
    (best, all.last().expect("some").1)
}

#[test]
#[ignore = "it measures"]
fn what_declarations_gain() {
    let presets = [
        (Preset::Erc20, 2_000),
        (Preset::Erc20Hot, 2_000),
        (Preset::Swaps, 1_000),
        (Preset::OnePool, 1_000),
        (Preset::Mainnet, 400),
        (Preset::NftGame, 1_000),
        (Preset::Mixed, 1_000),
    ];
    println!("| workload | workers | list | auto | speculation | declared | runs thrown away |");
    for (preset, count) in presets {
        let (block, database) = preset.block(count, 1).expect("a block").to_block().expect("runs");
        measure(preset.name(), &Block::from(&block), &database);
    }
    // All calls read one slot, and some change it.
    for every in [8, 32, 128] {
        let slot = |sender| if sender % every == every - 1 { SHARED } else { sender };
        let (block, database) = calls(1_000, slot);
        measure(&format!("a slot, changed by one in {every}"), &plain::bare(&block), &database);
    }
}

fn measure<D: Copies>(name: &str, bare: &Block, database: &D) {
    let mut listed = declare(bare, database.clone());
    let off = Arc::new(listed.clone());
    listed.rules.declared_accesses = true;
    let on = Arc::new(listed);
    let alone = |block: &Arc<Block>| time(block, database, (1, Policy::Sequential)).0;
    let (plain, one) = (alone(&Arc::new(bare.clone())), alone(&off));
    for workers in [2, 4, 8, 16] {
        let ratio = |(took, _): (u64, Stats)| one as f64 / took as f64;
        let auto = time(&off, database, (workers, Policy::Auto));
        let forced = Policy::Forced(Forced::Speculative);
        let speculative = time(&off, database, (workers, forced));
        let declared = time(&on, database, (workers, Policy::Auto));
        println!(
            "| {name} | {workers} | {:.2} | {:.2} | {:.2} | {:.2} | {} / {} / {} |",
            plain as f64 / one as f64,
            ratio(auto),
            ratio(speculative),
            ratio(declared),
            auto.1.aborts,
            speculative.1.aborts,
            declared.1.aborts,
        );
    }
}
