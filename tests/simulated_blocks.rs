//! Random hostile blocks under seeded schedules of the simulated runtime, with the real EVM and
//! with faults, compared with sequential execution.
//!
//! A failure prints its seed. `braid-lab sim --blocks 1 --seed <seed>` replays it;
//! `BRAID_SIM_RUNS=10` runs ten times as many.

use crate::support::chosen::is_chosen;
use braid_blocks::memory::MemoryAccount;
#[cfg(feature = "mutants")]
use braid_evm::mutants::{Bug, seed};
use braid_evm::{Forced, Policy, Stats, evm_simulator};
use braid_testkit::simulation::{DeclaredWish, Ending, FaultKind, Judged, Scenario, Wishes, judge};
use std::collections::BTreeMap;

/// Number of seeds per multiple.
const SEEDS: u64 = 2_000;

/// Counts of occurrences, to make sure that the schedules reach them.
#[derive(Debug, Default)]
struct Seen {
    endings: BTreeMap<Ending, u64>,
    stats: Stats,
    steps: u64,
    /// Faults of the database that no result shows, because only speculative runs met them.
    dropped: u64,
    /// Blocks with a list as a hint.
    hinted: u64,
}

impl Seen {
    fn note(&mut self, ending: Ending, judged: &Judged) {
        *self.endings.entry(ending).or_default() += 1;
        self.steps += judged.step_count;
        self.hinted += u64::from(judged.has_hint);
        self.stats.incarnations += judged.stats.incarnations;
        self.stats.transactions += judged.stats.transactions;
        self.stats.aborts += judged.stats.aborts;
        self.stats.estimate_reads += judged.stats.estimate_reads;
        self.stats.speculative_commits += judged.stats.speculative_commits;
        self.stats.claims += judged.stats.claims;
        self.stats.helped_transactions += judged.stats.helped_transactions;
        if ending == Ending::Complete {
            self.dropped += judged.faults;
        }
    }
}

#[test]
fn blocks_under_random_schedules_equal_sequential_execution() {
    let multiple = std::env::var("BRAID_SIM_RUNS").ok().and_then(|runs| runs.parse::<u64>().ok());
    let seeds = SEEDS * multiple.unwrap_or(1);
    let (mut simulator, wishes, mut seen) = (evm_simulator(), Wishes::default(), Seen::default());
    for seed in 0..seeds {
        let scenario = Scenario::new(seed, &wishes);
        let judged = judge(&mut simulator, &scenario);
        match &judged.verdict {
            Ok(ending) => seen.note(*ending, &judged),
            Err(wrong) => panic!("braid-lab sim --blocks 1 --seed {seed}: {wrong}\n{scenario}"),
        }
    }
    println!("{seeds} schedules: {seen:?}");
    for ending in Ending::ALL {
        assert!(seen.endings.contains_key(&ending), "{ending:?} never occurred");
    }
    for (name, count) in [
        ("aborted", seen.stats.aborts),
        ("blocked", seen.stats.estimate_reads),
        ("speculative", seen.stats.speculative_commits),
        ("claims", seen.stats.claims),
        ("taken over", seen.stats.helped_transactions),
        ("dropped faults", seen.dropped),
        ("hints", seen.hinted),
    ] {
        assert!(count > 0, "{name} never occurred: {seen:?}");
    }
}

#[test]
fn the_same_seed_takes_the_same_steps() {
    let mut simulator = evm_simulator();
    for seed in 0..60 {
        let mut once = || {
            let mut scenario = Scenario::new(seed, &Wishes::default());
            scenario.simulation.options.keep_steps = true;
            judge(&mut simulator, &scenario)
        };
        let (first, second) = (once(), once());
        assert_eq!(first.verdict, second.verdict, "seed {seed}");
        assert_eq!(first.steps, second.steps, "seed {seed}");
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert_eq!(first.stats, second.stats, "seed {seed}");
        assert_eq!(first.step_count, second.step_count, "seed {seed}");
    }
}

#[test]
fn wishes_are_granted() {
    let faults = vec![FaultKind::Cancel];
    let wishes = Wishes { workers: 5.try_into().ok(), faults, ..Wishes::default() };
    for seed in 0..20 {
        let scenario = Scenario::new(seed, &wishes);
        assert_eq!(scenario.simulation.options.workers, 5);
        assert!(scenario.simulation.options.cancel_at.is_some());
        assert!(scenario.to_string().contains("cancelled at step"));
    }
}

