//! Explores every suite and prints what it saw.

use braid_models::{BlockModel, suites};
use stateright::{Checker, HasDiscoveries, Model};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut right = true;
    for suite in suites() {
        let begun = Instant::now();
        let blocks = suite.scenarios.len();
        let model = BlockModel::new(suite.scenarios, 2);
        let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
        let (states, unique) = (checker.state_count(), checker.unique_state_count());
        let depth = checker.max_depth();
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{:<14} {blocks:>5} blocks {unique:>9} states {states:>9} steps, depth {depth:>3}, {seconds:>6.1} s",
            suite.name
        );
        for (name, path) in checker.discoveries() {
            if checker.discovery_classification(name).to_string() == "counterexample" {
                right = false;
                println!("BROKEN: {name}\n{path}");
            }
        }
    }
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
