//! Toy blocks in rounds; each round goes on from where the one before has stopped, by other means: above
//! the frontier, or in private batches. Against the reference, and their traces against the reference store.
//!
//! A failure prints its seed. `BRAID_ROUNDS_SEED=<seed>` runs that one alone; `BRAID_BATCH_RUNS=10` runs ten times as
//! many.

#[path = "support/rounds.rs"]
mod rounds;

use braid_evm::runtime::simulated::Simulator;
use braid_models::conformance::Seen;
use rounds::{Totals, play};

/// Seeds of one multiple.
const SEEDS: u64 = 30_000;

#[test]
fn blocks_in_rounds_equal_the_reference_and_their_traces_conform() {
    let (mut simulator, mut totals) = (Simulator::new(), Totals::default());
    let mut seen = Seen::default();
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let one = number("BRAID_ROUNDS_SEED");
    let times = number("BRAID_BATCH_RUNS").unwrap_or(1);
    for seed in one.map_or(0..SEEDS * times, |seed| seed..seed + 1) {
        if let Err(wrong) = play(&mut simulator, seed, (&mut totals, &mut seen)) {
            panic!("BRAID_ROUNDS_SEED={seed}: {wrong:?}");
        }
    }
    println!("{totals:?}, {seen:?}");
    let counts = [totals.rounds, totals.published, seen.batches.published];
    assert!(one.is_some() || counts.iter().all(|count| *count > 100), "a path was hardly taken");
}
