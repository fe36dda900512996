//! Each seeded bug is noticed by the simulation where docs/data/shard_bugs.tsv says so, and nothing else is.

use crate::toy::{differs, scene};
use braid_shards::{Options, ShardMutant, simulate_mutant};

/// Orders for each bug, at most.
const SEEDS: u64 = 2_000;
/// A bug that stops everything need not be waited for as long as a right run may take.
const MOST_EVENTS: u64 = 30_000;

/// The first seed at which something is wrong with `mutant`, and what.
fn noticed(mutant: ShardMutant) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| {
        let (agreed, base, entries) = scene(seed);
        // Right runs of this length are rare, and are left out.
        let options = Options { most_events: MOST_EVENTS, ..Options::faulty(seed) };
        let is_long = || simulate_mutant(&agreed, &base, options, ShardMutant::None).is_err();
        let wrong = match simulate_mutant(&agreed, &base, options, mutant) {
            Err(error) => Some(error.to_string()),
            Ok(simulated) => differs(&agreed, &base, &entries, &simulated),
        };
        wrong.filter(|_| !is_long()).map(|wrong| (seed, wrong))
    })
}

/// Names of the bugs that the table says the simulation notices.
fn listed() -> Vec<String> {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/data/shard_bugs.tsv");
    let table = std::fs::read_to_string(table).expect("the table is there");
    let rows = table.lines().filter(|line| line.contains("simulation"));
    rows.filter_map(|row| row.split('`').nth(1)).map(str::to_owned).collect()
}

#[test]
fn the_simulation_notices_what_the_table_says() {
    let listed = listed();
    assert!(listed.len() >= 10, "{listed:?}");

    let mut survivors = Vec::new();
    for mutant in ShardMutant::ALL {
        let noticed = noticed(mutant);
        println!("{mutant:?}: {noticed:?}");
        if noticed.is_some() != listed.contains(&format!("{mutant:?}")) {
            survivors.push(mutant);
        }
    }
    assert!(survivors.is_empty(), "the table is wrong about {survivors:?}");
}

#[test]
fn nothing_is_wrong_without_a_bug() {
    assert_eq!(noticed(ShardMutant::None), None);
}
