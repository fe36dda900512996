//! Toy blocks in private batches, under random schedules of the simulated runtime and on threads: against the reference, and their traces against the reference store.
//!
//! A failure prints its seed. `BRAID_BATCH_SEED=<seed>` runs that one alone; `BRAID_BATCH_RUNS=10` runs ten times as
//! many.

#[path = "support/threaded.rs"]
mod threaded;

use braid_evm::protocol::Halt;
use braid_evm::runtime::Pool;
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{Options, Schedule, Simulator};
use braid_models::conformance::{Seen, SeenBatches, replay};
use braid_toy::{ToyCase, compare, publish_rest};

/// Seeds of one multiple.
const SEEDS: u64 = 40_000;
/// Blocks on threads, for each number of workers.
const THREADED: u64 = 1_000;

fn times() -> u64 {
    let times = std::env::var("BRAID_BATCH_RUNS").ok().and_then(|times| times.parse().ok());
    times.unwrap_or(1)
}

/// The case and the schedule of a seed.
fn scenario(seed: u64) -> (ToyCase, Options) {
    let mut random = Random::new(seed);
    let case = ToyCase::random_private(&mut random);
    let workers = [1, 2, 2, 3, 3, 8];
    let workers = random.pick(&workers).copied().unwrap_or(2);
    let mut options = Options::new(workers, random.next_u64());
    options.schedule = match random.below(8) {
        0 | 1 => Schedule::Bursts(1 + random.below(30)),
        2 | 3 => Schedule::Priorities(1 + u32::from(random.small(6))),
        _ => Schedule::Random,
    };
    options.step_limit = 200_000;
    options.cancel_at = random.chance(1, 8).then(|| random.below(1_500));
    (case, options)
}

/// What the cases came to, all together: proof that the rare paths were taken.
#[derive(Debug, Default)]
struct Totals {
    batches: u64,
    aborts: u64,
    claims: u64,
    failed: u64,
    speculative: u64,
    fell_back: u64,
    cancelled: u64,
    unpublished: u64,
}

fn run(
    simulator: &mut Simulator,
    seed: u64,
    totals: &mut Totals,
    seen: &mut Seen,
) -> Result<(), String> {
    let (case, options) = scenario(seed);
    let ended =
        simulator.run(case.shared().with_trace(), &options).map_err(|error| error.to_string())?;
    let mut end = ended.end;
    let trace = end.take_trace();
    totals.unpublished += u64::from(end.published < end.frontier);
    publish_rest(&mut end);
    let cap = case.limits.max_speculative_runs;
    compare(&end, &case.reference(), cap).map_err(|mismatch| mismatch.to_string())?;
    replay(&trace, case.limits, &case.plan, seen).map_err(|rejected| {
        let before = rejected.at.saturating_sub(30);
        trace[before..].iter().take(31).for_each(|(_, event)| println!("{event:?}"));
        format!("{rejected:?}")
    })?;
    let counters = end.counters;
    totals.batches += end.batches;
    totals.aborts += counters.aborts;
    totals.claims += counters.claims;
    totals.failed += counters.failed;
    totals.speculative += counters.speculative_commits;
    totals.fell_back += u64::from(end.halt == Some(Halt::Fallback));
    totals.cancelled += u64::from(end.halt == Some(Halt::Cancelled));
    Ok(())
}

#[test]
fn private_batches_equal_the_reference_and_their_traces_conform() {
    let (mut simulator, mut totals) = (Simulator::new(), Totals::default());
    let mut seen = Seen::default();
    let one = std::env::var("BRAID_BATCH_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = one.map_or(0..SEEDS * times(), |seed| seed..seed + 1);
    for seed in seeds {
        if let Err(error) = run(&mut simulator, seed, &mut totals, &mut seen) {
            panic!("BRAID_BATCH_SEED={seed}: {error}");
        }
    }
    println!("{totals:?}, {seen:?}");
    if one.is_none() {
        let Totals { batches, aborts, claims, failed, speculative, .. } = totals;
        let Totals { fell_back, cancelled, unpublished, .. } = totals;
        let counts =
            [batches, aborts, claims, failed, speculative, fell_back, cancelled, unpublished];
        assert!(counts.iter().all(|count| *count > 100), "a path was hardly taken");
        assert_seen(&seen, 100);
    }
}

/// Each thing that a replay of private batches is there for was seen so often. False alarms take two locations with one
/// hash, or groups.
fn assert_seen(seen: &Seen, least: u64) {
    let SeenBatches { runs, commits, above_others, conflicts, .. } = seen.batches;
    let SeenBatches { claims, fell_back, .. } = seen.batches;
    let counts = [runs, commits, above_others, conflicts, claims, fell_back];
    assert!(counts.iter().all(|count| *count >= least), "too little: {seen:?}");
}

#[test]
fn traces_of_batches_on_threads_conform() {
    let mut seen = Seen::default();
    for workers in [1, 2, 3, 8] {
        let mut pool = Pool::new(workers).expect("threads start");
        for seed in 0..THREADED * times() {
            let case = ToyCase::random_private(&mut Random::new(seed));
            let trace = threaded::run(&mut pool, &case, seed);
            if let Err(rejected) = replay(&trace, case.limits, &case.plan, &mut seen) {
                let before = rejected.at.saturating_sub(30);
                trace[before..].iter().take(31).for_each(|(_, event)| println!("{event:?}"));
                panic!("seed {seed}, {workers} workers: {rejected:?}");
            }
        }
    }
    println!("{seen:?}");
    assert_seen(&seen, 10);
}
