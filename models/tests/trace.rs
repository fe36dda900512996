//! Traces of the engine, replayed against the reference store: those of the shipped engine pass,
//! those of seeded bugs and corrupted ones do not.

#[path = "support/threaded.rs"]
mod threaded;

use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mv::{Entry, Resolution, Store};
use braid_evm::runtime::Pool;
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{Options, Schedule, Simulator};
use braid_models::conformance::{Rejected, Seen, Trace, replay, replay_store};
use braid_toy::{ToyCase, ToyLocation};

/// Simulated blocks.
const SEEDS: u64 = 10_000;
/// Blocks on threads, for each number of workers.
const THREADED: u64 = 400;

/// How many times as many blocks are asked for.
fn times() -> u64 {
    let times = std::env::var("BRAID_TRACE_TIMES").ok().and_then(|times| times.parse().ok());
    times.unwrap_or(1)
}

fn options(random: &mut Random) -> Options {
    let mut options = Options::new(1 + u16::from(random.small(4)), random.next_u64());
    options.step_limit = 100_000;
    if random.chance(1, 2) {
        options.schedule = Schedule::Bursts(20);
    }
    options.cancel_at = random.chance(1, 8).then(|| random.below(1_500));
    options
}

fn simulated(simulator: &mut Simulator, seed: u64) -> (ToyCase, Trace<ToyLocation>) {
    let mut random = Random::new(seed);
    let case = ToyCase::random(&mut random);
    let options = options(&mut random);
    let ended = simulator.run(case.shared().with_trace(), &options);
    let trace = ended.expect("the block ends").end.take_trace();
    (case, trace)
}

fn judge(case: &ToyCase, trace: &Trace<ToyLocation>, seen: &mut Seen) -> Result<(), Rejected> {
    replay(trace, case.limits, &case.plan, seen)
}

/// Each thing that a replay is there for was seen so often.
fn assert_seen(seen: &Seen, least: u64) {
    println!("{seen:?}");
    let Seen { blocked, predicted, folds, tombstones, hints, .. } = *seen;
    let Seen { stale, estimates, removals, skips, seconds, .. } = *seen;
    let counts = [
        &[blocked, predicted, folds, tombstones][..],
        &[hints, stale, estimates, removals],
        &[skips, seconds],
    ]
    .concat();
    assert!(counts.iter().all(|count| *count >= least), "too little: {seen:?}");
}

#[test]
fn traces_of_simulated_blocks_conform() {
    let (mut simulator, mut seen) = (Simulator::new(), Seen::default());
    for seed in 0..SEEDS * times() {
        let (case, trace) = simulated(&mut simulator, seed);
        if let Err(rejected) = judge(&case, &trace, &mut seen) {
            let before = rejected.at.saturating_sub(40);
            trace[before..].iter().take(41).for_each(|(_, event)| println!("{event:?}"));
            panic!("seed {seed}: {rejected:?}");
        }
    }
    assert_seen(&seen, 500);
}

#[test]
fn traces_of_blocks_on_threads_conform() {
    let mut seen = Seen::default();
    for workers in [1, 2, 3, 8] {
        let mut pool = Pool::new(workers).expect("threads start");
        for seed in 0..THREADED * times() {
            let case = ToyCase::random(&mut Random::new(seed));
            let trace = threaded::run(&mut pool, &case, seed);
            let judged = judge(&case, &trace, &mut seen);
            assert_eq!(judged, Ok(()), "seed {seed}, {workers} workers");
        }
    }
    assert_seen(&seen, 1);
}

fn version(tx: u32, incarnation: u32) -> Version {
    Version { tx: TxIndex(tx), incarnation: Incarnation(incarnation) }
}

/// Seed 929 above, found by the replay: between a reader's look and its base value a publication named
/// it, and the next publication named no reader.
#[test]
fn a_reader_that_waits_for_its_base_value_is_named_again() {
    let mut store = Store::new(1);
    store.start_trace();
    let place = ToyLocation::Balance(0);
    let reader = TxIndex(4);
    let Resolution::NeedsBase(chain) = store.resolve(&place, reader) else {
        panic!("nothing is known of the base state")
    };
    let mut stale = Vec::new();
    store.publish(version(1, 0), &place, Entry::Delta(3), &mut stale);
    assert_eq!(stale, [reader]);
    let seen = store.supply_base(chain, &place, reader, Some(8));
    assert!(matches!(seen, Resolution::Resolved(seen) if seen.value == Some(11)));
    stale.clear();
    store.publish(version(2, 0), &place, Entry::Value(Some(3)), &mut stale);
    assert_eq!(stale, [reader]);
    assert_eq!(replay_store(&store.take_trace()), Ok(()));
}
