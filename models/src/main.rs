//! Explores every suite and prints what it saw.
//!
//! Without an argument: every block of three transactions over three locations on three workers.
//! `long`: blocks of four transactions too. `web`: stateright's explorer on this machine, for
//! stepping through small blocks.

use braid_models::{BlockModel, Explored, explore, full_suites, long_suites, suites};
use stateright::Model;
use std::process::ExitCode;
use std::time::Instant;

/// Where the explorer listens.
const ADDRESS: &str = "127.0.0.1:3000";
/// Workers of the explored blocks.
const WORKERS: usize = 3;
/// States below which something must have gone wrong with the models themselves.
const LEAST_STATES: usize = 10_000_000;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => explore_all(full_suites()),
        Some("long") => explore_all(long_suites()),
        Some("web") => serve(),
        Some(other) => {
            eprintln!("no size {other}: none, long or web");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> ExitCode {
    let scenarios = suites().into_iter().flat_map(|suite| suite.scenarios).collect();
    println!("http://{ADDRESS}/ steps through small blocks; end it with Ctrl-C");
    BlockModel::new(scenarios, 2).checker().serve(ADDRESS);
    ExitCode::SUCCESS
}

fn explore_all(suites: Vec<braid_models::Suite>) -> ExitCode {
    let mut all = Explored::default();
    for suite in suites {
        let begun = Instant::now();
        let explored = explore(&suite, WORKERS);
        println!(
            "{:<20} {:>7} blocks {:>10} states {:>10} steps, depth {:>3}, {:>6.1} s",
            suite.name,
            explored.blocks,
            explored.states,
            explored.steps,
            explored.depth,
            begun.elapsed().as_secs_f64()
        );
        all.add(explored);
        if !all.broken.is_empty() {
            break;
        }
    }
    all.broken.iter().for_each(|broken| println!("BROKEN: {broken}"));
    let missing: Vec<_> = all.wanted.difference(&all.occurred).collect();
    println!("{} states in all; occurred: {:?}", all.states, all.occurred);
    if !missing.is_empty() {
        println!("NEVER OCCURRED: {missing:?}");
    }
    if all.states < LEAST_STATES {
        println!("TOO FEW STATES: {} of {LEAST_STATES}", all.states);
    }
    let right = all.broken.is_empty() && missing.is_empty() && all.states >= LEAST_STATES;
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
