//! Executes a block in every way, and compares each result with sequential execution.

use super::ways;
use crate::lineup::Lineup;
use crate::oracle::Expected;
use braid_evm::mutants::active;
use braid_evm::runtime::simulated::Simulator;
use braid_evm::{Block, Cloned, Forced, Mode, Policy, evm_simulator, simulate};
use braid_testkit::simulation::{Scenario, Wishes};
use revm::DatabaseRef;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// Executors whose threads are kept from one input to the next.
    static LINEUPS: RefCell<[Lineup; 2]> = RefCell::new(
        [Mode::Validate, Mode::Build].map(|mode| Lineup::new(Policy::Forced(Forced::Speculative), mode)),
    );
    /// Simulator whose fiber stacks are kept.
    static SIMULATOR: RefCell<Simulator> = RefCell::new(evm_simulator());
}

/// Simulated schedules for each block.
const SCHEDULES: u64 = 2;

/// Compares executions of `block` with sequential execution: on threads, in both modes and with
/// every number of workers, through another entry point, and under simulated schedules that `seed`
/// determines. With a seeded bug, only the schedules are tried: there, a block that does not end is
/// noticed.
pub(super) fn check<D>(block: &Arc<Block>, database: &D, seed: u64) -> Result<(), String>
where
    D: DatabaseRef<Error: core::fmt::Display> + Clone + Send + Sync + 'static,
{
    for seed in seed..seed.saturating_add(SCHEDULES) {
        simulated(block, database, seed)?;
    }
    if active().is_some() {
        return Ok(());
    }
    ways::check(block, database, seed)?;
    LINEUPS.with_borrow_mut(|lineups| {
        lineups.iter_mut().try_for_each(|lineup| {
            let compared = lineup.compare(block, database);
            compared.map(drop).map_err(|wrong| format!("{:?}: {wrong}", block.cfg.spec))
        })
    })
}

fn simulated<D>(block: &Arc<Block>, database: &D, seed: u64) -> Result<(), String>
where
    D: DatabaseRef<Error: core::fmt::Display> + Clone + Send + Sync + 'static,
{
    let simulation = Scenario::choices(seed, &Wishes::default());
    let (source, block) = (Cloned(database.clone()), Arc::clone(block));
    let expected = Expected::new(&block, simulation.config.engine.mode, database);
    let named = |wrong: String| format!("schedule of seed {seed}: {wrong}");
    let found = SIMULATOR
        .with_borrow_mut(|simulator| simulate(simulator, block, source, &simulation))
        .map_err(|error| named(error.to_string()))?;
    let asked = simulation.config.access_list;
    expected.compare_with_list(&found.result, asked).map_err(named)
}

/// Returns a seed that depends on every byte: FNV-1a, after Fowler, Noll and Vo.
pub(super) fn seed_of(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix) >> 1
}
