//! Runs a scenario and compares its results with sequential execution.

use super::{DeclaredWish, FaultKind, ListWish, Scenario};
use crate::hostile::declared::Declared;
use crate::hostile::listed::Listed;
use crate::hostile::oracle::{Expected, compare_prefix};
use crate::hostile::spoil::{draws, scramble};
use braid_blocks::faulty::{Fault, Faults, Faulty, Unreadable};
use braid_blocks::memory::MemoryDatabase;
use braid_evm::runtime::simulated::{SimulationError, Simulator, Step};
use braid_evm::{
    AccessList, Block, BlockError, BlockErrorKind, BlockOutput, BlockPosition, Cloned,
    SimulatedBlock, SimulatedExecutor, Simulation, Stats, VirtualRun, simulate,
};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type Found = Result<BlockOutput, BlockError<Unreadable>>;
type Payload = Box<dyn Any + Send>;

/// How a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// All transactions were executed.
    Complete,
    /// A transaction or a system call made the block invalid.
    Invalid,
    /// The database failed.
    Unreadable,
    /// The database panicked.
    Panicked,
    /// The block was cancelled in time.
    Cancelled,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 5] =
        [Self::Complete, Self::Invalid, Self::Unreadable, Self::Panicked, Self::Cancelled];

    fn of(found: &Found) -> Self {
        match found.as_ref().map_err(|error| &error.kind) {
            Ok(_) => Self::Complete,
            Err(BlockErrorKind::Base(_)) => Self::Unreadable,
            Err(BlockErrorKind::Cancelled) => Self::Cancelled,
            Err(_) => Self::Invalid,
        }
    }
}

/// Result of a scenario.
#[derive(Clone, Debug)]
pub struct Judged {
    /// How the block ended; or a description of a difference from sequential execution, or of why
    /// the block did not end.
    pub verdict: Result<Ending, String>,
    /// Number of steps of the workers; 0 if the block panicked.
    pub step_count: u64,
    /// Hash of the sequence of steps; 0 if the block panicked, or if the whole executor ran.
    pub digest: u64,
    /// Counters of the executor, up to an error; zeros if the block panicked.
    pub stats: Stats,
    /// Number of failed reads of the database.
    pub faults: u64,
    /// Whether the access list of the block is correct; `None` if there is none.
    pub lists: Option<bool>,
    /// Whether the block has an access list as a hint.
    pub has_hint: bool,
    /// Number of transactions that left their declarations.
    pub undeclared: usize,
    /// All steps, if the scenario keeps them.
    pub steps: Vec<Step>,
}

/// Runs `scenario`, and compares everything with sequential execution on the same database.
pub fn judge(simulator: &mut Simulator, scenario: &Scenario) -> Judged {
    let mut judged = Judged {
        verdict: Ok(Ending::Panicked),
        step_count: 0,
        digest: 0,
        stats: Stats::default(),
        faults: 0,
        lists: None,
        has_hint: false,
        undeclared: 0,
        steps: Vec::new(),
    };
    judged.verdict = run(simulator, scenario, &mut judged);
    judged
}

fn run(
    simulator: &mut Simulator,
    scenario: &Scenario,
    judged: &mut Judged,
) -> Result<Ending, String> {
    if let Some(wish) = scenario.declared {
        return run_declared(simulator, scenario, wish, judged);
    }
    let Scenario { case, fault, simulation, .. } = scenario;
    let faults = Faults::new(fault.clone());
    let database = faults.of(case.database());
    let source = Cloned(database.clone());
    let listed = listed(scenario)?;
    let block = match &listed {
        Some(listed) => Arc::clone(&listed.block),
        None => Arc::new(Block { access_list_hint: hint(scenario)?, ..case.block.clone() }),
    };
    judged.has_hint = block.access_list_hint.is_some();
    let run = || match scenario.whole {
        false => simulate(simulator, block, source, simulation),
        true => simulate_whole(block, source, simulation),
    };
    let simulated = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(simulated) => Ok(simulated.map_err(|error| error.to_string())?),
        Err(payload) => Err(payload),
    };
    judged.faults = faults.count();
    let (expected, simulated) = match (expected(scenario), simulated) {
        (Ok(expected), Ok(simulated)) => (expected, simulated),
        (expected, simulated) => {
            same_panic(expected.err(), simulated.err())?;
            return Ok(Ending::Panicked);
        }
    };
    let SimulatedBlock { result, step_count, digest, steps, .. } = simulated;
    let stats = result.as_ref().map_or_else(|error| error.committed.stats, |output| output.stats);
    (judged.step_count, judged.digest, judged.stats) = (step_count, digest, stats);
    judged.steps = steps;
    // Forced batches may run transactions again any number of times.
    if !scenario.whole {
        within_work_bound(scenario, stats)?;
    }
    let ending = Ending::of(&result);
    let ended_early = matches!(ending, Ending::Unreadable | Ending::Cancelled);
    if let Some(listed) = listed.filter(|_| !ended_early) {
        judged.lists = Some(listed.is_right());
        listed.judge(&result, &database, simulation.config.access_list)?;
        return Ok(ending);
    }
    match (scenario.kind, &result) {
        (FaultKind::ReadOnce | FaultKind::Cancel, Err(error)) if ended_early => {
            committed_prefix(scenario, &expected, error, &case.database())?;
        }
        _ => expected.compare_with_list(&result, simulation.config.access_list)?,
    }
    Ok(ending)
}

