//! Random toy blocks under random schedules of the simulated runtime, compared with the reference.
//!
//! A failure prints its seed. `BRAID_SIM_SEED=<seed> cargo test --test blocks one_seed` runs only
//! that one; `BRAID_SIM_RUNS=10` runs ten times as many.

use braid_evm::ids::WorkerId;
use braid_evm::mv::Store;
use braid_evm::protocol::{Counters, Limits, Plan, Waste};
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{
    Costs, Options, Schedule, Simulated, SimulationError, Simulator,
};
use braid_evm::worker::{NoResult, Setup, Shared, Stop};
use braid_toy::ToyLocation::Slot;
use braid_toy::{
    Amount, BaseFailed, Place, ReferenceError, Step, ToyBlock, ToyCase, ToyLedger, ToyOutcome,
    ToyTx, ToyWorkload, compare, reference,
};
use std::sync::Arc;
use std::time::Instant;

/// Number of seeds per multiple.
const SEEDS: u64 = 15_000;

type Ended = Simulated<ToyWorkload, ToyLedger>;

pub(crate) const COSTS: Costs = Costs {
    begin: 50,
    read: 100,
    base_read: 400,
    publish: 60,
    check: 40,
    message: 100,
    coordinator: 30,
    validate: 80,
    commit: 50,
};

/// Returns the case and the schedule of a seed.
fn scenario(seed: u64) -> (ToyCase, Options) {
    let mut random = Random::new(seed);
    let mut case = ToyCase::random(&mut random);
    // A block this short never wastes enough by default to end early.
    if seed.is_multiple_of(6) {
        case.limits.fallback = Some(Waste::AFTER_TWO);
    }
    let workers = [1, 2, 2, 3, 3, 8];
    let workers = random.pick(&workers).copied().unwrap_or(2);
    let mut options = Options::new(workers, random.next_u64());
    options.schedule = match random.below(8) {
        0 => Schedule::VirtualTime(COSTS),
        1 | 2 => Schedule::Bursts(1 + random.below(30)),
        3 | 4 => Schedule::Priorities(1 + u32::from(random.small(6))),
        _ => Schedule::Random,
    };
    options.cancel_at = random.chance(1, 8).then(|| random.below(1_500));
    (case, options)
}

fn run(simulator: &mut Simulator, seed: u64) -> Result<(ToyCase, Ended), String> {
    let (case, options) = scenario(seed);
    let ended = simulator.run(case.shared(), &options).map_err(|error| error.to_string())?;
    let cap = case.limits.max_speculative_runs;
    compare(&ended.end, &case.reference(), cap).map_err(|mismatch| mismatch.to_string())?;
    let bound = u64::from(cap + 1) * case.block.transactions.len() as u64;
    let runs = ended.end.counters.runs;
    if runs > bound {
        return Err(format!("{runs} runs in all, bound {bound}"));
    }
    Ok((case, ended))
}

/// Sums over all cases, as evidence that the rare paths were taken.
#[derive(Debug, Default)]
struct Totals {
    counters: Counters,
    steps: u64,
    transactions: u64,
    skips: u64,
    cancelled: u64,
    failed: u64,
    overlap: u32,
    speculative_blocks: u64,
}

impl Totals {
    fn add(&mut self, case: &ToyCase, ended: &Ended) {
        let (all, one) = (&mut self.counters, ended.end.counters);
        all.runs += one.runs;
        all.aborts += one.aborts;
        all.blocked += one.blocked;
        all.failed += one.failed;
        all.speculative_commits += one.speculative_commits;
        all.claims += one.claims;
        all.fallback_segments += one.fallback_segments;
        self.steps += ended.step_count;
        self.transactions += case.block.transactions.len() as u64;
        let outcomes = ended.end.ledger.outcomes().iter();
        self.skips += outcomes.filter(|(_, o)| matches!(o, ToyOutcome::Skipped(_))).count() as u64;
        match ended.end.halt {
            Some(braid_evm::protocol::Halt::Cancelled) => self.cancelled += 1,
            Some(_) => self.failed += 1,
            None => {}
        }
        self.overlap = self.overlap.max(ended.end.workload.peak());
        self.speculative_blocks += u64::from(case.limits.fallback.is_none());
    }
}

