//! Each seeded bug of the engine is noticed by the rungs that docs/data/seeded_bugs.tsv names,
//! and the shipped engine by none.

#[path = "../../tests/support/chosen.rs"]
mod chosen;
mod support;

use braid_evm::mutants::{Bug, active, seed};
use braid_evm::runtime::simulated::Simulator;
use braid_models::conformance::{Seen, replay};
use braid_models::{BlockModel, suites};
use braid_toy::{compare, publish_rest};
use stateright::{Checker, HasDiscoveries, Model};
use std::path::Path;
use support::rounds::{Totals, play};
use support::{Row, engine_bugs, is_of_batches, is_of_rounds, scene, scripts, table};

/// Simulated blocks per seeded bug, at most.
const SEEDS: u64 = 5_000;

/// The first rule that exploring all suites with the seeded bug breaks.
fn broken_in_models() -> Option<&'static str> {
    let mut suites = suites();
    suites.sort_by_key(|suite| suite.scenarios.len());
    suites.into_iter().find_map(|suite| {
        let model = BlockModel::new(suite.scenarios, 2);
        let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
        let broken = checker
            .discoveries()
            .into_keys()
            .find(|name| checker.discovery_classification(name).to_string() == "counterexample");
        broken.inspect(|name| println!("{:?}: suite {:?}, {name}", active(), suite.name))
    })
}

/// The first seed at which a simulated block with the seeded bug comes to something else.
fn broken_in_simulation(in_batches: bool) -> Option<u64> {
    let mut simulator = Simulator::new();
    (0..SEEDS).find(|seed| {
        let (case, shared, options) = scene(*seed, in_batches);
        let cap = case.limits.max_speculative_runs;
        let wrong = match simulator.run(shared, &options) {
            Ok(mut ended) => {
                publish_rest(&mut ended.end);
                compare(&ended.end, &case.reference(), cap).map_err(|mismatch| mismatch.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(what) = &wrong {
            println!("{:?}: seed {seed}: {what}", active());
        }
        wrong.is_err()
    })
}

/// The first seed at which the trace of a simulated block with the seeded bug is rejected.
fn broken_in_trace(in_batches: bool) -> Option<u64> {
    let mut simulator = Simulator::new();
    (0..SEEDS).find(|seed| {
        let (case, shared, options) = scene(*seed, in_batches);
        // A block that does not end has no trace.
        let Ok(mut ended) = simulator.run(shared.with_trace(), &options) else { return false };
        // One that ends with a broken rule or a lost worker stops in the middle.
        if ended.end.broken.is_some() && !in_batches {
            return false;
        }
        let trace = ended.end.take_trace();
        let judged = replay(&trace, case.limits, &case.plan, &mut Seen::default());
        if let Err(rejected) = &judged {
            println!("{:?}: seed {seed}: {}", active(), rejected.why);
        }
        judged.is_err()
    })
}

/// The first seed at which a block in rounds with the seeded bug goes wrong.
fn broken_in_rounds() -> Option<u64> {
    let mut simulator = Simulator::new();
    (0..SEEDS).find(|seed| {
        let (mut totals, mut seen) = (Totals::default(), Seen::default());
        let wrong = play(&mut simulator, *seed, (&mut totals, &mut seen)).err();
        wrong.inspect(|wrong| println!("{:?}: seed {seed}: {wrong:?}", active())).is_some()
    })
}

/// Every row with its bug.
fn rows() -> Vec<(Row, Bug)> {
    let bugs = engine_bugs();
    let bug = |row: Row| {
        let bug = bugs.iter().find(|bug| format!("{bug:?}") == row.name);
        bug.map(|bug| (row, *bug))
    };
    table().into_iter().filter_map(bug).collect()
}

/// Every bug that a row says this rung notices.
fn notices(rung: &str, broken: impl Fn(Bug) -> bool) {
    let rows = rows();
    let rows: Vec<_> = rows.iter().filter(|(row, _)| row.is_noticed_by(rung)).collect();
    assert!(rows.len() >= 15, "only {} rows for {rung}", rows.len());
    let rows: Vec<_> = rows.into_iter().filter(|(row, _)| chosen::is_chosen(&row.name)).collect();
    println!("{rung}: {} bugs", rows.len());
    let is_noticed = |bug: Bug| {
        let _bug = seed(bug);
        broken(bug)
    };
    let survivors: Vec<_> = rows.iter().filter(|(_, bug)| !is_noticed(*bug)).collect();
    assert!(survivors.is_empty(), "survived {rung}: {survivors:?}");
}

#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn the_models_notice_what_the_table_says() {
    notices("models", |_| broken_in_models().is_some());
}

#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn the_simulator_notices_what_the_table_says() {
    notices("simulation", |bug| broken_in_simulation(is_of_batches(bug)).is_some());
}

#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn traces_are_rejected_as_the_table_says() {
    notices("trace", |bug| {
        if is_of_rounds(bug) {
            return broken_in_rounds().is_some();
        }
        broken_in_trace(is_of_batches(bug)).is_some() || scripts::are_rejected().is_some()
    });
}

/// And a trace of each bug of the store is rejected: that is what replays are for.
#[test]
fn the_table_has_every_bug_once_and_each_is_noticed() {
    let (table, bugs) = (table(), engine_bugs());
    for (index, row) in table.iter().enumerate() {
        assert_eq!(row.number, format!("M{:02}", index + 1), "{row:?}");
        // Those of the Ethereum layer are judged with it.
        let known = bugs.iter().any(|bug| format!("{bug:?}") == row.name) || row.is_of_ethereum();
        assert!(known, "there is no such bug: {row:?}");
        assert_eq!(table.iter().filter(|other| other.name == row.name).count(), 1, "{row:?}");
        assert!(!row.noticed_by.is_empty(), "{row:?}");
    }
    for bug in &bugs {
        let row = table.iter().find(|row| row.name == format!("{bug:?}"));
        let row = row.unwrap_or_else(|| panic!("{bug:?} has no row"));
        let in_store = Bug::STORE.contains(bug);
        // What no engine asks of the conflict index takes a test of its own.
        let is_tried = row.is_noticed_by("trace") || row.is_noticed_by("test of `mv::conflicts`");
        assert!(!in_store || is_tried, "{row:?}");
    }
    println!("{} bugs, {} of the engine", table.len(), bugs.len());
    assert!(table.len() >= 65);
}

/// The loom stories that expect a bug name it.
#[test]
fn loom_rows_have_a_story() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let stories = ["mv/loom_tests.rs", "worker/loom_tests.rs", "worker/loom_batches.rs"]
        .map(|file| std::fs::read_to_string(folder.join(file)).expect("the stories are there"));
    for (row, bug) in rows() {
        let told = stories.iter().any(|story| story.contains(&format!("Bug::{bug:?})")));
        assert_eq!(row.is_noticed_by("loom"), told, "{row:?}");
    }
}

#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn nothing_is_wrong_with_the_shipped_engine() {
    // Where bugs are chosen, the other tests have compared thousands of its blocks.
    if !chosen::is_chosen("") {
        return;
    }
    for in_batches in [false, true] {
        assert_eq!(broken_in_simulation(in_batches), None);
        assert_eq!(broken_in_trace(in_batches), None);
    }
    assert_eq!(broken_in_rounds(), None);
    assert_eq!(scripts::are_rejected(), None);
}
