//! Small blocks with private batches: in every split, beside published transactions or not.

use crate::scenario::{Kind, Scenario, Tx};
use crate::suites::{Suite, four, meetings};
use braid_evm::protocol::Policy;

/// Suites of private batches, all orders of events: small enough for every change.
pub(crate) fn private_suites() -> Vec<Suite> {
    vec![
        Suite { name: "batches", scenarios: plain(meetings()) },
        Suite { name: "batches with faults", scenarios: faults() },
        Suite { name: "batches in groups", scenarios: groups() },
        Suite { name: "batches, cancelled", scenarios: cancelled() },
        Suite { name: "batches, handed over", scenarios: handed_over() },
        Suite { name: "batches, tight", scenarios: tight() },
        Suite { name: "batches of four", scenarios: of_four() },
    ]
}

/// Every split of so many transactions into published ones and private batches, with one batch at least.
fn splits(transactions: u32) -> Vec<Vec<Vec<u32>>> {
    let mut splits: Vec<Vec<Vec<u32>>> = vec![Vec::new()];
    for tx in 0..transactions {
        let with = |batches: &Vec<Vec<u32>>| {
            let joins = (0..batches.len()).map(|batch| {
                let mut batches = batches.clone();
                batches[batch].push(tx);
                batches
            });
            let mut alone = batches.clone();
            alone.push(vec![tx]);
            [batches.clone(), alone].into_iter().chain(joins).collect::<Vec<_>>()
        };
        splits = splits.iter().flat_map(with).collect();
    }
    splits.retain(|batches| !batches.is_empty());
    splits
}

fn split_in(blocks: impl Iterator<Item = Vec<Tx>>) -> Vec<Scenario> {
    let split = |txs: Vec<Tx>| {
        splits(txs.len() as u32).into_iter().map(move |batches| {
            let mut scenario = Scenario::new(txs.clone());
            scenario.batches = batches;
            scenario
        })
    };
    blocks.flat_map(split).collect()
}

/// Every split of each block, each with a cap of one run and of two.
pub(crate) fn plain(blocks: impl Iterator<Item = Vec<Tx>>) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for mut scenario in split_in(blocks) {
        for cap in [1, 2] {
            scenario.limits.max_speculative_runs = cap;
            scenarios.push(scenario.clone());
        }
    }
    scenarios
}

const KINDS: [Kind; 6] = [
    Kind::RejectsOdd,
    Kind::RejectsEven,
    Kind::FatalIfOdd,
    Kind::FatalIfEven,
    Kind::NoRoom,
    Kind::ReadsCredits,
];

/// Each fault in each transaction, in both modes.
pub(crate) fn faults_in(blocks: Vec<Scenario>) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for block in blocks {
        for (at, kind) in (0..block.txs.len()).flat_map(|at| KINDS.map(|kind| (at, kind))) {
            let mut scenario = block.clone();
            scenario.txs[at].kind = kind;
            for skip in [false, true] {
                scenario.limits.skip_rejected = skip;
                scenarios.push(scenario.clone());
            }
        }
    }
    scenarios
}

fn faults() -> Vec<Scenario> {
    faults_in(split_in(meetings()))
}

/// Neighbours of a batch commit together: with and without faults.
fn groups() -> Vec<Scenario> {
    let mut blocks = split_in(meetings());
    let has_neighbours = |batch: &Vec<u32>| {
        batch.windows(2).any(|pair| matches!(pair, [one, next] if one + 1 == *next))
    };
    blocks.retain(|scenario| scenario.batches.iter().any(has_neighbours));
    blocks.iter_mut().for_each(|scenario| scenario.grouped = true);
    let mut scenarios = blocks.clone();
    scenarios.extend(faults_in(blocks));
    scenarios
}

/// The caller may cancel at any time.
fn cancelled() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for mut scenario in split_in(meetings()) {
        scenario.may_cancel = true;
        scenarios.push(scenario.clone());
        scenario.txs[1].kind = Kind::RejectsEven;
        scenarios.push(scenario);
    }
    scenarios
}

/// The block ends where the rest of a batch may not go on.
fn handed_over() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for mut scenario in split_in(meetings()) {
        scenario.limits.hands_over_rest = true;
        scenarios.push(scenario.clone());
        for kind in [Kind::RejectsOdd, Kind::NoRoom] {
            let mut faulty = scenario.clone();
            faulty.txs[1].kind = kind;
            faulty.limits.skip_rejected = true;
            scenarios.push(faulty.clone());
            faulty.grouped = true;
            scenarios.push(faulty);
        }
    }
    scenarios
}

fn tight() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for mut scenario in split_in(meetings()) {
        for (window, job_capacity, cap) in [(1, 1, 1), (2, 1, 1), (3, 1, 2), (3, 3, 3)] {
            scenario.limits.window = window;
            scenario.limits.job_capacity = job_capacity;
            scenario.limits.max_speculative_runs = cap;
            for policy in [Policy::ForceSpeculative, Policy::InOrder, Policy::Alternate] {
                scenario.limits.policy = policy;
                scenarios.push(scenario.clone());
            }
        }
    }
    scenarios
}

/// Four transactions in two batches or more, the members of which lie between each other or not, or with a published one.
fn of_four() -> Vec<Scenario> {
    let splits = [
        vec![vec![0, 2], vec![1, 3]],
        vec![vec![0, 3], vec![1, 2]],
        vec![vec![0, 1], vec![2, 3]],
        vec![vec![0], vec![1, 3], vec![2]],
        vec![vec![0, 2], vec![3]],
        vec![vec![1, 3]],
    ];
    let mut scenarios = Vec::new();
    for block in four() {
        for batches in &splits {
            let mut scenario = block.clone();
            scenario.batches.clone_from(batches);
            scenarios.push(scenario.clone());
            scenario.grouped = true;
            scenarios.push(scenario);
        }
    }
    scenarios
}
