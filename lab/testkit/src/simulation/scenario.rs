//! Scenarios, which a seed determines.

use crate::hostile::declared::honest;
use crate::hostile::generate::Case;
use braid_blocks::faulty::{Fault, Faults};
use braid_blocks::hooked::Read;
use braid_blocks::sequential;
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{Costs, Options, Schedule};
use braid_evm::{Config, Forced, Mode, Policy, Simulation};
use clap::ValueEnum;
use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Number of steps within which a block is cancelled; most blocks end within half of that.
const CANCEL_WITHIN: u64 = 3_000;
/// Step limit, far above that of any generated block.
const STEP_LIMIT: u64 = 2_000_000;

/// Policies for whole executors.
const WHOLE: [Policy; 5] = [
    Policy::Auto,
    Policy::Sequential,
    Policy::Forced(Forced::Alternate),
    Policy::Forced(Forced::ContiguousBatches),
    Policy::Forced(Forced::ContiguousBatches),
];

/// Policies for whole executors on blocks with an access list.
const LISTED: [Policy; 7] = [
    Policy::Auto,
    Policy::Sequential,
    Policy::Forced(Forced::AccessList),
    Policy::Forced(Forced::AccessList),
    Policy::Forced(Forced::AccessList),
    Policy::Forced(Forced::ContiguousBatches),
    Policy::Forced(Forced::Speculative),
];

/// Policies for whole executors on blocks with declared accesses.
const DECLARED: [Policy; 5] = [
    Policy::Auto,
    Policy::Forced(Forced::ContiguousBatches),
    Policy::Forced(Forced::Speculative),
    Policy::Forced(Forced::Speculative),
    Policy::Forced(Forced::Alternate),
];

/// Virtual time of the steps, in nanoseconds: roughly their time on a server.
const COSTS: Costs = Costs {
    begin: 200,
    read: 150,
    base_read: 1_000,
    publish: 80,
    check: 60,
    message: 100,
    coordinator: 30,
    validate: 80,
    commit: 100,
};

/// Kind of fault in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum FaultKind {
    /// No fault
    None,
    /// One account, slot, code or hash cannot be read
    Read,
    /// Only one read fails, or all from it on
    ReadOnce,
    /// The database panics when one account, slot, code or hash is read
    Panic,
    /// The caller cancels the block
    Cancel,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::None, Self::Read, Self::ReadOnce, Self::Panic, Self::Cancel];
}

/// Constraints on scenarios.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// Number of workers; `None` for 1 to 8, by the seed.
    pub workers: Option<NonZeroU16>,
    /// Kinds of faults that may occur; an empty list means [`FaultKind::None`].
    pub faults: Vec<FaultKind>,
    /// Whether the whole shipped executor runs, with contiguous batches, with a bundle
    /// thread or workers that share the bundle, and not only workers that share a store. The block
    /// is never cancelled then.
    pub whole: bool,
    /// Whether valid blocks have their access lists, most of them spoiled. The only other fault is
    /// then cancellation.
    pub lists: bool,
    /// Whether transactions declare their accesses, some of them wrongly. Blocks are then built,
    /// without faults. Excludes `lists`.
    pub declared: bool,
}

impl Default for Wishes {
    fn default() -> Self {
        let (workers, faults) = (None, FaultKind::ALL.into());
        Self { workers, faults, whole: false, lists: false, declared: false }
    }
}

/// One random block with its configuration, its fault and its schedule.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// The block and the state before it.
    pub case: Case,
    /// Kind of the fault.
    pub kind: FaultKind,
    /// When the database fails.
    pub fault: Fault,
    /// Configuration of the executor, workers and schedule.
    pub simulation: Simulation,
    /// See [`Wishes::whole`].
    pub whole: bool,
    /// See [`Wishes::lists`].
    pub list: Option<ListWish>,
    /// Access list hint of a valid block, with other indices if it is spoiled. Every fourth block
    /// without an access list has a hint.
    pub hint: Option<ListWish>,
    /// See [`Wishes::declared`].
    pub declared: Option<DeclaredWish>,
}