/// The shipped executor, with everything around the workers that share a store.
fn whole(seed: u64) -> Scenario {
    Scenario::new(seed, &Wishes { whole: true, ..Wishes::default() })
}

#[test]
fn whole_blocks_under_random_schedules_equal_sequential_execution() {
    let multiple = std::env::var("BRAID_SIM_RUNS").ok().and_then(|runs| runs.parse::<u64>().ok());
    let seeds = SEEDS * multiple.unwrap_or(1);
    let (mut simulator, mut batches, mut helped) = (evm_simulator(), 0, 0);
    let mut endings = BTreeMap::new();
    for seed in 0..seeds {
        let scenario = whole(seed);
        let judged = judge(&mut simulator, &scenario);
        match &judged.verdict {
            Ok(ending) => *endings.entry(*ending).or_insert(0) += 1,
            Err(wrong) => {
                panic!("braid-lab sim --whole --blocks 1 --seed {seed}: {wrong}\n{scenario}")
            }
        }
        batches += judged.stats.contiguous_batches;
        helped += judged.stats.helped_batches;
    }
    println!("{seeds} schedules: {endings:?}, {batches} batches, {helped} of them helped");
    assert!(batches > seeds / 10 && helped > 0, "{batches} batches, {helped} of them helped");
    // These blocks are not cancelled.
    assert_eq!(endings.len(), Ending::ALL.len() - 1, "{endings:?}");
}

/// Blocks with right or wrong access lists.
fn listed(seed: u64) -> Scenario {
    let wishes = Wishes { whole: !seed.is_multiple_of(4), lists: true, ..Wishes::default() };
    Scenario::new(seed, &wishes)
}

#[test]
fn blocks_with_lists_under_random_schedules_equal_sequential_execution() {
    let multiple = std::env::var("BRAID_SIM_RUNS").ok().and_then(|runs| runs.parse::<u64>().ok());
    let seeds = SEEDS * multiple.unwrap_or(1);
    let (mut simulator, mut parts) = (evm_simulator(), 0);
    let (mut lists, mut endings) = (BTreeMap::new(), BTreeMap::new());
    for seed in 0..seeds {
        let scenario = listed(seed);
        let whole = if scenario.whole { " --whole" } else { "" };
        let judged = judge(&mut simulator, &scenario);
        match &judged.verdict {
            Ok(ending) => *endings.entry(*ending).or_insert(0) += 1,
            Err(wrong) => {
                panic!("braid-lab sim --lists{whole} --blocks 1 --seed {seed}: {wrong}\n{scenario}")
            }
        }
        *lists.entry(judged.lists).or_insert(0) += 1;
        let told = scenario.simulation.config.policy == Policy::Forced(Forced::AccessList);
        parts += if told { judged.stats.contiguous_batches } else { 0 };
    }
    println!("{seeds} schedules: {endings:?}, {lists:?}, {parts} parts that a list tells");
    for ending in [Ending::Complete, Ending::Invalid, Ending::Cancelled] {
        assert!(endings.contains_key(&ending), "{ending:?} never occurred");
    }
    let [right, wrong] =
        [Some(true), Some(false)].map(|kind| lists.get(&kind).copied().unwrap_or(0));
    assert!(right > seeds / 20 && wrong > seeds / 10 && parts > seeds / 10, "{lists:?}, {parts}");
}

/// Blocks with complete or incomplete declarations.
fn declared(seed: u64) -> Scenario {
    let whole = !seed.is_multiple_of(6);
    Scenario::new(seed, &Wishes { whole, declared: true, ..Wishes::default() })
}

