//! Each seeded bug of the protocol is noticed by the rung that the table names, and the shipped
//! protocol by none.

use braid_evm::mv::{Store, StoreMutant};
use braid_evm::protocol::Mutant;
use braid_evm::runtime::simulated::{Options, Schedule, Simulator};
use braid_evm::toy::{Random, ToyCase, compare};
use braid_models::{BlockModel, suites};
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;

/// Simulated blocks per seeded bug, at most.
const SEEDS: u64 = 5_000;

/// The first rule that exploring all suites with `mutant` breaks.
fn broken_in_models(mutant: Mutant) -> Option<&'static str> {
    let mut suites = suites();
    suites.sort_by_key(|suite| suite.scenarios.len());
    suites.into_iter().find_map(|suite| {
        let model = BlockModel::new(suite.scenarios, 2).with_mutant(mutant);
        let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
        let broken = checker
            .discoveries()
            .into_keys()
            .find(|name| checker.discovery_classification(name).to_string() == "counterexample");
        broken.inspect(|name| println!("{mutant:?}: suite {:?}, {name}", suite.name))
    })
}

/// The first seed at which a simulated block with these bugs goes wrong.
fn broken_in_simulation(mutant: Mutant, store_mutant: StoreMutant, seeds: u64) -> Option<u64> {
    let mut simulator = Simulator::new();
    (0..seeds).find(|seed| {
        let mut random = Random::new(*seed);
        let case = ToyCase::random(&mut random);
        let mut options = Options::new(1 + u16::from(random.small(4)), random.next_u64());
        options.step_limit = 100_000;
        if random.chance(1, 2) {
            options.schedule = Schedule::Bursts(20);
        }
        options.cancel_at = random.chance(1, 8).then(|| random.below(1_500));
        let protocol = case.protocol().with_mutant(mutant);
        let store = Store::new(case.shards).with_mutant(store_mutant);
        let cap = case.limits.max_speculative_runs;
        let wrong = match simulator.run(case.shared_with(protocol, store), &options) {
            Ok(ended) => {
                compare(&ended.end, &case.reference(), cap).map_err(|mismatch| mismatch.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(what) = &wrong {
            println!("{mutant:?}, {store_mutant:?}: seed {seed}: {what}");
        }
        wrong.is_err()
    })
}

#[test]
fn the_models_notice_every_seeded_bug_of_the_protocol() {
    let mut survivors = BTreeSet::new();
    for &mutant in Mutant::ALL {
        // The passing of the role is checked by loom, and by nobody else.
        if mutant != Mutant::RoleNotLookedAgain && broken_in_models(mutant).is_none() {
            survivors.insert(format!("{mutant:?}"));
        }
    }
    assert!(survivors.is_empty(), "survived: {survivors:?}");
}

/// The bugs that change results, the end of a block or its work; the others only waste time or
/// break a rule that no outcome shows.
#[test]
fn the_simulator_notices_the_bugs_that_show_from_outside() {
    for mutant in [
        Mutant::SkipValidation,
        Mutant::CommitSkipsOne,
        Mutant::Uncapped,
        Mutant::SpeculativeError,
        Mutant::SkipKeepsEntries,
        Mutant::AdmissionSkipped,
        Mutant::CapacityIgnored,
    ] {
        let seed = broken_in_simulation(mutant, StoreMutant::None, SEEDS);
        assert!(seed.is_some(), "{mutant:?} survived");
    }
    for mutant in [
        StoreMutant::SkipOneRead,
        StoreMutant::StampReused,
        StoreMutant::FoldPastValue,
        StoreMutant::ReadsOwnIndex,
        StoreMutant::ScopeIgnored,
        StoreMutant::AnyValueValid,
        StoreMutant::ScopeSilent,
        StoreMutant::HintLost,
    ] {
        let seed = broken_in_simulation(Mutant::None, mutant, SEEDS);
        assert!(seed.is_some(), "{mutant:?} survived");
    }
}

#[test]
fn the_simulator_finds_nothing_wrong_with_the_shipped_engine() {
    assert_eq!(broken_in_simulation(Mutant::None, StoreMutant::None, SEEDS), None);
}
