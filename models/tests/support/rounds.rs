//! Toy blocks in rounds under a random schedule, with the seeded bug of the thread or none.

use braid_evm::mutants::active;
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{Options, Schedule, Simulator};
use braid_models::conformance::{Rounds, Seen};
use braid_toy::{ToyCase, compare, publish, publish_rest};

/// What the rounds came to, all together.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Rounds.
    pub(crate) rounds: u64,
    /// Rounds that began with the publication of what earlier ones had left.
    pub(crate) published: u64,
}

/// Who has noticed that something is wrong.
#[derive(Debug)]
#[expect(dead_code, reason = "it is printed")]
pub(crate) enum Wrong {
    /// The replay of the trace.
    Trace(String),
    /// The comparison with the reference, or the block did not end.
    Result(String),
}

fn options(random: &mut Random) -> Options {
    let workers = random.pick(&[1, 2, 3, 8]).copied().unwrap_or(2);
    let mut options = Options::new(workers, random.next_u64());
    if random.chance(1, 4) {
        options.schedule = Schedule::Bursts(1 + random.below(30));
    }
    options.step_limit = 200_000;
    options.cancel_at = random.chance(1, 20).then(|| random.below(1_500));
    options
}

/// Plays the block of this seed, all its rounds.
///
/// # Errors
/// What is wrong. A trace that is not right does not hide a wrong result: the block goes on.
pub(crate) fn play(
    simulator: &mut Simulator,
    seed: u64,
    (totals, seen): (&mut Totals, &mut Seen),
) -> Result<(), Vec<Wrong>> {
    let mut random = Random::new(seed);
    let mut case = ToyCase::random_round(&mut random);
    let reference = case.reference();
    let (mut shared, mut rest) = (case.shared(), Vec::new());
    let mut rounds = Some(Rounds::default());
    let mut wrong = Vec::new();
    loop {
        totals.rounds += 1;
        totals.published += u64::from(!rest.is_empty());
        let shared_now = shared.with_trace();
        publish(shared_now.store(), rest);
        let mut end = match simulator.run(shared_now, &options(&mut random)) {
            Ok(ended) => ended.end,
            // A block that does not end has no trace.
            Err(error) => {
                wrong.push(Wrong::Result(error.to_string()));
                return Err(wrong);
            }
        };
        let trace = end.take_trace();
        let judged = rounds.as_mut().map(|all| all.replay(&trace, case.limits, &case.plan, seen));
        if let Some(Err(rejected)) = judged {
            let before = rejected.at.saturating_sub(30);
            if active().is_none() {
                trace[before..].iter().take(31).for_each(|(_, event)| println!("{event:?}"));
            }
            wrong.push(Wrong::Trace(rejected.why));
            rounds = None;
        }
        match case.next_round(&mut random, end) {
            Ok(next) => (case, shared, rest) = next,
            Err(mut end) => {
                publish_rest(&mut end);
                // Each round may run what it has again.
                let same = compare(&end, &reference, u32::MAX - 1);
                wrong.extend(same.map_err(|error| Wrong::Result(error.to_string())).err());
                return if wrong.is_empty() { Ok(()) } else { Err(wrong) };
            }
        }
    }
}