#[test]
fn random_blocks_under_random_schedules_equal_the_reference() {
    let multiple = std::env::var("BRAID_SIM_RUNS").ok().and_then(|runs| runs.parse::<u64>().ok());
    let seeds = SEEDS * multiple.unwrap_or(1);
    let mut simulator = Simulator::new();
    let mut totals = Totals::default();
    let begun = Instant::now();
    for seed in 0..seeds {
        match run(&mut simulator, seed) {
            Ok((case, ended)) => totals.add(&case, &ended),
            Err(error) => panic!("BRAID_SIM_SEED={seed}: {error}"),
        }
    }
    println!("{seeds} schedules in {:?}: {totals:?}", begun.elapsed());
    let counters = totals.counters;
    for (name, count) in [
        ("aborted", counters.aborts),
        ("blocked", counters.blocked),
        ("failed speculatively", counters.failed),
        ("speculative commits", counters.speculative_commits),
        ("claims", counters.claims),
        ("fallback segments", counters.fallback_segments),
        ("skips", totals.skips),
        ("cancelled", totals.cancelled),
        ("failed", totals.failed),
        ("speculation to the end", totals.speculative_blocks),
    ] {
        assert!(count > 0, "{name} never occurred");
    }
    assert!(totals.overlap >= 6, "at most {} transactions ran at once", totals.overlap);
}

#[test]
fn the_same_seed_takes_the_same_steps() {
    let mut simulator = Simulator::new();
    for seed in (0..3_000).step_by(7) {
        let (case, mut options) = scenario(seed);
        options.keep_steps = true;
        let mut once = || simulator.run(case.shared(), &options).expect("the run ends");
        let (first, second) = (once(), once());
        assert_eq!(first.steps, second.steps, "seed {seed}");
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert_eq!(first.makespan, second.makespan, "seed {seed}");
        assert_eq!(first.end.counters, second.end.counters, "seed {seed}");
        assert_eq!(first.end.ledger.outcomes(), second.end.ledger.outcomes(), "seed {seed}");
    }
}

/// Workers whose transactions depend on each other still finish sooner than one worker alone.
#[test]
fn virtual_time_shows_the_work_of_several_workers() {
    let mut simulator = Simulator::new();
    let mut sooner = 0;
    for seed in 0..50 {
        let mut case = ToyCase::random(&mut Random::new(seed));
        case.limits.window = 64;
        case.limits.job_capacity = 16;
        let mut makespan = |workers| {
            let mut options = Options::new(workers, seed);
            options.schedule = Schedule::VirtualTime(COSTS);
            let ended = simulator.run(case.shared(), &options).expect("the run ends");
            assert!(ended.busy.iter().all(|busy| *busy <= ended.makespan));
            ended.makespan
        };
        sooner += u32::from(makespan(4) < makespan(1));
    }
    assert!(sooner > 10, "4 workers were sooner on {sooner} of 50 blocks");
}

/// A base read that fails once ends the block only if a final run met it. A speculative failure
/// leaves no trace, and the read is repeated.
#[test]
fn a_read_that_fails_once_ends_the_block_or_leaves_no_trace() {
    let mut simulator = Simulator::new();
    let (mut ended_early, mut no_trace) = (0, 0);
    for seed in 0..10_000 {
        let (mut case, mut options) = scenario(seed);
        options.cancel_at = None;
        let mut block = case.block.as_ref().clone();
        block.failing.clear();
        case.block = block.into();
        let workload = ToyWorkload::new(case.block.clone()).with_failing_read(seed % 12);
        let (ledger, store) = (workload.ledger(), Store::new(case.shards));
        let shared = Shared::with_protocol(workload, ledger, store, case.patience, case.protocol());
        let end = simulator.run(shared, &options).expect("the run ends").end;
        let mut expected = case.reference();
        if let Some(NoResult::Stopped(Stop::Base(BaseFailed(location)))) = end.error {
            expected.error = Some((end.frontier, ReferenceError::Base(location)));
            ended_early += 1;
        } else {
            no_trace += u32::from(end.counters.failed > 0);
        }
        let compared = compare(&end, &expected, case.limits.max_speculative_runs);
        assert_eq!(compared, Ok(()), "seed {seed}");
    }
    assert!(ended_early > 100 && no_trace > 100, "{ended_early} ended early, {no_trace} did not");
}

