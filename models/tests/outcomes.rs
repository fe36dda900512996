//! Simulated toy blocks against the reference: a short form of the simulation, for those who
//! change the engine by machine (`cargo xtask cargo-mutants`).

use braid_evm::runtime::simulated::{Options, Schedule, Simulator};
use braid_evm::toy::{Random, ToyCase, compare};

const SEEDS: u64 = 6_000;

#[test]
fn simulated_blocks_equal_the_reference() {
    let mut simulator = Simulator::new();
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let case = ToyCase::random(&mut random);
        let mut options = Options::new(1 + u16::from(random.small(4)), random.next_u64());
        options.step_limit = 100_000;
        if random.chance(1, 2) {
            options.schedule = Schedule::Bursts(20);
        }
        let ended = simulator.run(case.shared(), &options).expect("the block ends");
        let cap = case.limits.max_speculative_runs;
        assert_eq!(compare(&ended.end, &case.reference(), cap), Ok(()), "seed {seed}");
    }
}
