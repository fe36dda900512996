//! Unusual beneficiaries, databases, rules and shapes: none causes a cliff on simulated workers,
//! and on real ones each takes its intended strategy.

use braid_blocks::workload::Odd;
use braid_cli::bench::priced::virtual_ratios;
use braid_evm::{Config, Executor, Reason, Strategy};
use std::{collections::HashMap, num::NonZeroU16, sync::Arc};

/// Divisor of the block size: a fourth of each row is as unusual, in a fourth of the time.
const SHORTER: u32 = 4;
/// Minimum fraction of sequential speed for every row, on two and on eight workers.
const LEAST: [f64; 2] = [0.93, 0.9];
/// Groups in which the beneficiary or the database must not matter.
const ALIKE: [&str; 5] = ["payments", "tokens", "swaps", "as mainnet", "calls"];

fn workers(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("not zero")
}

#[test]
fn nothing_odd_is_a_cliff() {
    let mut usual: HashMap<&str, [f64; 2]> = HashMap::new();
    let mut wrong = Vec::new();
    for row in Odd::all().into_iter().map(|row| row.shorter(SHORTER)) {
        let (block, database) = row.block(1).expect("a block");
        let found = virtual_ratios(&block, &database, &[workers(2), workers(8)]);
        let found = found.unwrap_or_else(|error| panic!("{row}: {error}"));
        let reached = [found[0].slower(), found[1].slower()];
        let usual = *usual.entry(row.group).or_insert(reached);
        if (0..2).any(|at| reached[at] < LEAST[at]) {
            wrong.push(format!("{row}: {found:.2?}"));
        }
        let is_alike = ALIKE.contains(&row.group);
        if is_alike && (0..2).any(|at| reached[at] < 0.98 * usual[at]) {
            wrong.push(format!("{row}: {found:.2?}, the usual row {usual:.2?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the first strategy and reason for `row` on two workers of a new executor.
fn begin(row: &Odd) -> (Strategy, Reason) {
    let (block, database) = row.block(1).expect("a block");
    let block = Arc::new(braid_evm::Block::from(&block));
    let mut executor = Executor::new(Config::with_workers(workers(2))).expect("threads");
    let output = executor.block(block).database(database).execute().expect("it executes");
    (output.segments[0].strategy, output.segments[0].reason)
}

#[test]
fn each_row_begins_as_is_meant() {
    use Strategy::{ContiguousBatches, Sequential, Speculative};
    let shorter = Odd::all().into_iter().map(|row| row.shorter(SHORTER));
    let mut found: HashMap<&str, Vec<(String, Strategy, Reason)>> = HashMap::new();
    for row in shorter {
        let (strategy, reason) = begin(&row);
        found.entry(row.group).or_default().push((row.name, strategy, reason));
    }
    for (group, expected) in [
        ("payments", (ContiguousBatches, Reason::DisjointStart)),
        ("tokens", (ContiguousBatches, Reason::DisjointStart)),
        ("swaps", (ContiguousBatches, Reason::Independent)),
        ("as mainnet", (Speculative, Reason::Default)),
        ("calls", (Speculative, Reason::Default)),
    ] {
        for (name, strategy, reason) in &found[group] {
            assert_eq!((*strategy, *reason), expected, "{group}: {name}");
        }
    }
    let of = |group: &str, name: &str| {
        let row = found[group].iter().find(|row| row.0 == name);
        row.map(|row| (row.1, row.2)).expect("a row")
    };
    let part = |name| of("producer takes part", name);
    assert_eq!(part("producer sends one in 1"), (Sequential, Reason::OneSender));
    assert_eq!(part("producer sends one in 3").0, Speculative);
    let hub = of("shapes", "transfers through one hub");
    assert_eq!(hub, (Speculative, Reason::Default));
}
