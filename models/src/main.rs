//! Explores every suite and prints what it saw. With the argument `long`: with three workers, and
//! with faults in every pattern.

use braid_models::{BlockModel, long_suites, suites};
use stateright::{Checker, HasDiscoveries, Model};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let long = std::env::args().nth(1).is_some_and(|size| size == "long");
    let (suites, workers) = if long { (long_suites(), 3) } else { (suites(), 2) };
    let mut right = true;
    for suite in suites {
        let begun = Instant::now();
        let blocks = suite.scenarios.len();
        let model = BlockModel::new(suite.scenarios, workers);
        let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
        let (states, unique) = (checker.state_count(), checker.unique_state_count());
        let depth = checker.max_depth();
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{:<14} {blocks:>6} blocks {unique:>9} states {states:>9} steps, depth {depth:>3}, \
             {seconds:>6.1} s",
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