/// Declarations of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclaredWish {
    /// All accesses: no transaction runs twice.
    Honest,
    /// Accesses of some transactions, some of them incomplete, by a seed.
    Spoiled(u64),
}

/// Access list of a valid block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListWish {
    /// The block's own list.
    Right,
    /// The block's own list, with a change that follows from a seed.
    Spoiled(u64),
}

impl Scenario {
    /// Returns the scenario of `seed`, within the constraints of `wishes`.
    #[must_use]
    pub fn new(seed: u64, wishes: &Wishes) -> Self {
        let mut case = Case::from_seed(seed);
        let mut random = Random::new(seed);
        let mut simulation = random_choices(&mut random, wishes);
        let mut kind = random_kind(&mut random, &wishes.faults);
        let list = wishes.lists.then(|| {
            simulation.config.engine.mode = Mode::Validate;
            kind = if kind == FaultKind::Cancel { kind } else { FaultKind::None };
            match random.chance(1, 4) {
                true => ListWish::Right,
                false => ListWish::Spoiled(random.next_u64()),
            }
        });
        let declared = (wishes.declared && !wishes.lists).then(|| {
            (simulation.config.engine.mode, kind) = (Mode::Build, FaultKind::None);
            if random.chance(1, 3) {
                case = honest(&mut |end| random.below(end as u64) as usize);
                return DeclaredWish::Honest;
            }
            DeclaredWish::Spoiled(random.next_u64())
        });
        // A simulated block of one segment speculates, whatever its policy.
        simulation.config.policy = Policy::Forced(Forced::Speculative);
        if wishes.whole {
            let policies: &[Policy] = match (list, declared) {
                (Some(_), _) => &LISTED,
                (None, Some(_)) => &DECLARED,
                (None, None) => &WHOLE,
            };
            simulation.config.policy = random.pick(policies).copied().unwrap_or_default();
            kind = if kind == FaultKind::Cancel { FaultKind::None } else { kind };
        }
        let fault = match kind {
            FaultKind::None => Fault::Never,
            FaultKind::Cancel => {
                simulation.options.cancel_at = Some(random.below(CANCEL_WITHIN));
                Fault::Never
            }
            FaultKind::Read | FaultKind::ReadOnce | FaultKind::Panic => {
                random_fault(&mut random, kind, &case, simulation.config.engine.mode)
            }
        };
        let may_hint = list.is_none() && declared.is_none();
        let hint = (may_hint && seed % 4 == 1).then_some(match seed % 8 {
            1 => ListWish::Right,
            _ => ListWish::Spoiled(seed),
        });
        let whole = wishes.whole;
        Self { seed, case, kind, fault, simulation, whole, list, hint, declared }
    }

    /// Returns the executor's configuration and the schedule that `seed` determines, for any block.
    #[must_use]
    pub fn choices(seed: u64, wishes: &Wishes) -> Simulation {
        random_choices(&mut Random::new(seed), wishes)
    }
}

fn random_choices(random: &mut Random, wishes: &Wishes) -> Simulation {
    let workers = random.pick(&[1, 2, 2, 3, 3, 4, 8]).copied().unwrap_or(2);
    let workers = wishes.workers.map_or(workers, NonZeroU16::get);
    let config = random_config(random, workers);
    Simulation::new(config, random_options(random, workers))
}

/// Draws a kind of fault. Half of the blocks have none if [`FaultKind::None`] is among `kinds`.
fn random_kind(random: &mut Random, kinds: &[FaultKind]) -> FaultKind {
    if random.chance(1, 2) && kinds.contains(&FaultKind::None) {
        return FaultKind::None;
    }
    random.pick(kinds).copied().unwrap_or(FaultKind::None)
}

