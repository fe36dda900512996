//! The model of two shards: nothing is broken, and each seeded bug is noticed where docs/data/shard_bugs.tsv says so.

use braid_models::{explore_shards, shard_orders};
use braid_shards::mutants::{Bug, with_bug};

/// One order in this many is explored here; `cargo xtask models` takes more.
const SAMPLED: usize = 11;

#[test]
fn two_shards_come_to_what_one_process_comes_to() {
    let orders: Vec<_> = shard_orders().into_iter().step_by(SAMPLED).collect();
    let explored = explore_shards(&orders);
    println!("{} orders, {} states, depth {}", explored.blocks, explored.states, explored.depth);
    assert!(explored.broken.is_empty(), "{:#?}", explored.broken);
    assert_eq!(explored.occurred, explored.expected);
}

/// Names of the bugs that the table says the model notices.
fn listed() -> Vec<String> {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/data/shard_bugs.tsv");
    let table = std::fs::read_to_string(table).expect("the table is there");
    let rows = table.lines().filter(|line| line.contains("models"));
    rows.filter_map(|row| row.split('`').nth(1)).map(str::to_owned).collect()
}

#[test]
#[ignore = "seeded bugs: cargo xtask mutants"]
fn the_model_of_shards_notices_what_the_table_says() {
    let (orders, listed) = (shard_orders(), listed());
    assert!(listed.len() >= 4, "{listed:?}");
    let mut wrong = Vec::new();
    for bug in Bug::ALL.into_iter().filter(|it| *it != Bug::OneSenderSuffices) {
        let explored = with_bug(Some(bug), || explore_shards(&orders));
        let broken = explored.broken.first().and_then(|path| path.lines().next());
        println!("{bug:?}: {broken:?}");
        if broken.is_some() != listed.contains(&format!("{bug:?}")) {
            wrong.push(bug);
        }
    }
    assert!(wrong.is_empty(), "the table is wrong about {wrong:?}");
}
