//! What a seed stands for.

use crate::hooked::Read;
use crate::hostile::declared::honest;
use crate::hostile::faulty::{Fault, Faults};
use crate::hostile::generate::Case;
use crate::sequential;
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{Costs, Options, Schedule};
use braid_evm::{Config, Forced, Mode, Policy, Simulation};
use clap::ValueEnum;
use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Steps within which a block is cancelled; most end within half of that.
const CANCEL_WITHIN: u64 = 3_000;
/// Steps that no block of the generator comes near.
const STEP_LIMIT: u64 = 2_000_000;

/// Ways in which a whole block may run.
const WHOLE: [Policy; 7] = [
    Policy::Auto,
    Policy::InOrder,
    Policy::Forced(Forced::Alternate),
    Policy::Forced(Forced::Neighbours),
    Policy::Forced(Forced::Neighbours),
    Policy::Forced(Forced::Groups),
    Policy::Forced(Forced::Groups),
];

/// Ways in which a whole block with an access list may run.
const LISTED: [Policy; 7] = [
    Policy::Auto,
    Policy::InOrder,
    Policy::Forced(Forced::AccessList),
    Policy::Forced(Forced::AccessList),
    Policy::Forced(Forced::AccessList),
    Policy::Forced(Forced::Neighbours),
    Policy::Forced(Forced::Speculative),
];

/// Ways in which a whole block may run whose transactions declare what they access.
const DECLARED: [Policy; 7] = [
    Policy::Auto,
    Policy::Auto,
    Policy::Forced(Forced::Declared),
    Policy::Forced(Forced::Declared),
    Policy::Forced(Forced::Declared),
    Policy::Forced(Forced::Groups),
    Policy::Forced(Forced::Speculative),
];

/// Virtual time of the steps, in nanoseconds: roughly what they take on a server.
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

/// What goes wrong in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum FaultKind {
    /// Nothing
    None,
    /// One account, slot, code or hash cannot be read
    Read,
    /// Only one read fails, or all from it on
    ReadOnce,
    /// The database panics when it is asked for one account, slot, code or hash
    Panic,
    /// The caller cancels the block
    Cancel,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::None, Self::Read, Self::ReadOnce, Self::Panic, Self::Cancel];
}

/// What scenarios may be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// Workers; `None` for 1 to 8, as the seed decides.
    pub workers: Option<NonZeroU16>,
    /// Kinds of faults that may occur; an empty list means [`FaultKind::None`].
    pub faults: Vec<FaultKind>,
    /// Whether the executor runs whole, as it ships - in parts, in lanes, with a bundle thread, with workers that
    /// share the bundle - and not only what shares a store. It is not cancelled then.
    pub whole: bool,
    /// Whether valid blocks come with their access lists, most of them spoiled. Nothing else goes wrong then but
    /// that the caller cancels a block.
    pub lists: bool,
    /// Whether transactions declare what they access, some of them wrongly. They are built then, and nothing goes
    /// wrong. Not beside `lists`.
    pub declared: bool,
}

impl Default for Wishes {
    fn default() -> Self {
        let (workers, faults) = (None, FaultKind::ALL.into());
        Self { workers, faults, whole: false, lists: false, declared: false }
    }
}

/// One random block with its choices, its fault and its schedule.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// The block and the state before it.
    pub case: Case,
    /// What goes wrong, by kind.
    pub kind: FaultKind,
    /// When the database fails.
    pub fault: Fault,
    /// Choices of the executor, workers and schedule.
    pub simulation: Simulation,
    /// See [`Wishes::whole`].
    pub whole: bool,
    /// See [`Wishes::lists`].
    pub list: Option<ListWish>,
    /// A list that a valid block has as a hint, with other indices if that is spoiled: every fourth block that comes
    /// with none has one.
    pub hint: Option<ListWish>,
    /// See [`Wishes::declared`].
    pub declared: Option<DeclaredWish>,
}

/// What transactions declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclaredWish {
    /// All that they access: nothing is run twice.
    Honest,
    /// What some of them access, and less than that, as follows from a seed.
    Spoiled(u64),
}

