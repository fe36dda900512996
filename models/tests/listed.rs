//! Toy blocks that come with a list of what each transaction changes, in private batches that read it, under random
//! schedules of the simulated runtime and on threads: against the reference, and their traces against the rules.
//!
//! A block ends at the first transaction that is not as the list says. A run of it has found that, and never of a lower one:
//! so what such a run finds is final once everything below it is committed.
//!
//! A failure prints its seed. `BRAID_TOLD_SEED=<seed>` runs that one alone.

#[path = "support/threaded.rs"]
mod threaded;

use braid_evm::ids::TxIndex;
use braid_evm::protocol::Halt;
use braid_evm::runtime::Pool;
use braid_evm::runtime::simulated::{Options, Random, Schedule, Simulator};
use braid_evm::worker::BlockEnd;
use braid_models::conformance::{Seen, replay_listed};
use braid_toy::{ToyCase, ToyClaims, ToyLedger, ToyOutcome, ToyWorkload, compare, publish_rest};
use std::sync::Arc;

const SEEDS: u64 = 20_000;
/// Blocks on threads, for each number of workers.
const THREADED: u64 = 500;

/// What the cases came to, all together: proof that the rare paths were taken.
#[derive(Debug, Default)]
struct Totals {
    right: u64,
    /// Lists that lie, and end the block where they do.
    wrong: u64,
    /// Lists whose block ends earlier: by an invalid transaction, for want of room, or without an answer.
    earlier: u64,
    /// Blocks in which a run above the lie had ended by then, or was held for it.
    above: u64,
}

fn schedule(random: &mut Random) -> Options {
    let workers = random.pick(&[1, 2, 2, 3, 3, 8]).copied().unwrap_or(2);
    let mut options = Options::new(workers, random.next_u64());
    options.schedule = match random.below(6) {
        0 => Schedule::Bursts(1 + random.below(30)),
        1 => Schedule::Priorities(1 + u32::from(random.small(6))),
        _ => Schedule::Random,
    };
    options.step_limit = 200_000;
    options
}

fn check(
    end: &BlockEnd<ToyWorkload, ToyLedger>,
    (case, wrong): (&ToyCase, Option<TxIndex>),
    totals: &mut Totals,
) -> Result<(), String> {
    let expected = case.reference();
    compare(end, &expected, case.limits.max_speculative_runs).map_err(|it| it.to_string())?;
    let stopped = end.workload.first_wrong();
    if let Some(wrong) = wrong.filter(|wrong| end.frontier > *wrong) {
        return Err(format!(
            "{} transactions committed, and the list lies of {wrong}",
            end.frontier
        ));
    }
    if end.halt.is_none() {
        let is_whole = wrong.is_none() && stopped.is_none();
        totals.right += 1;
        return if is_whole { Ok(()) } else { Err(format!("{stopped:?} differed and committed")) };
    }
    if end.halt != Some(Halt::Fallback) {
        // It has no room: in order the block ends there, too.
        return Ok(());
    }
    if stopped.is_some_and(|stopped| stopped < end.frontier) {
        return Err(format!("{stopped:?} differed and committed"));
    }
    // What has no room in the block runs all the same, and changes what it would not.
    let runs =
        |tx: TxIndex| matches!(expected.outcomes.get(tx.position()), Some(ToyOutcome::Executed(_)));
    if let Some(stopped) =
        stopped.filter(|stopped| wrong.is_none_or(|wrong| *stopped < wrong) && runs(*stopped))
    {
        return Err(format!("{stopped} is said to be wrong, and {wrong:?} is"));
    }
    // Where it may not be told what was there before, it is not told that it differs either.
    let is_answered = case.block.failing.is_empty() || stopped == wrong;
    if wrong == Some(end.frontier) && runs(end.frontier) && is_answered {
        // Its run has found what is final.
        if stopped != wrong {
            return Err(format!("the block ends at {wrong:?}, and {stopped:?} was found"));
        }
        totals.wrong += 1;
        totals.above += u64::from(end.counters.runs > u64::from(end.frontier.0));
    } else {
        totals.earlier += 1;
    }
    Ok(())
}

fn run(
    simulator: &mut Simulator,
    seed: u64,
    totals: &mut Totals,
    seen: &mut Seen,
) -> Result<(), String> {
    let mut random = Random::new(seed);
    let (case, wrong) = ToyCase::random_listed(&mut random);
    let options = schedule(&mut random);
    let ended =
        simulator.run(case.shared().with_trace(), &options).map_err(|error| error.to_string())?;
    let mut end = ended.end;
    let trace = end.take_trace();
    publish_rest(&mut end);
    check(&end, (&case, wrong), totals)?;
    replay_listed(&trace, case.limits, &case.plan, seen).map_err(|rejected| format!("{rejected:?}"))
}

#[test]
fn listed_batches_equal_the_reference_and_their_traces_conform() {
    let (mut simulator, mut totals) = (Simulator::new(), Totals::default());
    let mut seen = Seen::default();
    let one = std::env::var("BRAID_TOLD_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = one.map_or(0..SEEDS, |seed| seed..seed + 1);
    for seed in seeds {
        if let Err(error) = run(&mut simulator, seed, &mut totals, &mut seen) {
            panic!("BRAID_TOLD_SEED={seed}: {error}");
        }
    }
    println!("{totals:?}, {seen:?}");
    if one.is_none() {
        let Totals { right, wrong, earlier, above } = totals;
        assert!([right, wrong, earlier, above].iter().all(|count| *count > 500), "{totals:?}");
    }
}

/// What a run has changed is compared with the list: where it is not, a lie commits.
#[test]
fn a_list_that_is_trusted_is_noticed() {
    let mut simulator = Simulator::new();
    let noticed = (0..2_000).filter(|seed| {
        let mut random = Random::new(*seed);
        let (mut case, wrong) = ToyCase::random_listed(&mut random);
        case.claims = case.claims.map(|claims| Arc::new(ToyClaims::clone(&claims).trusted()));
        let options = schedule(&mut random);
        let ended = simulator.run(case.shared(), &options);
        let mut end = ended.expect("it ends").end;
        publish_rest(&mut end);
        check(&end, (&case, wrong), &mut Totals::default()).is_err()
    });
    assert!(noticed.count() > 20, "nothing was noticed");
}

#[test]
fn traces_of_listed_batches_on_threads_conform() {
    let mut seen = Seen::default();
    for workers in [1, 2, 3, 8] {
        let mut pool = Pool::new(workers).expect("threads start");
        for seed in 0..THREADED {
            let (case, _) = ToyCase::random_listed(&mut Random::new(seed));
            let trace = threaded::run(&mut pool, &case, seed);
            if let Err(rejected) = replay_listed(&trace, case.limits, &case.plan, &mut seen) {
                panic!("seed {seed}, {workers} workers: {rejected:?}");
            }
        }
    }
    assert!(seen.batches.commits > 1_000 && seen.batches.fell_back > 100, "{seen:?}");
}
