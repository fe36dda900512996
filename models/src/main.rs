//! Explores every suite and prints the results.
//!
//! It starts with two shards and every order of three transactions, and continues with blocks:
//!
//! - without an argument, every block of three transactions over three locations on three workers;
//! - `sample`: one in thirteen of these blocks, and all of the small suites;
//! - `long`: also blocks of four transactions;
//! - `web`: serves stateright's explorer on this machine, to step through small blocks.

use braid_models::{
    BlockModel, Exploration, Suite, explore, explore_shards, full_suites, long_suites,
    shard_orders, suites,
};
use stateright::Model;
use std::process::ExitCode;
use std::time::Instant;

/// Address of the explorer.
const ADDRESS: &str = "127.0.0.1:3000";
/// Number of workers in the explored blocks.
const WORKERS: usize = 3;
/// Minimum number of states. Fewer states mean that the models themselves are wrong.
const LEAST_STATES: usize = 10_000_000;
/// The sample has one in this many blocks of the exhaustive suites. It is a prime, because variants
/// of a block follow each other.
const SAMPLED: usize = 13;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => explore_all(full_suites(), LEAST_STATES),
        Some("sample") => explore_all(sample(full_suites()), LEAST_STATES / SAMPLED),
        Some("long") => explore_all(long_suites(), LEAST_STATES),
        Some("web") => serve(),
        Some(other) => {
            eprintln!("no size {other}: none, sample, long or web");
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

/// Explores all orders of two shards.
fn explore_orders() -> Exploration {
    let begun = Instant::now();
    let explored = explore_shards(&shard_orders());
    println!(
        "{:<20} {:>7} orders {:>10} states {:>10} steps, depth {:>3}, {:>6.1} s",
        "two shards",
        explored.blocks,
        explored.states,
        explored.steps,
        explored.depth,
        begun.elapsed().as_secs_f64()
    );
    explored
}

/// Keeps every [`SAMPLED`]th block of the exhaustive suites, and all blocks of other suites.
fn sample(mut suites: Vec<Suite>) -> Vec<Suite> {
    for suite in suites.iter_mut().filter(|suite| suite.name.starts_with("every")) {
        suite.scenarios =
            core::mem::take(&mut suite.scenarios).into_iter().step_by(SAMPLED).collect();
    }
    suites
}

fn explore_all(suites: Vec<Suite>, least: usize) -> ExitCode {
    let mut all = explore_orders();
    let suites = if all.broken.is_empty() { suites } else { Vec::new() };
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
    let missing: Vec<_> = all.expected.difference(&all.occurred).collect();
    println!("{} states in all; occurred: {:?}", all.states, all.occurred);
    if !missing.is_empty() {
        println!("NEVER OCCURRED: {missing:?}");
    }
    if all.states < least {
        println!("TOO FEW STATES: {} of {least}", all.states);
    }
    let right = all.broken.is_empty() && missing.is_empty() && all.states >= least;
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