/// The access list that a valid block comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListWish {
    /// Its own.
    Right,
    /// Its own, with something that follows from a seed changed.
    Spoiled(u64),
}

impl Scenario {
    /// The scenario of `seed`, within what `wishes` leave open.
    #[must_use]
    pub fn new(seed: u64, wishes: &Wishes) -> Self {
        let mut case = Case::from_seed(seed);
        let mut random = Random::new(seed);
        let mut simulation = random_choices(&mut random, wishes);
        let mut kind = random_kind(&mut random, &wishes.faults);
        let list = wishes.lists.then(|| {
            simulation.config.mode = Mode::Validate;
            kind = if kind == FaultKind::Cancel { kind } else { FaultKind::None };
            match random.chance(1, 4) {
                true => ListWish::Right,
                false => ListWish::Spoiled(random.next_u64()),
            }
        });
        let declared = (wishes.declared && !wishes.lists).then(|| {
            (simulation.config.mode, kind) = (Mode::Build, FaultKind::None);
            if random.chance(1, 3) {
                case = honest(&mut |end| random.below(end as u64) as usize);
                return DeclaredWish::Honest;
            }
            DeclaredWish::Spoiled(random.next_u64())
        });
        if wishes.whole {
            let policies = match (list, declared) {
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
                random_fault(&mut random, kind, &case, simulation.config.mode)
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

    /// The choices of the executor and the schedule that `seed` decides, for any block.
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

/// Half of the blocks stay whole, if none of the kinds is wished for too.
fn random_kind(random: &mut Random, kinds: &[FaultKind]) -> FaultKind {
    if random.chance(1, 2) && kinds.contains(&FaultKind::None) {
        return FaultKind::None;
    }
    random.pick(kinds).copied().unwrap_or(FaultKind::None)
}

fn random_config(random: &mut Random, workers: u16) -> Config {
    let workers = NonZeroU16::new(workers).unwrap_or(NonZeroU16::MIN);
    let mut config = Config::with_workers(workers);
    config.mode = if random.chance(1, 2) { Mode::Build } else { Mode::Validate };
    config.policy = match random.below(8) {
        0 => Policy::InOrder,
        1 => Policy::Auto,
        _ => Policy::Forced(Forced::Speculative),
    };
    config.max_speculative_runs = 1 + u32::from(random.small(4));
    config.window_per_worker = random.pick(&[1, 2, 8, 64]).copied().unwrap_or(64);
    config.chunk = random
        .pick(&[None, None, Some(1), Some(2), Some(3), Some(8)])
        .copied()
        .flatten()
        .and_then(NonZeroU32::new);
    config.share_journals = random.chance(3, 4);
    config.patience = random.pick(&[0, 1, 50_000, 400_000]).copied().unwrap_or(0);
    config.cache_keccak = config.patience != 1;
    config.access_list = config.patience != 50_000;
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

/// A fault that most likely strikes: sequential execution meets it, or might.
fn random_fault(random: &mut Random, kind: FaultKind, case: &Case, mode: Mode) -> Fault {
    let reads = Faults::new(Fault::Never);
    let sound = reads.of(case.database());
    // What it comes to does not matter here, only what it reads.
    let _ = catch_unwind(AssertUnwindSafe(|| match mode {
        Mode::Validate => sequential::execute(&(&case.block).into(), &sound).is_ok(),
        Mode::Build => sequential::build(&(&case.block).into(), &sound).is_ok(),
    }));
    if kind == FaultKind::ReadOnce {
        let read = random.below(reads.reads() + 4);
        return if random.chance(1, 2) { Fault::Once(read) } else { Fault::From(read) };
    }
    let mut places: Vec<Read> = reads.asked().into_iter().collect();
    // Speculation may ask for what the real order never does, and no result may show it.
    places.extend(case.accounts.keys().map(|address| Read::Account(*address)));
    // Braid looks at the beneficiary in any case; sequential execution may not get to it.
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
        write!(f, "{} transactions, {:?}, ", block.transactions.len(), config.mode)?;
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