/// Disjoint pairs, of which the higher transaction reads the last write of the lower one. If
/// readers of a changed location were checked only at the frontier, they would run again there one
/// after the other.
#[test]
fn stale_readers_run_again_before_the_frontier_reaches_them() {
    // The reader ends long before the writer publishes, so a rerun in place does not help.
    let long = |count: u8| (0..count).map(|slot| Step::Read(Place::At(Slot(9, slot))));
    let mut transactions = Vec::new();
    for pair in 0..24 {
        let shared = Place::At(Slot(8, pair));
        let write = Step::Write(shared, Amount::Fixed(1));
        transactions.push(long(120).chain([write]).collect());
        transactions.push(core::iter::once(Step::Read(shared)).chain(long(40)).collect());
    }
    let transactions = transactions.into_iter().map(|steps| ToyTx { steps, limit: 1 }).collect();
    let block = Arc::new(ToyBlock { transactions, room: 1_000, ..ToyBlock::default() });
    let limits = Limits {
        window: 48,
        job_capacity: 16,
        max_speculative_runs: 3,
        skip_rejected: false,
        shared_chunks: false,
        fallback: None,
    };
    let makespan = |workers| {
        let workload = ToyWorkload::new(Arc::clone(&block));
        let (ledger, store) = (workload.ledger(), Store::new(16));
        let (plan, patience) = (Plan::singles(48), 1_000);
        let shared = Shared::new(Setup {
            workload: workload.into(),
            ledger,
            store: store.into(),
            limits,
            plan,
            patience,
        });
        let mut options = Options::new(workers, 1);
        options.schedule = Schedule::VirtualTime(COSTS);
        let ended = Simulator::new().run(shared, &options).expect("the run ends");
        assert_eq!(compare(&ended.end, &reference(&block, false), 3), Ok(()));
        println!("{workers} workers: {} ns, {:?}", ended.makespan, ended.end.counters);
        ended.makespan
    };
    let (one, eight) = (makespan(1), makespan(8));
    // Without hints of stale readers, the speed-up is 3.3.
    assert!(one > 4 * eight, "1 worker {one} ns, 8 workers {eight} ns");
}

/// A worker that panics outside a transaction ends the block, and its report is not awaited.
#[test]
fn a_lost_worker_ends_the_block() {
    let mut simulator = Simulator::new();
    let (mut lost, mut unharmed) = (0, 0);
    for seed in 0..500 {
        let (case, options) = scenario(seed);
        let workload = ToyWorkload::new(case.block.clone()).with_lost_worker(WorkerId(1));
        let (ledger, store) = (workload.ledger(), Store::new(case.shards));
        let shared = Shared::with_protocol(workload, ledger, store, case.patience, case.protocol());
        match simulator.run(shared, &options) {
            Err(SimulationError::WorkerPanicked { worker: WorkerId(1), .. }) => lost += 1,
            // The worker never received a job.
            Ok(ended) if ended.end.broken.is_none() => unharmed += 1,
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(lost > 100 && unharmed > 0, "{lost} lost, {unharmed} unharmed");
}

/// Runs only the seed in `BRAID_SIM_SEED`, to investigate a failure.
#[test]
fn one_seed() {
    let seed = std::env::var("BRAID_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let Some(seed) = seed else { return };
    let (case, options) = scenario(seed);
    println!("{case:#?}\n{options:#?}");
    if let Err(error) = run(&mut Simulator::new(), seed) {
        panic!("BRAID_SIM_SEED={seed}: {error}");
    }
}