fn random_config(random: &mut Random, workers: u16) -> Config {
    let workers = NonZeroU16::new(workers).unwrap_or(NonZeroU16::MIN);
    let mut config = Config::with_workers(workers);
    config.engine.mode = if random.chance(1, 2) { Mode::Build } else { Mode::Validate };
    config.policy = match random.below(8) {
        0 => Policy::Sequential,
        1 => Policy::Auto,
        _ => Policy::Forced(Forced::Speculative),
    };
    config.engine.max_speculative_runs = 1 + u32::from(random.small(4));
    config.engine.window_per_worker = random.pick(&[1, 2, 8, 64]).copied().unwrap_or(64);
    config.engine.chunk = random
        .pick(&[None, None, Some(1), Some(2), Some(3), Some(8)])
        .copied()
        .flatten()
        .and_then(NonZeroU32::new);
    config.engine.share_journals = random.chance(3, 4);
    config.engine.patience = random.pick(&[0, 1, 50_000, 400_000]).copied().unwrap_or(0);
    config.engine.cache_keccak = config.engine.patience != 1;
    config.access_list = config.engine.patience != 50_000;
    config
}

fn random_options(random: &mut Random, workers: u16) -> Options {
    let mut options = Options::new(workers, random.next_u64());
    options.step_limit = STEP_LIMIT;
    options.schedule = match random.below(8) {
        0 => Schedule::VirtualTime(COSTS),
        1 | 2 => Schedule::Bursts(1 + random.below(60)),
        3 | 4 => Schedule::Priorities(1 + u32::from(random.small(6))),
        _ => Schedule::Random,
    };
    options
}

/// Draws a fault that most likely occurs: sequential execution makes the read, or might.
fn random_fault(random: &mut Random, kind: FaultKind, case: &Case, mode: Mode) -> Fault {
    let reads = Faults::new(Fault::Never);
    let sound = reads.of(case.database());
    // Only the reads matter here, not the result.
    let _ = catch_unwind(AssertUnwindSafe(|| match mode {
        Mode::Validate => sequential::execute(&(&case.block).into(), &sound).is_ok(),
        Mode::Build => sequential::build(&(&case.block).into(), &sound).is_ok(),
    }));
    if kind == FaultKind::ReadOnce {
        let read = random.below(reads.reads() + 4);
        return if random.chance(1, 2) { Fault::Once(read) } else { Fault::From(read) };
    }
    let mut places: Vec<Read> = reads.asked().into_iter().collect();
    // Speculation may read values that sequential execution never reads, and no result may depend
    // on them.
    places.extend(case.accounts.keys().map(|address| Read::Account(*address)));
    // Braid always reads the beneficiary; sequential execution may end before.
    places.retain(|place| {
        kind != FaultKind::Panic || *place != Read::Account(case.block.env.beneficiary)
    });
    match (random.pick(&places).copied(), kind) {
        (Some(place), FaultKind::Panic) => Fault::PanicAt(place),
        (Some(place), _) => Fault::At(place),
        (None, _) => Fault::Never,
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (block, config) = (&self.case.block, &self.simulation.config);
        write!(f, "seed {}: {:?}, ", self.seed, block.cfg.spec)?;
        write!(f, "{} transactions, {:?}, ", block.transactions.len(), config.engine.mode)?;
        write!(f, "{:?}, {} workers, ", config.policy, self.simulation.options.workers)?;
        match (&self.fault, self.simulation.options.cancel_at) {
            (_, Some(step)) => write!(f, "cancelled at step {step}, ")?,
            (Fault::Never, None) => f.write_str("no fault, ")?,
            (fault, None) => write!(f, "{fault:?}, ")?,
        }
        if let Some(list) = self.list {
            write!(f, "list {list:?}, ")?;
        }
        if let Some(declared) = self.declared {
            write!(f, "declared {declared:?}, ")?;
        }
        match self.simulation.options.schedule {
            Schedule::VirtualTime(_) => f.write_str("virtual time"),
            ref schedule => write!(f, "{schedule:?}"),
        }
    }
}
