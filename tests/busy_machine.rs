//! Simulates a busy machine: in virtual time, the system suspends a worker for 4 ms at a step that
//! the seed chooses. The result must be right, and delayed no longer than the protocol permits.

use braid_evm::ids::WorkerId;
#[cfg(feature = "mutants")]
use braid_evm::mutants::{Bug, seed};
use braid_evm::protocol::Plan;
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{Options, Schedule, Simulated, Simulator, Suspension};
use braid_evm::worker::Point;
use braid_toy::{
    Place, Step, ToyBlock, ToyCase, ToyLedger, ToyLocation, ToyWorkload, compare, publish_rest,
};
use std::sync::Arc;

/// Duration of a suspension in nanoseconds: a time slice.
const SLICE: u64 = 4_000_000;
/// Maximum time before the caller helps, in nanoseconds: two wait periods of the simulator.
const PATIENCE: u64 = 400_000;
const SEEDS: u64 = 3_000;

/// Returns a block with one transaction per job. After a partial publication of a longer job, only
/// its worker can continue it.
fn singles(seed: u64) -> ToyCase {
    let mut case = ToyCase::random(&mut Random::new(seed));
    case.plan =
        Plan::singles(case.block.transactions.len().try_into().expect("a toy block is small"));
    case
}

/// Returns a block of private batches that have no conflict, so that none ends the segment.
fn batches(seed: u64) -> ToyCase {
    let mut case = ToyCase::random_private(&mut Random::new(seed));
    let mut block = ToyBlock::clone(&case.block);
    for tx in &mut block.transactions {
        let is_read = |step: &Step| matches!(step, Step::Read(Place::At(ToyLocation::Slot(..))));
        tx.steps.retain(is_read);
    }
    block.failing.clear();
    block.room = u64::MAX;
    case.block = Arc::new(block);
    case
}

struct Machine {
    simulator: Simulator,
    case: fn(u64) -> ToyCase,
}

impl Machine {
    fn run(
        &mut self,
        case: &ToyCase,
        (workers, seed): (u16, u64),
        suspended: Option<Suspension>,
    ) -> Simulated<ToyWorkload, ToyLedger> {
        let mut options = Options::new(workers, seed);
        options.schedule = Schedule::VirtualTime(crate::simulation::COSTS);
        options.suspended = suspended;
        let shared = case.shared();
        let mut ended = self.simulator.run(shared, &options).expect("the block ends");
        publish_rest(&mut ended.end);
        let cap = case.limits.max_speculative_runs;
        assert_eq!(compare(&ended.end, &case.reference(), cap), Ok(()), "seed {seed}");
        ended
    }

    /// Returns the longest delay beyond the bound among blocks whose worker is suspended within a
    /// run, the number of such blocks, and the number of times the caller helped.
    fn most_late(&mut self) -> (u64, u32, u64) {
        let (mut most, mut blocks, mut helped) = (0, 0, 0);
        for seed in 0..SEEDS {
            let case = (self.case)(seed);
            let mut random = Random::new(seed);
            let workers = 2 + u16::from(random.small(3));
            let alone = self.run(&case, (1, seed), None).makespan;
            let before = self.run(&case, (workers, seed), None);
            let at_step = random.below(before.step_count);
            let suspension = Suspension { at_step, length: SLICE };
            let after = self.run(&case, (workers, seed), Some(suspension));
            let late = after.ends[0].saturating_sub(before.ends[0]);
            assert!(late <= SLICE + alone, "seed {seed}: late by {late} ns, more than once");
            let holds_members = after.end.batches > 0 && after.end.counters.failed > 0;
            if after.end.halt.is_some() || holds_members {
                // Such a block waits for jobs in progress, or for members of batches that run at
                // the frontier.
                continue;
            }
            let within_run = [Point::Begin, Point::Read, Point::BaseRead];
            let Some((worker, Some(point))) = after.suspended else { continue };
            if worker == WorkerId::CALLER || !within_run.contains(&point) {
                continue;
            }
            blocks += 1;
            helped += after.end.counters.helped_transactions + after.end.counters.helped_batches;
            // The other workers do the rest, most of it the caller, and one run starts again.
            most = most.max(late.saturating_sub(PATIENCE + alone));
        }
        (most, blocks, helped)
    }
}

impl Machine {
    fn new(case: fn(u64) -> ToyCase) -> Self {
        Self { simulator: Simulator::new(), case }
    }
}

fn holds_no_block_up(case: fn(u64) -> ToyCase) {
    let (most, blocks, helped) = Machine::new(case).most_late();
    println!("{blocks} blocks, {helped} jobs taken over");
    assert_eq!(most, 0, "nanoseconds by which it is later than the bound");
    assert!(blocks > 150 && helped > 100, "{blocks} blocks, {helped} jobs taken over");
}

#[test]
fn a_worker_that_is_suspended_within_a_run_holds_no_block_up() {
    holds_no_block_up(singles);
}

#[test]
fn a_worker_that_is_suspended_within_a_private_batch_holds_no_block_up() {
    holds_no_block_up(batches);
}

/// The check notices a caller that never helps.
#[cfg(feature = "mutants")]
#[test]
fn a_caller_that_does_not_help_is_late() {
    let _bug = seed(Bug::NeverHelps);
    for case in [singles as fn(u64) -> ToyCase, batches] {
        let (most, ..) = Machine::new(case).most_late();
        assert!(most > SLICE / 2, "late by {most} ns more than the bound");
    }
}
