//! Checks that the simulation notices exactly the seeded bugs for which docs/data/shard_bugs.tsv
//! names it.

use crate::toy::{differs, scene};
use braid_shards::mutants::{Bug, with_bug};
use braid_shards::{Options, simulate};

/// Maximum number of orders for each bug.
const SEEDS: u64 = 2_000;
/// Event limit. A bug that blocks progress is noticed earlier than the longest right run would end.
const MOST_EVENTS: u64 = 30_000;

/// Returns the first seed at which `bug` gives an error, and the error.
fn noticed(bug: Option<Bug>) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| {
        let (agreed, base, entries) = scene(seed);
        // Right runs of this length are rare and ignored.
        let options = Options { most_events: MOST_EVENTS, ..Options::faulty(seed) };
        let is_long = || simulate(&agreed, &base, options).is_err();
        let wrong = match with_bug(bug, || simulate(&agreed, &base, options)) {
            Err(error) => Some(error.to_string()),
            Ok(simulated) => differs(&agreed, &base, &entries, &simulated),
        };
        wrong.filter(|_| !is_long()).map(|wrong| (seed, wrong))
    })
}

/// Returns the bugs that the simulation notices according to the table.
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
    for bug in Bug::ALL {
        let noticed = noticed(Some(bug));
        println!("{bug:?}: {noticed:?}");
        if noticed.is_some() != listed.contains(&format!("{bug:?}")) {
            survivors.push(bug);
        }
    }
    assert!(survivors.is_empty(), "the table is wrong about {survivors:?}");
}

#[test]
fn nothing_is_wrong_without_a_bug() {
    assert_eq!(noticed(None), None);
}