/// Runs a block whose transactions declare their accesses.
fn run_declared(
    simulator: &mut Simulator,
    scenario: &Scenario,
    wish: DeclaredWish,
    judged: &mut Judged,
) -> Result<Ending, String> {
    let Scenario { case, simulation, .. } = scenario;
    let declared = match wish {
        DeclaredWish::Honest => Declared::honest(&case.block, &case.database()),
        DeclaredWish::Spoiled(seed) => {
            Declared::spoiled(&case.block, &case.database(), &mut draws(seed))
        }
    };
    let source = Cloned(Fault::Never.of(case.database()));
    let block = Arc::clone(&declared.block);
    let simulated = match scenario.whole {
        false => simulate(simulator, block, source, simulation),
        true => simulate_whole(block, source, simulation),
    };
    let SimulatedBlock { result, step_count, digest, steps, .. } =
        simulated.map_err(|error| error.to_string())?;
    (judged.step_count, judged.digest, judged.steps) = (step_count, digest, steps);
    judged.undeclared = declared.left().len();
    declared.judge(&simulation.config, &result)?;
    if let Ok(output) = &result {
        judged.stats = output.stats;
        if !scenario.whole {
            within_work_bound(scenario, output.stats)?;
        }
    }
    Ok(Ending::of(&result))
}

/// Returns the block of `scenario` with its access list, if it has one.
fn listed(scenario: &Scenario) -> Result<Option<Listed<Unreadable>>, String> {
    let database = Fault::Never.of(scenario.case.database());
    let block = &scenario.case.block;
    match scenario.list {
        None => Ok(None),
        Some(ListWish::Right) => Listed::new(block, &database, None),
        Some(ListWish::Spoiled(seed)) => Listed::new(block, &database, Some(&mut draws(seed))),
    }
}

/// Returns the block's access list hint, if it has one.
fn hint(scenario: &Scenario) -> Result<Option<Arc<AccessList>>, String> {
    let Some(wish) = scenario.hint else { return Ok(None) };
    let (block, database) = (&scenario.case.block, scenario.case.database());
    let listed = Listed::new(block, &database, None)?;
    let Some(list) = listed.and_then(|listed| listed.block.access_list.clone()) else {
        return Ok(None);
    };
    let ListWish::Spoiled(seed) = wish else { return Ok(Some(list)) };
    let mut list: Vec<_> = list.iter().cloned().collect();
    scramble(&mut list, block.transactions.len(), &mut draws(seed));
    Ok(Some(Arc::new(AccessList::new(list))))
}

/// Runs the whole executor. Its tasks take steps, and the
/// code between them takes none. Hashing changes the order of steps, so they are not compared.
fn simulate_whole(
    block: Arc<Block>,
    source: Cloned<Faulty<MemoryDatabase>>,
    simulation: &Simulation,
) -> Result<SimulatedBlock<Unreadable>, SimulationError> {
    let Simulation { config, options } = simulation;
    let mut executor = SimulatedExecutor::new(*config, options.clone());
    let VirtualRun { result, makespan, step_count, .. } = executor.execute(block, source)?;
    Ok(SimulatedBlock { result, step_count, digest: 0, steps: Vec::new(), makespan })
}

/// Executes the block sequentially. A fault that depends on the order of reads, or on the step,
/// applies only to Braid.
fn expected(scenario: &Scenario) -> Result<Expected<Unreadable>, Payload> {
    let fault = match scenario.kind {
        FaultKind::ReadOnce | FaultKind::Cancel => Fault::Never,
        FaultKind::None | FaultKind::Read | FaultKind::Panic => scenario.fault.clone(),
    };
    let database = fault.of(scenario.case.database());
    let mode = scenario.simulation.config.engine.mode;
    catch_unwind(AssertUnwindSafe(|| Expected::new(&scenario.case.block, mode, &database)))
}

/// Checks that both panicked with the same payload.
fn same_panic(expected: Option<Payload>, found: Option<Payload>) -> Result<(), String> {
    let place = |payload: &Option<Payload>| {
        payload.as_ref().map(|payload| payload.downcast_ref::<Unreadable>().copied())
    };
    match (place(&expected), place(&found)) {
        (Some(Some(expected)), Some(Some(found))) if expected == found => Ok(()),
        (expected, found) => Err(format!("expected the panic {expected:?}, found {found:?}")),
    }
}

/// Compares the prefix that was committed before the block ended early with the results of these
/// transactions.
fn committed_prefix(
    scenario: &Scenario,
    expected: &Expected<Unreadable>,
    error: &BlockError<Unreadable>,
    sound: &MemoryDatabase,
) -> Result<(), String> {
    let committed = &error.committed;
    if let BlockPosition::Transaction(tx) = error.at
        && tx.position() != committed.outcomes.len()
    {
        return Err(format!("{} outcomes, and the error is at {tx}", committed.outcomes.len()));
    }
    // The oracle cannot stop before the post-block calls, which may be what fails.
    if error.at == BlockPosition::PreBlock || expected.output().is_none() {
        return Ok(());
    }
    let config = &scenario.simulation.config;
    compare_prefix(&scenario.case.block, config.engine.mode, sound, committed, config.access_list)
        .map_err(|difference| format!("committed prefix: {difference}"))
}

/// I9: the work above the frontier is bounded by the window.
fn within_work_bound(scenario: &Scenario, stats: Stats) -> Result<(), String> {
    let config = &scenario.simulation.config;
    let ahead = u64::from(config.engine.window_per_worker) * stats.workers;
    let most = u64::from(config.engine.max_speculative_runs + 1) * (stats.transactions + ahead);
    if stats.incarnations > most {
        return Err(format!("{} runs, and at most {most} are allowed", stats.incarnations));
    }
    Ok(())
}