#[test]
fn declared_blocks_under_random_schedules_equal_sequential_execution() {
    let multiple = std::env::var("BRAID_SIM_RUNS").ok().and_then(|runs| runs.parse::<u64>().ok());
    let seeds = SEEDS / 2 * multiple.unwrap_or(1);
    let (mut simulator, mut left, mut honest) = (evm_simulator(), 0, 0);
    let (mut parts, mut speculative) = (0, 0);
    for seed in 0..seeds {
        let scenario = declared(seed);
        let whole = if scenario.whole { " --whole" } else { "" };
        let judged = judge(&mut simulator, &scenario);
        if let Err(wrong) = &judged.verdict {
            panic!("braid-lab sim --declared{whole} --blocks 1 --seed {seed}: {wrong}\n{scenario}");
        }
        left += judged.undeclared;
        if scenario.declared == Some(DeclaredWish::Honest) {
            honest += judged.stats.transactions;
            parts += judged.stats.contiguous_batches;
            speculative += judged.stats.speculative_commits;
        }
    }
    println!("{seeds} schedules: {left} left, {honest} honest, {parts} parts, {speculative}");
    assert!(left as u64 > seeds && honest > 10 * seeds, "{left} left, {honest} honest");
    assert!(parts > seeds / 10 && speculative > seeds, "{parts} parts, {speculative} speculative");
}

#[cfg(feature = "mutants")]
fn any(seed: u64) -> Scenario {
    Scenario::new(seed, &Wishes::default())
}

/// A block whose beneficiary exists and is empty: a transaction that pays it reads it, and that
/// read may fail after the transaction itself has failed.
fn with_empty_beneficiary(seed: u64) -> Scenario {
    let mut scenario = Scenario::new(seed, &Wishes::default());
    let beneficiary = scenario.case.block.env.beneficiary;
    scenario.case.accounts.insert(beneficiary, MemoryAccount::default());
    scenario
}

#[test]
fn empty_beneficiaries_are_paid_as_in_sequential_execution() {
    let mut simulator = evm_simulator();
    for seed in 0..SEEDS / 4 {
        let scenario = with_empty_beneficiary(seed);
        let judged = judge(&mut simulator, &scenario);
        judged.verdict.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}\n{scenario}"));
    }
}

/// Returns the first seed at which a block gives a wrong result with this bug.
#[cfg(feature = "mutants")]
fn noticed(bug: Bug, scenario: fn(u64) -> Scenario) -> Option<String> {
    let (_bug, mut simulator) = (seed(bug), evm_simulator());
    (0..SEEDS).find_map(|seed| {
        let judged = judge(&mut simulator, &scenario(seed));
        judged.verdict.err().map(|difference| format!("seed {seed}: {difference}"))
    })
}

/// Bugs of the engine that affect results are noticed with the real EVM too.
#[cfg(feature = "mutants")]
#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn seeded_bugs_of_the_engine_are_noticed() {
    let bugs = [
        Bug::SkipOneRead,
        Bug::AnyValueValid,
        Bug::FoldPastValue,
        Bug::ReadsOwnIndex,
        Bug::SkipValidation,
        Bug::CommitSkipsOne,
        Bug::SpeculativeError,
        Bug::SkipKeepsEntries,
        Bug::AdmissionSkipped,
    ];
    for bug in bugs.into_iter().filter(|bug| is_chosen(&format!("{bug:?}"))) {
        let noticed = noticed(bug, any);
        println!("{bug:?}: {noticed:?}");
        assert!(noticed.is_some(), "{bug:?} survived");
    }
}

/// So are bugs of the Ethereum layer whose rows in docs/data/seeded_bugs.tsv name this test.
#[cfg(feature = "mutants")]
#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn seeded_bugs_of_the_ethereum_layer_are_noticed() {
    let mut judged = 0;
    for (bug, killers) in crate::support::evm_rows() {
        for killer in killers.iter().filter(|killer| killer.starts_with("simulated blocks")) {
            let scenario = match killer.as_str() {
                "simulated blocks" => any,
                "simulated blocks with lists" => listed,
                "simulated blocks of whole executors" => whole,
                "simulated blocks with declarations" => declared,
                "simulated blocks with an empty beneficiary" => with_empty_beneficiary,
                _ => panic!("{bug:?}: there are no {killer}"),
            };
            judged += 1;
            if !is_chosen(&format!("{bug:?}")) {
                continue;
            }
            let noticed = noticed(bug, scenario);
            println!("{bug:?}: {noticed:?}");
            assert!(noticed.is_some(), "{bug:?} survived {killer}");
        }
    }
    assert!(judged >= 12, "only {judged} rows name simulated blocks");
}
